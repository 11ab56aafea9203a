"""Compositing along rays (Max 1995), the Huber loss of the result, and its gradient at every sample.

With T_k the light left in front of sample k and d_k = density_k * step_size, the weight of a sample is
w_k = T_k (1 - exp(-d_k)), and T_{k+1} = T_k exp(-d_k). A ray ends where T_k < MIN_TRANSMITTANCE.
"""

import math

import numpy as np

from ..base import MIN_TRANSMITTANCE
from .compiling import jit
from .threads import share_out

PART = 1024  # rays


@jit
def list_alive_kernel(active, first, count, density, step_size, index):
    """Lists the samples up to each ray's termination; returns how many there are."""
    n = 0
    threshold = -math.log(MIN_TRANSMITTANCE)
    for i in range(active):
        thickness = 0.0
        for s in range(first[i], first[i] + max(count[i], 0)):
            index[n] = s
            n += 1
            thickness += density[s] * step_size
            if thickness > threshold:
                break
    return n


def list_alive(rays, samples, step_size):
    """Writes samples.alive and alive_count: the samples up to each ray's termination."""
    samples.alive_count[0] = list_alive_kernel(
        active=int(rays.active),
        first=rays.first.numpy(),
        count=rays.count.numpy(),
        density=samples.density.numpy(),
        step_size=step_size,
        index=samples.alive.numpy(),
    )


@jit
def composite_kernel(begin, end, first, count, density, rgb, t, background, step_size, color, transmittance, depth):
    for i in range(begin, end):
        left = np.float32(1.0)
        r, g, b, z = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for s in range(first[i], first[i] + max(count[i], 0)):
            after = left * math.exp(-density[s] * step_size)
            weight = left - after
            r, g, b, z = r + weight * rgb[s, 0], g + weight * rgb[s, 1], b + weight * rgb[s, 2], z + weight * t[s]
            left = after
            if left < MIN_TRANSMITTANCE:
                break
        color[i, 0], color[i, 1] = r + left * background[i, 0], g + left * background[i, 1]
        color[i, 2] = b + left * background[i, 2]
        transmittance[i], depth[i] = left, z


def composite(rays, samples, step_size):
    """See Backend.composite."""
    arrays = dict(
        first=rays.first.numpy(),
        count=rays.count.numpy(),
        density=samples.density.numpy(),
        rgb=samples.rgb.numpy(),
        t=samples.t.numpy(),
        background=rays.background.numpy(),
        step_size=step_size,
        color=rays.color.numpy(),
        transmittance=rays.transmittance.numpy(),
        depth=rays.depth.numpy(),
    )
    share_out(lambda begin, end: composite_kernel(begin=begin, end=end, **arrays), int(rays.active), PART)


@jit
def distortion_slope(weight, t, weight_before, depth_before, weight_all, depth_all, step_size):
    """d distortion / d w_k of a ray, whose other samples lie on two sides of sample k: see Backend.composite_loss.

    2 sum_j w_j |t_k - t_j| + 2/3 step_size w_k, where sums of w and w t in front and in all give both sides' sums.
    """
    weight_behind, depth_behind = weight_all - weight_before - weight, depth_all - depth_before - weight * t
    apart = t * (weight_before - weight_behind) - (depth_before - depth_behind)
    return 2 * apart + np.float32(2 / 3) * step_size * weight


@jit
def twice_distortion(first, count, density, t, step_size):
    """sum_k w_k d distortion / d w_k of a ray's samples: the distortion is a form of second degree."""
    left, weight_before, depth_before = np.float32(1.0), np.float32(0.0), np.float32(0.0)
    total = np.float32(0.0)
    for s in range(first, first + count):
        if left < MIN_TRANSMITTANCE:
            break
        after = left * math.exp(-density[s] * step_size)
        weight = left - after
        total += weight * (4 * (t[s] * weight_before - depth_before) + np.float32(2 / 3) * step_size * weight)
        weight_before, depth_before, left = weight_before + weight, depth_before + weight * t[s], after
    return total


@jit
def loss_gradient_kernel(
    begin,
    end,
    active,
    first,
    count,
    density,
    rgb,
    t,
    color,
    transmittance,
    depth,
    target,
    step_size,
    huber,
    distortion,
    pixel_rays,
    loss,
    d_density,
    d_rgb,
):
    """Huber loss of the pixels, each the mean of `pixel_rays` rays; its and the distortion's gradient at every sample.

    d colour / d density_k = step_size * (T_{k+1} c_k - sum_{j>k} w_j c_j - T_N background): Max 1995, as used by
    Müller et al. 2022. The sum is the final colour less what lies in front. The distortion's slopes d / d w_k take the
    place of colours without a background.
    """
    norm = np.float32(1.0) / (3 * max(active, 1))
    d_color, rest = np.empty(3, np.float32), np.empty(3, np.float32)
    for i in range(begin, end):
        loss[i] = 0
        if count[i] < 0:
            continue
        d_color[:], pixel = 0, i - i % pixel_rays
        whole = count[pixel : pixel + pixel_rays].min() >= 0  # a pixel that lacks a ray has no loss
        for a in range(3):
            residual = np.float32(0.0)
            for r in range(pixel, pixel + pixel_rays):
                residual += (color[r, a] - target[r, a]) / pixel_rays
            size = abs(residual)
            if whole:
                loss[i] += (0.5 * size * size / huber if size < huber else size - 0.5 * huber) / 3
                d_color[a] = norm * min(max(residual / huber, np.float32(-1.0)), np.float32(1.0))
        left, weight_before, depth_before = np.float32(1.0), np.float32(0.0), np.float32(0.0)
        for a in range(3):
            rest[a] = color[i, a]
        d_distortion = distortion / max(active, 1) if whole else np.float32(0.0)
        behind = twice_distortion(first[i], count[i], density, t, step_size) if d_distortion > 0 else np.float32(0.0)
        for s in range(first[i], first[i] + count[i]):
            if left < MIN_TRANSMITTANCE:
                d_density[s] = 0
                for a in range(3):
                    d_rgb[s, a] = 0
                continue
            after = left * math.exp(-density[s] * step_size)
            weight = left - after
            total = np.float32(0.0)
            for a in range(3):
                rest[a] -= weight * rgb[s, a]
                total += d_color[a] * (after * rgb[s, a] - rest[a])
                d_rgb[s, a] = weight * d_color[a]
            if d_distortion > 0:
                slope = distortion_slope(
                    weight, t[s], weight_before, depth_before, 1 - transmittance[i], depth[i], step_size
                )
                behind -= weight * slope
                total += d_distortion * (after * slope - behind)
                weight_before, depth_before = weight_before + weight, depth_before + weight * t[s]
            d_density[s] = step_size * total
            left = after


def composite_loss(rays, samples, step_size, huber, distortion):
    """See Backend.composite_loss."""
    composite(rays, samples, step_size)
    active = int(rays.active)
    rays.loss[active:] = 0
    arrays = dict(
        active=active,
        first=rays.first.numpy(),
        count=rays.count.numpy(),
        density=samples.density.numpy(),
        rgb=samples.rgb.numpy(),
        t=samples.t.numpy(),
        color=rays.color.numpy(),
        transmittance=rays.transmittance.numpy(),
        depth=rays.depth.numpy(),
        target=rays.target.numpy(),
        step_size=step_size,
        huber=huber,
        distortion=np.float32(distortion),
        pixel_rays=rays.supersampling**2,
        loss=rays.loss.numpy(),
        d_density=samples.d_density.numpy(),
        d_rgb=samples.d_rgb.numpy(),
    )
    share_out(lambda begin, end: loss_gradient_kernel(begin=begin, end=end, **arrays), active, PART)
