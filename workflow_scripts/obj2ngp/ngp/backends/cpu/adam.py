"""Adam (Kingma & Ba 2015) on the entries that have a gradient; the others keep value and moments."""

import math

import torch

from .compiling import jit
from .threads import share_out

PART = 1 << 14  # entries


@jit
def adam_kernel(value, gradient, first, second, rate, beta1, beta2, correction1, correction2, decay):
    for i in range(len(value)):
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
            arrays = [tensor.view(-1).numpy() for tensor in (value, gradient, first, second)]
            numbers = (
                float(clock.learning_rate[step]),
                config.beta1,
                config.beta2,
                1 / (1 - config.beta1 ** (step + 1)),
                1 / (1 - config.beta2 ** (step + 1)),
                decay,
            )

            def part(begin, end, arrays=arrays, numbers=numbers):
                adam_kernel(*(array[begin:end] for array in arrays), *numbers)

            share_out(part, value.numel(), PART)
    else:
        field.table_gradient.zero_()
        field.weight_gradient.zero_()
        moments.skipped += 1
    clock.step += 1
