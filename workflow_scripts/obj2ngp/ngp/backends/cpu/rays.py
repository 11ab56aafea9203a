"""Rays: drawing them through random pixels, and marching them through the occupancy grid (Müller et al. 2022, E.1).

Sample k of a ray lies at t = near + (jitter + k) * step_size, where the ray is in the unit cube from `near` on; only
samples in occupied cells are kept. Marching counts a ray's samples, finds room for them, and writes them.
"""

import math

import numba
import numpy as np

from ..base import STREAM_BACKGROUND, STREAM_PIXEL, rays_to_draw
from .compiling import jit, jit_parallel
from .hashing import pcg4d, unit

HALF = np.float32(0.5)
BLOCK = 4  # cells along an edge of a block that rays leave in one go where all of it is empty


@jit_parallel
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
    ray_pixel,
    edge,
):
    height, width = rgba.shape[1], rgba.shape[2]
    for i in numba.prange(active):
        part, part_row, part_column = i % (edge * edge), i // edge % edge, i % edge
        pick, jx, jy, jt = pcg4d(i // (edge * edge), step, seed, STREAM_PIXEL)
        red, green, blue, _ = pcg4d(i // (edge * edge), step, seed, STREAM_BACKGROUND)
        pixel = pixels[(pick * np.uint64(len(pixels))) >> np.uint64(32)]
        view, row, column = pixel // (height * width), (pixel // width) % height, pixel % width
        across = ((part_column + part_row / edge) / edge + unit(jx)) % 1
        down = ((part_row + (edge - 1 - part_column) / edge) / edge + unit(jy)) % 1
        x = (column + HALF + (across - HALF) * spread - cx) / focal
        y = -(row + HALF + (down - HALF) * spread - cy) / focal
        norm = np.float32(1.0) / math.sqrt(x * x + y * y + np.float32(1.0))
        alpha = rgba[view, row, column, 3] / np.float32(255.0)
        background[i, 0], background[i, 1], background[i, 2] = unit(red), unit(green), unit(blue)
        for a in range(3):
            direction[i, a] = (pose[view, a, 0] * x + pose[view, a, 1] * y - pose[view, a, 2]) * norm
            origin[i, a] = pose[view, a, 3] * scale + shift[a]
            target[i, a] = rgba[view, row, column, a] / np.float32(255.0) * alpha + background[i, a] * (1 - alpha)
        jitter[i] = (part / (edge * edge) + unit(jt)) % 1
        ray_pixel[i] = pixel


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
        ray_pixel=rays.pixel.numpy(),
        edge=rays.supersampling,
    )
    rays.far[:active] = views.reach[rays.pixel[:active].long()].float()


@jit
def cube_interval(origin, direction, i):
    """Where ray i enters and leaves the unit cube; enters > leaves where it misses."""
    near, far = np.float32(0.0), np.float32(1e9)
    for a in range(3):
        d = direction[i, a]
        inverse = np.float32(1.0) / (d if abs(d) > 1e-9 else np.float32(1e-9))
        t0, t1 = -origin[i, a] * inverse, (1 - origin[i, a]) * inverse
        near, far = max(near, min(t0, t1)), min(far, max(t0, t1))
    return near, far


@jit
def unite(row, other):
    for z in range(len(row)):  # by itself, so that the compiler makes vector instructions of it
        row[z] |= other[z]


@jit_parallel
def block_kernel(occupied, resolution, blocks):
    """Marks the blocks (B,B,B) that hold an occupied cell."""
    for x in numba.prange(len(blocks)):
        within = np.empty(resolution, np.uint8)
        for y in range(len(blocks)):
            within[:] = 0
            for cell_x in range(x * BLOCK, min(x * BLOCK + BLOCK, resolution)):
                for cell_y in range(y * BLOCK, min(y * BLOCK + BLOCK, resolution)):
                    row = (cell_x * resolution + cell_y) * resolution
                    unite(within, occupied[row : row + resolution])
            for z in range(len(blocks)):
                blocks[x, y, z] = within[z * BLOCK : z * BLOCK + BLOCK].any()


def cells_of(grid, step_size):
    """What the marching kernels read of an OccupancyGrid."""
    occupied = grid.occupied.numpy()
    blocks = np.empty((-(-grid.resolution // BLOCK),) * 3, np.uint8)
    block_kernel(occupied=occupied, resolution=grid.resolution, blocks=blocks)
    return dict(occupied=occupied, blocks=blocks, resolution=grid.resolution, step_size=step_size)


@jit
def next_sample(origin, direction, i, k, start, far, step_size, occupied, blocks, resolution):
    """The first march step >= k of ray i whose sample lies in an occupied cell; -1 if there is none."""
    ox, oy, oz = origin[i, 0] * resolution, origin[i, 1] * resolution, origin[i, 2] * resolution
    dx, dy, dz = direction[i, 0] * resolution, direction[i, 1] * resolution, direction[i, 2] * resolution
    last = resolution - 1
    while True:
        t = start + k * step_size
        if t >= far:
            return -1
        px, py, pz = ox + t * dx, oy + t * dy, oz + t * dz
        x, y, z = min(max(int(px), 0), last), min(max(int(py), 0), last), min(max(int(pz), 0), last)
        edge = 1
        if blocks[x // BLOCK, y // BLOCK, z // BLOCK]:
            if occupied[(x * resolution + y) * resolution + z]:
                return k
        else:
            edge, x, y, z = BLOCK, x // BLOCK * BLOCK, y // BLOCK * BLOCK, z // BLOCK * BLOCK
        leave = min(exit_after(px, x, dx, edge), exit_after(py, y, dy, edge), exit_after(pz, z, dz, edge))
        k += max(1, int(math.ceil(leave / step_size)))


@jit
def exit_after(place, low, rate, edge):
    """How far along one axis, at `rate` a length of the ray, the way from `place` out of [low, low + edge] is."""
    if abs(rate) < 1e-6:
        return np.float32(1e9)
    return (np.float32(low + (edge if rate > 0 else 0)) - place) / rate


@jit_parallel
def count_samples_kernel(active, origin, direction, jitter, far, occupied, blocks, resolution, step_size, count):
    for i in numba.prange(active):
        near, leaves = cube_interval(origin, direction, i)
        limit = min(leaves, far[i])
        start = near + jitter[i] * step_size
        count[i] = 0
        k = next_sample(origin, direction, i, 0, start, limit, step_size, occupied, blocks, resolution)
        while k >= 0:
            count[i] += 1
            k = next_sample(origin, direction, i, k + 1, start, limit, step_size, occupied, blocks, resolution)


@jit
def place_samples_kernel(active, first, count, capacity):
    """Each ray's place in the sample buffer; rays that do not fit get count -1. Returns the samples asked for."""
    total = 0
    for i in range(active):
        first[i] = total
        total += count[i]
        if total > capacity:
            count[i] = -1
    return total


@jit_parallel
def write_samples_kernel(
    active, origin, direction, jitter, far, occupied, blocks, resolution, step_size, first, count, position, t, ray
):
    for i in numba.prange(active):
        if count[i] > 0:
            near, leaves = cube_interval(origin, direction, i)
            limit = min(leaves, far[i])
            start = near + jitter[i] * step_size
            k = -1
            for s in range(first[i], first[i] + count[i]):
                k = next_sample(origin, direction, i, k + 1, start, limit, step_size, occupied, blocks, resolution)
                t[s], ray[s] = start + k * step_size, i
                for a in range(3):
                    position[s, a] = min(max(origin[i, a] + t[s] * direction[i, a], np.float32(0.0)), np.float32(1.0))


def march(rays, grid, samples, step_size):
    """See Backend.march."""
    active = int(rays.active)
    first, count = rays.first.numpy(), rays.count.numpy()
    arrays = dict(
        active=active,
        origin=rays.origin.numpy(),
        direction=rays.direction.numpy(),
        jitter=rays.jitter.numpy(),
        far=rays.far.numpy(),
        count=count,
        **cells_of(grid, step_size),
    )
    written = dict(first=first, position=samples.position.numpy(), t=samples.t.numpy(), ray=samples.ray.numpy())
    rays.count[active:] = 0
    count_samples_kernel(**arrays)
    samples.count[0] = int(place_samples_kernel(active=active, first=first, count=count, capacity=samples.capacity))
    write_samples_kernel(**arrays, **written)
