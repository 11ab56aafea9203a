"""Compositing along rays (Max 1995).

With T_k the light left in front of sample k and d_k = density_k * step_size, the weight of a sample is
w_k = T_k (1 - exp(-d_k)), and T_{k+1} = T_k exp(-d_k). A ray ends where T_k < MIN_TRANSMITTANCE.

A program handles RAYS rays at a time and reads STEPS of their samples at once; sums along a ray are scans
over the tile's rows. The rays in use are shared out among the programs: the buffer has room for far more.
"""

import math

import triton
import triton.language as tl

from ... import buffers
from .. import base
from .rays import load_vector, programs_of_rays, store_vector

TRACE_RAYS, TRACE_STEPS = 8, 32  # tile of rays and samples of a program

MIN_TRANSMITTANCE, OPEN = tl.constexpr(base.MIN_TRANSMITTANCE), tl.constexpr(buffers.OPEN)
END = tl.constexpr(-math.log(base.MIN_TRANSMITTANCE))  # optical thickness at which a ray ends
MAX_THICKNESS = tl.constexpr(32.0)  # of one sample: exp(-32) of the light passes; keeps sums of thickness exact


@triton.jit
def load_rays(block, active, first_ptr, count_ptr, RAYS: tl.constexpr):
    """(ray, whether it is in use, first sample, samples: none without room, whether it found room)."""
    i = block * RAYS + tl.arange(0, RAYS)
    mask = i < active
    count = tl.load(count_ptr + i, mask=mask, other=0)
    return i, mask, tl.load(first_ptr + i, mask=mask, other=0), tl.maximum(count, 0), mask & (count >= 0)


@triton.jit
def load_samples(density_ptr, first, count, done, passed, step_size, STEPS: tl.constexpr):
    """Samples number done.. of each ray (RAYS, STEPS).

    Returns (sample, whether it exists, whether light reaches it, thickness, transmittance in front of it).
    `passed` (RAYS,) is the thickness of the samples before.
    """
    n = done + tl.arange(0, STEPS)[None, :]
    exists = n < count[:, None]
    sample = first[:, None] + n
    thickness = tl.minimum(tl.load(density_ptr + sample, mask=exists, other=0.0) * step_size, MAX_THICKNESS)
    before = passed[:, None] + tl.cumsum(thickness, 1) - thickness
    return sample, exists, exists & (before <= END), thickness, tl.exp(-before)


@triton.jit
def sums_in_front(weight, t, weight_before, depth_before):
    """Sums of w and of w t of the samples in front of each (RAYS, STEPS), given those of the tiles before (RAYS,)."""
    depth = weight * t
    return weight_before[:, None] + tl.cumsum(weight, 1) - weight, depth_before[:, None] + tl.cumsum(depth, 1) - depth


@triton.jit
def trace(
    density_ptr,
    rgb_ptr,
    t_ptr,
    first,
    count,
    step_size,
    DISTORTION: tl.constexpr,
    RAYS: tl.constexpr,
    STEPS: tl.constexpr,
):
    """(red, green, blue, depth, thickness of the samples that light reaches, twice) of RAYS rays.

    `twice`, with DISTORTION, is sum_k w_k d distortion / d w_k: the distortion of Backend.composite_loss, twice, since
    it is a form of second degree.
    """
    red, green, blue = tl.zeros((RAYS,), tl.float32), tl.zeros((RAYS,), tl.float32), tl.zeros((RAYS,), tl.float32)
    depth, passed = tl.zeros((RAYS,), tl.float32), tl.zeros((RAYS,), tl.float32)
    reached = tl.zeros((RAYS,), tl.float32)
    weight_sum, twice = tl.zeros((RAYS,), tl.float32), tl.zeros((RAYS,), tl.float32)
    for done in range(0, tl.max(count, 0), STEPS):
        sample, exists, lit, thickness, before = load_samples(density_ptr, first, count, done, passed, step_size, STEPS)
        weight = tl.where(lit, before * (1.0 - tl.exp(-thickness)), 0.0)
        rgb = load_vector(rgb_ptr, sample, lit)
        red += tl.sum(weight * rgb[0], 1)
        green += tl.sum(weight * rgb[1], 1)
        blue += tl.sum(weight * rgb[2], 1)
        t = tl.load(t_ptr + sample, mask=lit, other=0.0)
        if DISTORTION:
            weight_before, depth_before = sums_in_front(weight, t, weight_sum, depth)
            slope = 4.0 * (t * weight_before - depth_before) + 0.6666667 * step_size * weight
            twice += tl.sum(weight * slope, 1)
            weight_sum += tl.sum(weight, 1)
        depth += tl.sum(weight * t, 1)
        passed += tl.sum(thickness, 1)
        reached += tl.sum(tl.where(lit, thickness, 0.0), 1)
    return red, green, blue, depth, reached, twice


@triton.jit
def composite_rays(
    i,
    mask,
    first,
    count,
    density_ptr,
    rgb_ptr,
    t_ptr,
    background_ptr,
    step_size,
    color_ptr,
    transmittance_ptr,
    depth_ptr,
    DISTORTION: tl.constexpr,
    RAYS: tl.constexpr,
    STEPS: tl.constexpr,
):
    """Writes color, transmittance and depth of RAYS rays.

    Returns (red, green, blue over black, transmittance, depth, `twice` of trace).
    """
    red, green, blue, depth, reached, twice = trace(
        density_ptr, rgb_ptr, t_ptr, first, count, step_size, DISTORTION, RAYS, STEPS
    )
    left = tl.exp(-reached)
    background = load_vector(background_ptr, i, mask)
    behind = left * background[0], left * background[1], left * background[2]
    store_vector(color_ptr, i, red + behind[0], green + behind[1], blue + behind[2], mask)
    tl.store(transmittance_ptr + i, left, mask=mask)
    tl.store(depth_ptr + i, depth, mask=mask)
    return red, green, blue, left, depth, twice


@triton.jit
def composite_kernel(
    active_ptr,
    first_ptr,
    count_ptr,
    density_ptr,
    rgb_ptr,
    t_ptr,
    background_ptr,
    step_size,
    color_ptr,
    transmittance_ptr,
    depth_ptr,
    RAYS: tl.constexpr,
    STEPS: tl.constexpr,
):
    """color (R,3), transmittance (R,) and depth (R,) of the rays in use."""
    active = tl.load(active_ptr)
    for block in range(tl.program_id(0), tl.cdiv(active, RAYS), tl.num_programs(0)):
        i, mask, first, count, placed = load_rays(block, active, first_ptr, count_ptr, RAYS)
        composite_rays(
            i,
            mask,
            first,
            count,
            density_ptr,
            rgb_ptr,
            t_ptr,
            background_ptr,
            step_size,
            color_ptr,
            transmittance_ptr,
            depth_ptr,
            False,
            RAYS,
            STEPS,
        )


def ray_arguments(rays, samples, step_size):
    """What both kernels read of rays and samples, and what both write."""
    return dict(
        active_ptr=rays.active,
        first_ptr=rays.first,
        count_ptr=rays.count,
        density_ptr=samples.density,
        rgb_ptr=samples.rgb,
        t_ptr=samples.t,
        background_ptr=rays.background,
        step_size=step_size,
        color_ptr=rays.color,
        transmittance_ptr=rays.transmittance,
        depth_ptr=rays.depth,
        RAYS=TRACE_RAYS,
        STEPS=TRACE_STEPS,
    )


def composite(rays, samples, step_size, processors):
    """See Backend.composite."""
    grid = programs_of_rays(rays, TRACE_RAYS, processors)
    composite_kernel[grid](**ray_arguments(rays, samples, step_size))
