"""Adam (Kingma & Ba 2015) on the entries that have a gradient; the others keep value and moments."""

import numba
import numpy as np
import torch

from .compiling import jit, jit_parallel

PART = 1 << 12  # entries


@jit
def adam_part(value, gradient, first, second, rate, beta1, beta2, correction1, correction2, decay):
    one, tiny, none = np.float32(1), np.float32(1e-15), np.float32(0)
    for i in range(len(value)):  # without branches, and in single precision: several entries in one instruction
        g, v, m, n = gradient[i], value[i], first[i], second[i]
        touched = g != none
        g += decay * v
        m_next = beta1 * m + (one - beta1) * g
        n_next = beta2 * n + (one - beta2) * g * g
        v_next = v - rate * (m_next * correction1) / (np.sqrt(n_next * correction2) + tiny)
        gradient[i] = none
        first[i], second[i] = m_next if touched else m, n_next if touched else n
        value[i] = v_next if touched else v


@jit_parallel
def adam_kernel(value, gradient, first, second, rate, beta1, beta2, correction1, correction2, decay):
    for part in numba.prange(-(-len(value) // PART)):
        begin, end = part * PART, (part + 1) * PART
        adam_part(
            value[begin:end],
            gradient[begin:end],
            first[begin:end],
            second[begin:end],
            rate,
            beta1,
            beta2,
            correction1,
            correction2,
            decay,
        )


def optimise(field, moments, clock, config):
    """See Backend.optimise."""
    step = int(clock.step)
    if bool(torch.isfinite(field.weight_gradient.sum() + field.table_gradient.sum())):
        for value, gradient, first, second, decay in (
            (field.table, field.table_gradient, moments.table_first, moments.table_second, 0.0),
            (field.weights, field.weight_gradient, moments.weights_first, moments.weights_second, config.weight_decay),
        ):
            arrays = [tensor.view(-1).numpy() for tensor in (value, gradient, first, second)]
            numbers = (
                clock.learning_rate[step],
                config.beta1,
                config.beta2,
                1 / (1 - config.beta1 ** (step + 1)),
                1 / (1 - config.beta2 ** (step + 1)),
                decay,
            )
            adam_kernel(*arrays, *(np.float32(number) for number in numbers))  # single precision, as the entries are
    else:
        field.table_gradient.zero_()
        field.weight_gradient.zero_()
        moments.skipped += 1
    clock.step += 1
