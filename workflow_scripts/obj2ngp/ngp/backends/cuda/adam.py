"""Adam (Kingma & Ba 2015) over the hash tables and the MLPs' weights in one launch.

Entries without a gradient keep their value and moments: in one step most of a table's entries have none. A
step in which the gradient of an MLP's weight is no finite number is skipped and counted, without the host's knowing:
what goes wrong in a sample reaches all of them. A table entry whose own sum is too large for fp16 is passed over
alone, since to look at large tables twice would take a tenth of the step.
"""

import math

import triton
import triton.language as tl

ADAM_BLOCK = 512  # parameters of a program


@triton.jit
def check_kernel(gradient_ptr, bad_ptr, size, BLOCK: tl.constexpr):
    """Sets `bad` (1,) if a gradient is infinite or no number."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    gradient = tl.load(gradient_ptr + i, mask=i < size, other=0.0).to(tl.float32)
    if tl.max((~(tl.abs(gradient) < float("inf"))).to(tl.int32), 0):
        tl.store(bad_ptr, 1)


@triton.jit
def update(
    value_ptr,
    compute_ptr,
    gradient_ptr,
    first_ptr,
    second_ptr,
    start,
    n,
    skip,
    rate,
    beta1,
    beta2,
    correction1,
    correction2,
    unscale,
    decay,
    BLOCK: tl.constexpr,
):
    i = start + tl.arange(0, BLOCK)
    gradient = tl.load(gradient_ptr + i, mask=i < n, other=0.0).to(tl.float32)
    touched = gradient != 0.0
    tl.store(gradient_ptr + i, tl.zeros((BLOCK,), gradient_ptr.dtype.element_ty), mask=touched)
    mask = touched & (tl.abs(gradient) < float("inf")) & (skip == 0)
    value = tl.load(value_ptr + i, mask=mask, other=0.0)
    gradient = gradient * unscale + decay * value
    first = beta1 * tl.load(first_ptr + i, mask=mask, other=0.0) + (1.0 - beta1) * gradient
    second = beta2 * tl.load(second_ptr + i, mask=mask, other=0.0) + (1.0 - beta2) * gradient * gradient
    value -= rate * (first * correction1) / (tl.sqrt(second * correction2) + 1e-15)
    tl.store(value_ptr + i, value, mask=mask)
    tl.store(compute_ptr + i, value.to(compute_ptr.dtype.element_ty), mask=mask)
    tl.store(first_ptr + i, first, mask=mask)
    tl.store(second_ptr + i, second, mask=mask)


@triton.jit(do_not_specialize=["steps"])
def adam_kernel(
    table_ptr,
    compute_table_ptr,
    table_gradient_ptr,
    table_first_ptr,
    table_second_ptr,
    table_size,
    weights_ptr,
    compute_weights_ptr,
    weight_gradient_ptr,
    weights_first_ptr,
    weights_second_ptr,
    weight_size,
    step_ptr,
    rate_ptr,
    steps,
    bad_ptr,
    beta1,
    beta2,
    log2_beta1,
    log2_beta2,
    unscale,
    decay,
    BLOCK: tl.constexpr,
):
    """Updates values, working copies and moments, and clears the gradients (which are divided by the loss scale)."""
    step = tl.load(step_ptr)
    rate = tl.load(rate_ptr + tl.minimum(step, steps - 1))
    number = (step + 1).to(tl.float32)
    correction1 = 1.0 / (1.0 - tl.exp2(number * log2_beta1))
    correction2 = 1.0 / (1.0 - tl.exp2(number * log2_beta2))
    skip = tl.load(bad_ptr)
    weight_blocks = tl.cdiv(weight_size, BLOCK)
    block = tl.program_id(0)
    if block < weight_blocks:
        update(
            weights_ptr,
            compute_weights_ptr,
            weight_gradient_ptr,
            weights_first_ptr,
            weights_second_ptr,
            block * BLOCK,
            weight_size,
            skip,
            rate,
            beta1,
            beta2,
            correction1,
            correction2,
            unscale,
            decay,
            BLOCK,
        )
    else:
        update(
            table_ptr,
            compute_table_ptr,
            table_gradient_ptr,
            table_first_ptr,
            table_second_ptr,
            (block - weight_blocks) * BLOCK,
            table_size,
            skip,
            rate,
            beta1,
            beta2,
            correction1,
            correction2,
            unscale,
            0.0,
            BLOCK,
        )


@triton.jit
def advance_kernel(step_ptr, skipped_ptr, bad_ptr):
    """Ends the step: counts it, and whether it was skipped."""
    tl.store(step_ptr, tl.load(step_ptr) + 1)
    tl.store(skipped_ptr, tl.load(skipped_ptr) + tl.load(bad_ptr))
    tl.store(bad_ptr, 0)


def optimise(field, moments, clock, config, loss_scale, bad):
    """See Backend.optimise. `bad` (1,) int32 is zero before and after: scratch that no other kernel touches."""
    table_size, weight_size = field.table.numel(), field.weights.numel()
    weight_blocks = triton.cdiv(weight_size, ADAM_BLOCK)
    check_kernel[(weight_blocks,)](field.weight_gradient, bad, weight_size, BLOCK=ADAM_BLOCK)
    adam_kernel[(weight_blocks + triton.cdiv(table_size, ADAM_BLOCK),)](
        table_ptr=field.table,
        compute_table_ptr=field.compute_table,
        table_gradient_ptr=field.table_gradient,
        table_first_ptr=moments.table_first,
        table_second_ptr=moments.table_second,
        table_size=table_size,
        weights_ptr=field.weights,
        compute_weights_ptr=field.compute_weights,
        weight_gradient_ptr=field.weight_gradient,
        weights_first_ptr=moments.weights_first,
        weights_second_ptr=moments.weights_second,
        weight_size=weight_size,
        step_ptr=clock.step,
        rate_ptr=clock.learning_rate,
        steps=len(clock.learning_rate),
        bad_ptr=bad,
        beta1=config.beta1,
        beta2=config.beta2,
        log2_beta1=math.log2(max(config.beta1, 1e-30)),
        log2_beta2=math.log2(max(config.beta2, 1e-30)),
        unscale=1 / loss_scale,
        decay=config.weight_decay,
        BLOCK=ADAM_BLOCK,
    )
    advance_kernel[(1,)](step_ptr=clock.step, skipped_ptr=moments.skipped, bad_ptr=bad)
