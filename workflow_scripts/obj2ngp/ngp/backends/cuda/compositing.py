"""Compositing along rays (Max 1995), the Huber loss of the result, and its gradient at every sample.

With T_k the light left in front of sample k and d_k = density_k * step_size, the weight of a sample is
w_k = T_k (1 - exp(-d_k)), and T_{k+1} = T_k exp(-d_k). A ray ends where T_k < MIN_TRANSMITTANCE.

A program handles RAYS rays at a time and reads STEPS of their samples at once; sums along a ray are scans
over the tile's rows. The rays in use are shared out among the programs: the buffer has room for far more.
"""

import math

import triton
import triton.language as tl

from ... import light
from ..base import MIN_TRANSMITTANCE
from .rays import load_vector, programs_of_rays, store_vector

TRACE_RAYS, TRACE_STEPS = 4, 32  # tile of rays and samples of a program

END = tl.constexpr(-math.log(MIN_TRANSMITTANCE))  # optical thickness at which a ray ends
TINY = tl.constexpr(light.TINY)
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
    """(red, green, blue, depth, thickness of the samples that light reaches, their number, twice) of RAYS rays.

    `twice`, with DISTORTION, is sum_k w_k d distortion / d w_k: the distortion of Backend.composite_loss, twice, since
    it is a form of second degree.
    """
    red, green, blue = tl.zeros((RAYS,), tl.float32), tl.zeros((RAYS,), tl.float32), tl.zeros((RAYS,), tl.float32)
    depth, passed = tl.zeros((RAYS,), tl.float32), tl.zeros((RAYS,), tl.float32)
    reached, lit_count = tl.zeros((RAYS,), tl.float32), tl.zeros((RAYS,), tl.int32)
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
        lit_count += tl.sum(lit.to(tl.int32), 1)
    return red, green, blue, depth, reached, lit_count, twice


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

    Returns (red, green, blue over black, transmittance, depth, number of samples that light reaches, `twice` of trace).
    """
    red, green, blue, depth, reached, lit_count, twice = trace(
        density_ptr, rgb_ptr, t_ptr, first, count, step_size, DISTORTION, RAYS, STEPS
    )
    left = tl.exp(-reached)
    background = load_vector(background_ptr, i, mask)
    behind = left * background[0], left * background[1], left * background[2]
    store_vector(color_ptr, i, red + behind[0], green + behind[1], blue + behind[2], mask)
    tl.store(transmittance_ptr + i, left, mask=mask)
    tl.store(depth_ptr + i, depth, mask=mask)
    return red, green, blue, left, depth, lit_count, twice


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


@triton.jit
def pixel_sum(values, PIXEL_RAYS: tl.constexpr):
    """The sum over the rays of its pixel, for each of the tile's rays (RAYS,)."""
    RAYS: tl.constexpr = values.shape[0]
    total = tl.sum(tl.reshape(values, (RAYS // PIXEL_RAYS, PIXEL_RAYS)), 1)
    return tl.reshape(tl.broadcast_to(total[:, None], (RAYS // PIXEL_RAYS, PIXEL_RAYS)), (RAYS,))


@triton.jit
def light_of(value):
    """(light, d light / d value) of sRGB values; see ngp.light."""
    base = (value + 0.055) / 1.055
    power = tl.exp2(1.4 * tl.log2(base))
    dark = value < 0.04045
    return tl.where(dark, value / 12.92, power * base), tl.where(dark, 1.0 / 12.92, 2.4 / 1.055 * power)


@triton.jit
def pixel_channel(color, opacity, background, PIXEL_RAYS: tl.constexpr):
    """(its pixel's value over the background, and n times its derivatives by colour over black and opacity) of rays.

    One channel of `shown_with_slopes` of ngp.light, which has the formulas.
    """
    if PIXEL_RAYS == 1:
        return background + color - opacity * background, color * 0.0 + 1.0, -background
    total = tl.maximum(pixel_sum(opacity, PIXEL_RAYS), TINY)
    straight = tl.minimum(tl.maximum(color / tl.maximum(opacity, TINY), 0.0), 1.0)
    light, slope = light_of(straight)
    mean = pixel_sum(opacity * light, PIXEL_RAYS) / total
    root = 1.055 * tl.exp2(tl.log2(tl.maximum(mean, TINY)) / 2.4) - 0.055
    value = tl.where(mean < 0.0031308, mean * 12.92, root)
    pixel_slope = light_of(value)[1]
    d_opacity = (light - straight * slope - mean) / pixel_slope + value - background
    return background + (value - background) * (total / PIXEL_RAYS), slope / pixel_slope, d_opacity


@triton.jit
def huber_loss(residual, threshold):
    size = tl.abs(residual)
    return tl.where(size < threshold, 0.5 * size * size / threshold, size - 0.5 * threshold)


@triton.jit
def huber_slope(residual, threshold):
    return tl.minimum(tl.maximum(residual / threshold, -1.0), 1.0)


@triton.jit
def composite_loss_kernel(
    active_ptr,
    first_ptr,
    count_ptr,
    density_ptr,
    rgb_ptr,
    t_ptr,
    background_ptr,
    target_ptr,
    step_size,
    threshold,
    distortion,
    loss_scale,
    color_ptr,
    transmittance_ptr,
    depth_ptr,
    loss_ptr,
    d_density_ptr,
    d_rgb_ptr,
    alive_ptr,
    alive_count_ptr,
    PIXEL_RAYS: tl.constexpr,
    DISTORTION: tl.constexpr,
    RAYS: tl.constexpr,
    STEPS: tl.constexpr,
):
    """What `composite_kernel` writes, the loss (R,), its gradients, and the list of the samples that have one.

    DISTORTION tells whether `distortion` is not 0. Its slopes d / d w_k, 2 sum_j w_j |t_k - t_j| + 2/3 step_size w_k,
    take the place of colours in the gradient below, where there is no background; sums of w and w t in front of a
    sample, and in all, give those on both sides of it.

    A pixel shows PIXEL_RAYS rays, and has no loss if one of them found no room.

    d colour over black / d density_k = step_size * (T_{k+1} c_k - sum_{j>k} w_j c_j), as in Müller et al. 2022; the
    sum is the final colour less what lies in front. d opacity / d density_k = step_size * T_N. The three channels are
    wanted only in a product with d loss / d colour, so that product is what is summed.
    """
    active = tl.load(active_ptr)
    for block in range(tl.program_id(0), tl.cdiv(active, RAYS), tl.num_programs(0)):
        i, mask, first, count, placed = load_rays(block, active, first_ptr, count_ptr, RAYS)
        red, green, blue, left, depth_all, lit_count, twice = composite_rays(
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
            DISTORTION,
            RAYS,
            STEPS,
        )
        opacity = 1.0 - left
        target, background = load_vector(target_ptr, i, mask), load_vector(background_ptr, i, mask)
        pixel_red, red_slope, red_opacity = pixel_channel(red, opacity, background[0], PIXEL_RAYS)
        pixel_green, green_slope, green_opacity = pixel_channel(green, opacity, background[1], PIXEL_RAYS)
        pixel_blue, blue_slope, blue_opacity = pixel_channel(blue, opacity, background[2], PIXEL_RAYS)
        residual_red, residual_green, residual_blue = (
            pixel_red - target[0],
            pixel_green - target[1],
            pixel_blue - target[2],
        )
        whole_pixel = pixel_sum(placed.to(tl.int32), PIXEL_RAYS) == PIXEL_RAYS
        loss = huber_loss(residual_red, threshold) + huber_loss(residual_green, threshold)
        loss += huber_loss(residual_blue, threshold)
        tl.store(loss_ptr + i, tl.where(whole_pixel, loss / 3.0, 0.0), mask=mask)
        norm = tl.where(whole_pixel, loss_scale / (3.0 * active.to(tl.float32)), 0.0)
        d_red = norm * huber_slope(residual_red, threshold)
        d_green = norm * huber_slope(residual_green, threshold)
        d_blue = norm * huber_slope(residual_blue, threshold)
        beyond = (-left * (d_red * red_opacity + d_green * green_opacity + d_blue * blue_opacity))[:, None]
        d_red, d_green, d_blue = (
            (d_red * red_slope)[:, None],
            (d_green * green_slope)[:, None],
            (d_blue * blue_slope)[:, None],
        )
        whole = d_red * red[:, None] + d_green * green[:, None] + d_blue * blue[:, None]

        listed = tl.cumsum(lit_count, 0) - lit_count
        total = tl.sum(lit_count, 0)
        if total > 0:
            listed += tl.atomic_add(alive_count_ptr, total, sem="relaxed")
        passed, in_front = tl.zeros((RAYS,), tl.float32), tl.zeros((RAYS,), tl.float32)
        if DISTORTION:
            d_distortion = tl.where(whole_pixel, loss_scale * distortion / active.to(tl.float32), 0.0)[:, None]
            weight_sum, depth_sum = tl.zeros((RAYS,), tl.float32), tl.zeros((RAYS,), tl.float32)
            spread = tl.zeros((RAYS,), tl.float32)
        for done in range(0, tl.max(count, 0), STEPS):
            sample, exists, lit, thickness, before = load_samples(
                density_ptr, first, count, done, passed, step_size, STEPS
            )
            after = before * tl.exp(-thickness)
            weight = tl.where(lit, before - after, 0.0)
            rgb = load_vector(rgb_ptr, sample, lit)
            product = d_red * rgb[0] + d_green * rgb[1] + d_blue * rgb[2]
            # `beyond`, small where it matters, is not to be lost in sums that cancel.
            behind = whole - in_front[:, None] - tl.cumsum(weight * product, 1) + beyond
            slope = after * product - behind
            if DISTORTION:
                t = tl.load(t_ptr + sample, mask=lit, other=0.0)
                weight_before, depth_before = sums_in_front(weight, t, weight_sum, depth_sum)
                apart = t * (2.0 * weight_before + weight - opacity[:, None])
                apart -= 2.0 * depth_before + weight * t - depth_all[:, None]
                pull = 2.0 * apart + 0.6666667 * step_size * weight
                spread_behind = (twice - spread)[:, None] - tl.cumsum(weight * pull, 1)
                slope += d_distortion * (after * pull - spread_behind)
                weight_sum += tl.sum(weight, 1)
                depth_sum += tl.sum(weight * t, 1)
                spread += tl.sum(weight * pull, 1)
            d_density = tl.where(lit, step_size * slope, 0.0)
            tl.store(d_density_ptr + sample, d_density, mask=exists)
            store_vector(d_rgb_ptr, sample, weight * d_red, weight * d_green, weight * d_blue, exists)
            number = done + tl.arange(0, STEPS)[None, :]  # light reaches the first lit_count samples of a ray
            tl.store(alive_ptr + listed[:, None] + number, sample, mask=lit)
            in_front += tl.sum(weight * product, 1)
            passed += tl.sum(thickness, 1)


def composite_loss(rays, samples, step_size, huber, distortion, loss_scale, processors):
    """See Backend.composite_loss."""
    samples.alive_count.zero_()
    composite_loss_kernel[programs_of_rays(rays, TRACE_RAYS, processors)](
        target_ptr=rays.target,
        threshold=huber,
        distortion=distortion,
        DISTORTION=distortion > 0,
        loss_scale=loss_scale,
        loss_ptr=rays.loss,
        d_density_ptr=samples.d_density,
        d_rgb_ptr=samples.d_rgb,
        alive_ptr=samples.alive,
        alive_count_ptr=samples.alive_count,
        PIXEL_RAYS=rays.supersampling**2,
        **ray_arguments(rays, samples, step_size),
    )
