"""Rays: drawing them through random pixels, and marching them through the occupancy grid (Müller et al. 2022, E.1).

Sample k of a ray lies at t = near + (jitter + k) * step_size, where the ray is in the unit cube from `near` on; only
samples in occupied cells are kept. Marching counts a ray's samples, finds room for them, and writes them. Every kernel
is parallel over rays.
"""

import math

import numba
import numpy as np

from ..base import STREAM_BACKGROUND, STREAM_PIXEL, rays_to_draw
from .hashing import inline, jit, pcg4d, unit

HALF = np.float32(0.5)


@jit
def draw_rays_kernel(
    active,
    seed,
    step,
    pixels,
    rgba,
    pose,
    focal,
    cx,
    cy,
    spread,
    scale,
    shift,
    origin,
    direction,
    background,
    target,
    jitter,
    edge,
):
    height, width = rgba.shape[1], rgba.shape[2]
    for i in numba.prange(active):
        pick, _, _, _ = pcg4d(i // (edge * edge), step, seed, STREAM_PIXEL)
        _, jx, jy, jt = pcg4d(i, step, seed, STREAM_PIXEL)
        red, green, blue, _ = pcg4d(i // (edge * edge), step, seed, STREAM_BACKGROUND)
        pixel = pixels[(pick * np.uint64(len(pixels))) >> np.uint64(32)]
        view, row, column = pixel // (height * width), (pixel // width) % height, pixel % width
        across, down = (i % edge + unit(jx)) / edge, (i // edge % edge + unit(jy)) / edge
        x = (column + HALF + (across - HALF) * spread - cx) / focal
        y = -(row + HALF + (down - HALF) * spread - cy) / focal
        norm = np.float32(1.0) / math.sqrt(x * x + y * y + np.float32(1.0))
        alpha = rgba[view, row, column, 3] / np.float32(255.0)
        background[i, 0], background[i, 1], background[i, 2] = unit(red), unit(green), unit(blue)
        for a in range(3):
            direction[i, a] = (pose[view, a, 0] * x + pose[view, a, 1] * y - pose[view, a, 2]) * norm
            origin[i, a] = pose[view, a, 3] * scale + shift[a]
            target[i, a] = rgba[view, row, column, a] / np.float32(255.0) * alpha + background[i, a] * (1 - alpha)
        jitter[i] = unit(jt)


def draw_rays(views, rays, samples, clock):
    """See Backend.draw_rays."""
    active = rays_to_draw(rays, samples)
    rays.active[0] = active
    focal, center_x, center_y, scale = views.camera.tolist()
    draw_rays_kernel(
        active=active,
        seed=int(clock.seed),
        step=int(clock.step),
        pixels=views.pixels[: int(views.pixel_count)].numpy(),
        rgba=views.rgba.numpy(),
        pose=views.pose.numpy(),
        focal=focal,
        cx=center_x,
        cy=center_y,
        spread=np.float32(views.jitter),
        scale=scale,
        shift=views.offset.numpy(),
        origin=rays.origin.numpy(),
        direction=rays.direction.numpy(),
        background=rays.background.numpy(),
        target=rays.target.numpy(),
        jitter=rays.jitter.numpy(),
        edge=rays.supersampling,
    )


@inline
def cube_interval(origin, direction, i):
    """Where ray i enters and leaves the unit cube; enters > leaves where it misses."""
    near, far = np.float32(0.0), np.float32(1e9)
    for a in range(3):
        d = direction[i, a]
        inverse = np.float32(1.0) / (d if abs(d) > 1e-9 else np.float32(1e-9))
        t0, t1 = -origin[i, a] * inverse, (1 - origin[i, a]) * inverse
        near, far = max(near, min(t0, t1)), min(far, max(t0, t1))
    return near, far


@inline
def next_sample(origin, direction, i, k, start, far, step_size, occupied, resolution):
    """The first march step >= k of ray i whose sample lies in an occupied cell; -1 if there is none."""
    while True:
        t = start + k * step_size
        if t >= far:
            return -1
        flat, leave = 0, np.float32(1e9)
        for a in range(3):
            d = direction[i, a]
            scaled = (origin[i, a] + t * d) * resolution
            cell = min(max(int(math.floor(scaled)), 0), resolution - 1)
            flat = flat * resolution + cell
            if abs(d) > 1e-9:
                edge = (cell + 1 if d > 0 else cell) - scaled
                leave = min(leave, edge / (d * resolution))
        if occupied[flat]:
            return k
        k += max(1, int(math.ceil(leave / step_size)))


@jit
def count_samples_kernel(active, origin, direction, jitter, occupied, resolution, step_size, count):
    for i in numba.prange(len(count)):
        count[i] = 0
        if i < active:
            near, far = cube_interval(origin, direction, i)
            start = near + jitter[i] * step_size
            k = next_sample(origin, direction, i, 0, start, far, step_size, occupied, resolution)
            while k >= 0:
                count[i] += 1
                k = next_sample(origin, direction, i, k + 1, start, far, step_size, occupied, resolution)


@numba.njit(cache=True)
def place_samples_kernel(active, first, count, capacity):
    """Each ray's place in the sample buffer; rays that do not fit get count -1. Returns the samples asked for."""
    total = 0
    for i in range(active):
        first[i] = total
        total += count[i]
        if total > capacity:
            count[i] = -1
    return total


@jit
def write_samples_kernel(
    active, origin, direction, jitter, occupied, resolution, step_size, first, count, position, t, ray
):
    for i in numba.prange(active):
        if count[i] > 0:
            near, far = cube_interval(origin, direction, i)
            start = near + jitter[i] * step_size
            k = -1
            for s in range(first[i], first[i] + count[i]):
                k = next_sample(origin, direction, i, k + 1, start, far, step_size, occupied, resolution)
                t[s], ray[s] = start + k * step_size, i
                for a in range(3):
                    position[s, a] = min(max(origin[i, a] + t[s] * direction[i, a], np.float32(0.0)), np.float32(1.0))


def march(rays, grid, samples, step_size):
    """See Backend.march."""
    active = int(rays.active)
    ray = dict(origin=rays.origin.numpy(), direction=rays.direction.numpy(), jitter=rays.jitter.numpy())
    cells = dict(occupied=grid.occupied.numpy(), resolution=grid.resolution, step_size=step_size)
    first, count = rays.first.numpy(), rays.count.numpy()
    count_samples_kernel(active=active, count=count, **ray, **cells)
    samples.count[0] = int(place_samples_kernel(active=active, first=first, count=count, capacity=samples.capacity))
    write_samples_kernel(
        active=active,
        first=first,
        count=count,
        position=samples.position.numpy(),
        t=samples.t.numpy(),
        ray=samples.ray.numpy(),
        **ray,
        **cells,
    )
