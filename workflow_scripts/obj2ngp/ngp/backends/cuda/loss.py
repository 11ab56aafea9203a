"""The Huber loss of what pixels show, its gradient at every sample, and the choice of the samples that keep one.

Terms and tiles are those of `compositing`.
"""

import triton
import triton.language as tl

from ... import light
from .. import base
from .compositing import (
    MIN_TRANSMITTANCE,
    OPEN,
    TRACE_RAYS,
    composite_rays,
    load_rays,
    load_samples,
    ray_arguments,
    sums_in_front,
)
from .rays import fraction, load_vector, programs_of_rays, store_vector

TINY = tl.constexpr(light.TINY)
COLOR_PULL, ROULETTE = tl.constexpr(base.COLOR_PULL), tl.constexpr(base.ROULETTE)


@triton.jit
def pixel_sum(values, PIXEL_RAYS: tl.constexpr):
    """The sum over the rays of its pixel, for each of the tile's rays (RAYS,)."""
    RAYS: tl.constexpr = values.shape[0]
    total = tl.sum(tl.reshape(values, (RAYS // PIXEL_RAYS, PIXEL_RAYS)), 1)
    return tl.reshape(tl.broadcast_to(total[:, None], (RAYS // PIXEL_RAYS, PIXEL_RAYS)), (RAYS,))


@triton.jit
def pixel_max(values, PIXEL_RAYS: tl.constexpr):
    """The greatest of the rays of its pixel, for each of the tile's rays (RAYS,)."""
    RAYS: tl.constexpr = values.shape[0]
    greatest = tl.max(tl.reshape(values, (RAYS // PIXEL_RAYS, PIXEL_RAYS)), 1)
    return tl.reshape(tl.broadcast_to(greatest[:, None], (RAYS // PIXEL_RAYS, PIXEL_RAYS)), (RAYS,))


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
def list_samples(sample, kept, alive_ptr, alive_count_ptr):
    """Appends the samples (RAYS, STEPS) that are `kept` to the list, those of a ray in their order."""
    number = kept.to(tl.int32)
    of_ray = tl.sum(number, 1)
    total = tl.sum(of_ray, 0)
    if total > 0:
        first = tl.atomic_add(alive_count_ptr, total, sem="relaxed") + tl.cumsum(of_ray, 0) - of_ray
        tl.store(alive_ptr + first[:, None] + tl.cumsum(number, 1) - number, sample, mask=kept)


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
    jitter_ptr,
    far_ptr,
    step_size,
    faint,
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
    """What `composite_kernel` writes, the loss (R,), its gradients, and the list of the samples that keep one.

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
        red, green, blue, left, depth_all, twice = composite_rays(
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
        passes = left >= MIN_TRANSMITTANCE
        cut = passes & (tl.load(far_ptr + i, mask=mask, other=0.0) < OPEN)
        whole_pixel = pixel_sum((placed & ~cut).to(tl.int32), PIXEL_RAYS) == PIXEL_RAYS
        loss = huber_loss(residual_red, threshold) + huber_loss(residual_green, threshold)
        loss += huber_loss(residual_blue, threshold)
        tl.store(loss_ptr + i, tl.where(whole_pixel, loss / 3.0, 0.0), mask=mask)
        full_pull = loss_scale / (3.0 * active.to(tl.float32))
        norm = tl.where(whole_pixel, full_pull, 0.0)
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

        color_pull = COLOR_PULL * (tl.abs(d_red) + tl.abs(d_green) + tl.abs(d_blue))
        lot = fraction(tl.load(jitter_ptr + i, mask=mask, other=0.0) * ROULETTE)
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
                apart_slope = 2.0 * apart + 0.6666667 * step_size * weight
                spread_behind = (twice - spread)[:, None] - tl.cumsum(weight * apart_slope, 1)
                slope += d_distortion * (after * apart_slope - spread_behind)
                weight_sum += tl.sum(weight, 1)
                depth_sum += tl.sum(weight * t, 1)
                spread += tl.sum(weight * apart_slope, 1)
            pull = tl.abs(slope) * thickness + color_pull * weight
            weak = pull < faint * full_pull
            chance = tl.where(lit, tl.where(weak, pull / (faint * full_pull), 1.0), 0.0)
            drawn = lot[:, None] + tl.cumsum(chance, 1)
            kept = lit & ((tl.floor(drawn) > tl.floor(drawn - chance)) | ~weak)
            factor = tl.where(kept, 1.0 / chance, 0.0)
            lot = fraction(lot + tl.sum(chance, 1))
            list_samples(sample, kept, alive_ptr, alive_count_ptr)
            tl.store(d_density_ptr + sample, factor * step_size * slope, mask=exists)
            weight_kept = factor * weight
            store_vector(d_rgb_ptr, sample, weight_kept * d_red, weight_kept * d_green, weight_kept * d_blue, exists)
            in_front += tl.sum(weight * product, 1)
            passed += tl.sum(thickness, 1)


def composite_loss(rays, samples, step_size, huber, distortion, faint, loss_scale, processors):
    """See Backend.composite_loss."""
    samples.alive_count.zero_()
    composite_loss_kernel[programs_of_rays(rays, TRACE_RAYS, processors)](
        target_ptr=rays.target,
        jitter_ptr=rays.jitter,
        far_ptr=rays.far,
        faint=faint,
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
