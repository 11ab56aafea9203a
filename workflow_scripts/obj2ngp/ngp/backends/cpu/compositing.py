"""Compositing along rays (Max 1995), and the gradient of the loss of the result at every sample.

With T_k the light left in front of sample k and d_k = density_k * step_size, the weight of a sample is
w_k = T_k (1 - exp(-d_k)), and T_{k+1} = T_k exp(-d_k). A ray ends where T_k < MIN_TRANSMITTANCE.
"""

import math

import numba
import numpy as np

from ..base import COLOR_PULL, MIN_TRANSMITTANCE, ROULETTE
from .compiling import jit, jit_parallel
from .loss import ray_gradients


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


@jit_parallel
def composite_kernel(active, first, count, density, rgb, t, background, step_size, color, transmittance, depth):
    for i in numba.prange(active):
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
    composite_kernel(
        active=int(rays.active),
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


@jit_parallel
def loss_gradient_kernel(
    active,
    first,
    count,
    density,
    rgb,
    t,
    transmittance,
    depth,
    d_color,
    d_opacity,
    d_distortion,
    step_size,
    d_density,
    d_rgb,
):
    """The gradient at every sample, from that at the rays: d_color (R,3), over black, d_opacity, d_distortion (R,).

    d colour / d density_k = step_size * (T_{k+1} c_k - sum_{j>k} w_j c_j): Max 1995, as used by Müller et al. 2022.
    d opacity / d density_k = step_size * T_N. The distortion's slopes d / d w_k take the place of colours: they are
    2 sum_j w_j |t_k - t_j| + 2/3 step_size w_k, by sums of w and w t on both sides of sample k.
    """
    for i in numba.prange(active):
        if count[i] < 0:
            continue
        last, left = first[i] - 1, np.float32(1.0)
        for s in range(first[i], first[i] + count[i]):
            if left < MIN_TRANSMITTANCE:
                d_density[s] = 0
                for a in range(3):
                    d_rgb[s, a] = 0
                continue
            last, d_density[s] = s, left  # what is left in front, until the gradient takes its place
            left *= math.exp(-density[s] * step_size)
        behind, spread_behind = -left * d_opacity[i], np.float32(0.0)
        weight_behind, depth_behind, pull = np.float32(0.0), np.float32(0.0), d_distortion[i]
        for s in range(last, first[i] - 1, -1):
            after, left = left, d_density[s]
            weight, product = left - after, np.float32(0.0)
            for a in range(3):
                product += d_color[i, a] * rgb[s, a]
                d_rgb[s, a] = weight * d_color[i, a]
            total = after * product - behind
            behind += weight * product
            if pull > 0:
                weight_before = 1 - transmittance[i] - weight_behind - weight
                depth_before = depth[i] - depth_behind - weight * t[s]
                apart = t[s] * (weight_before - weight_behind) - (depth_before - depth_behind)
                slope = 2 * apart + np.float32(2 / 3) * step_size * weight
                total += pull * (after * slope - spread_behind)
                spread_behind += weight * slope
                weight_behind, depth_behind = weight_behind + weight, depth_behind + weight * t[s]
            d_density[s] = step_size * total


@jit
def draw_lots_kernel(alive, ray, jitter, density, full_pull, faint, d_density, d_rgb, row):
    """Keeps samples by lot, as Backend.composite_loss says: those at the head of `alive`; returns how many.

    Before, sample alive[j] has row j of the activations; after, it has row[j].
    """
    kept, last, lot = 0, -1, 0.0
    for j in range(len(alive)):
        s = alive[j]
        if ray[s] != last:
            last = ray[s]
            lot = jitter[last] * ROULETTE % 1
        pull = abs(d_density[s]) * density[s]
        for a in range(3):
            pull += COLOR_PULL * abs(d_rgb[s, a])
        if pull < faint * full_pull:
            chance = pull / (faint * full_pull)
            lot += chance
            if lot < 1:
                continue
            lot -= 1
            d_density[s] /= chance
            for a in range(3):
                d_rgb[s, a] /= chance
        alive[kept], row[kept] = s, j
        kept += 1
    return kept


def draw_lots(rays, samples, faint, row):
    """Thins samples.alive out; `row` (S,) int32 receives where each had its place."""
    samples.alive_count[0] = draw_lots_kernel(
        alive=samples.alive[: int(samples.alive_count)].numpy(),
        ray=samples.ray.numpy(),
        jitter=rays.jitter.numpy(),
        density=samples.density.numpy(),
        full_pull=1 / (3 * max(1, int(rays.active))),
        faint=faint,
        d_density=samples.d_density.numpy(),
        d_rgb=samples.d_rgb.numpy(),
        row=row.numpy(),
    )


def composite_loss(rays, samples, step_size, huber, distortion):
    """Writes what Backend.composite_loss names, before lots are drawn."""
    composite(rays, samples, step_size)
    d_color, d_opacity, d_distortion = ray_gradients(rays, huber, distortion)
    loss_gradient_kernel(
        active=int(rays.active),
        first=rays.first.numpy(),
        count=rays.count.numpy(),
        density=samples.density.numpy(),
        rgb=samples.rgb.numpy(),
        t=samples.t.numpy(),
        transmittance=rays.transmittance.numpy(),
        depth=rays.depth.numpy(),
        d_color=d_color,
        d_opacity=d_opacity,
        d_distortion=d_distortion,
        step_size=step_size,
        d_density=samples.d_density.numpy(),
        d_rgb=samples.d_rgb.numpy(),
    )
