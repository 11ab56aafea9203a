"""Adam (Kingma & Ba 2015) on the entries that have a gradient; the others keep value and moments."""

import math

import numba
import torch

from .hashing import jit


@jit
def adam_kernel(value, gradient, first, second, rate, beta1, beta2, correction1, correction2, decay):
    for i in numba.prange(len(value)):
        g = gradient[i]
        if g != 0:
            gradient[i] = 0
            g += decay * value[i]
            first[i] = beta1 * first[i] + (1 - beta1) * g
            second[i] = beta2 * second[i] + (1 - beta2) * g * g
            value[i] -= rate * (first[i] * correction1) / (math.sqrt(second[i] * correction2) + 1e-15)


def optimise(field, moments, clock, config):
    """See Backend.optimise."""
    step = int(clock.step)
    if bool(torch.isfinite(field.weight_gradient.sum() + field.table_gradient.sum())):
        for value, gradient, first, second, decay in (
            (field.table, field.table_gradient, moments.table_first, moments.table_second, 0.0),
            (field.weights, field.weight_gradient, moments.weights_first, moments.weights_second, config.weight_decay),
        ):
            adam_kernel(
                value=value.view(-1).numpy(),
                gradient=gradient.view(-1).numpy(),
                first=first.view(-1).numpy(),
                second=second.view(-1).numpy(),
                rate=float(clock.learning_rate[step]),
                beta1=config.beta1,
                beta2=config.beta2,
                correction1=1 / (1 - config.beta1 ** (step + 1)),
                correction2=1 / (1 - config.beta2 ** (step + 1)),
                decay=decay,
            )
    else:
        field.table_gradient.zero_()
        field.weight_gradient.zero_()
        moments.skipped += 1
    clock.step += 1
