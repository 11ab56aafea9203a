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
def loss_gradient_kernel(
    begin, end, active, first, count, density, rgb, color, target, step_size, huber, pixel_rays, loss, d_density, d_rgb
):
    """Huber loss of the pixels, each the mean of `pixel_rays` rays, and its gradient at every sample.

    d colour / d density_k = step_size * (T_{k+1} c_k - sum_{j>k} w_j c_j - T_N background): Max 1995, as used by
    Müller et al. 2022. The sum is the final colour less what lies in front.
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
        left = np.float32(1.0)
        for a in range(3):
            rest[a] = color[i, a]
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
            d_density[s] = step_size * total
            left = after


def composite_loss(rays, samples, step_size, huber):
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
        color=rays.color.numpy(),
        target=rays.target.numpy(),
        step_size=step_size,
        huber=huber,
        pixel_rays=rays.supersampling**2,
        loss=rays.loss.numpy(),
        d_density=samples.d_density.numpy(),
        d_rgb=samples.d_rgb.numpy(),
    )
    share_out(lambda begin, end: loss_gradient_kernel(begin=begin, end=end, **arrays), active, PART)
