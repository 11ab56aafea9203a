"""Adam with apex's fused kernel, or torch's where apex is missing.

Unlike the other backends' Adam it moves every entry of the table at each step, also those without a gradient.
"""

from __future__ import annotations

import functools

import torch

try:
    from apex.multi_tensor_apply import multi_tensor_applier
    from apex.optimizers import FusedAdam
except (ImportError, AttributeError):  # AttributeError: an apex that asks PyTorch for what only newer ones have
    FUSED = False
else:
    FUSED = multi_tensor_applier.available  # False where apex was built without its CUDA extensions

# L2 regularisation, as torch's Adam has it, is apex's other mode.
Adam = functools.partial(FusedAdam, adam_w_mode=False) if FUSED else torch.optim.Adam
EPSILON = 1e-15


def optimise(field, moments, clock, config, loss_scale):
    """See Backend.optimise."""
    step = int(clock.step)
    total = field.weight_gradient.sum() + field.table_gradient.sum(dtype=torch.float32)
    if bool(torch.isfinite(total)):
        _adam_step(field, moments, step, float(clock.learning_rate[step]), config, loss_scale)
    else:
        moments.skipped += 1
    field.table_gradient.zero_()
    field.weight_gradient.zero_()
    clock.step += 1


def _adam_step(field, moments, step, rate, config, loss_scale):
    # Adam's state is all in `moments` and `clock`, so that an optimiser made anew each step goes on from a
    # checkpoint. apex counts steps in the groups, torch in the parameters' states.
    parameters = (
        (field.table, field.table_gradient, moments.table_first, moments.table_second, 0.0),
        (field.weights, field.weight_gradient, moments.weights_first, moments.weights_second, config.weight_decay),
    )
    groups = [{"params": [value], "weight_decay": decay, "step": step} for value, _, _, _, decay in parameters]
    optimiser = Adam(groups, lr=rate, betas=(config.beta1, config.beta2), eps=EPSILON)
    for value, gradient, first, second, _ in parameters:
        value.grad = gradient.float() / loss_scale
        optimiser.state[value] = {"step": torch.tensor(float(step)), "exp_avg": first, "exp_avg_sq": second}
    optimiser.step()
    field.load(field.table, field.weights)
