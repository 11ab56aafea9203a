"""The occupancy grid (Müller et al. 2022, E.2): which cells light reaches, and how dense those are that are visited."""

import math

import numba
import torch

from ..base import MIN_TRANSMITTANCE, SEEN_DEPTH, STREAM_CELL, keep_dense_cells, note_reach
from .compiling import jit_parallel
from .hashing import pcg4d, unit


@jit_parallel
def mark_seen_kernel(active, first, count, density, position, t, step_size, depth, resolution, step, seen, last):
    """Notes `step` in the cells of each ray's samples up to `depth` samples behind its termination.

    Rays that share a cell write the same number. `last` (R,) becomes the t of the sample that terminates the ray.
    """
    threshold = -math.log(MIN_TRANSMITTANCE)
    for i in numba.prange(active):
        thickness, left = 0.0, depth
        for s in range(first[i], first[i] + max(count[i], 0)):
            flat = 0
            for a in range(3):
                flat = flat * resolution + min(int(position[s, a] * resolution), resolution - 1)
            seen[flat] = step
            thickness += density[s] * step_size
            if thickness > threshold:
                if left == depth:
                    last[i] = t[s]
                left -= 1
                if left < 0:
                    break


def mark_seen(views, rays, samples, grid, clock, step_size):
    """See Backend.mark_seen."""
    last = torch.zeros(int(rays.active))
    mark_seen_kernel(
        active=len(last),
        first=rays.first.numpy(),
        count=rays.count.numpy(),
        density=samples.density.numpy(),
        position=samples.position.numpy(),
        t=samples.t.numpy(),
        step_size=step_size,
        depth=math.ceil(SEEN_DEPTH / grid.resolution / step_size),
        resolution=grid.resolution,
        step=int(clock.step),
        seen=grid.seen.numpy(),
        last=last.numpy(),
    )
    note_reach(views, rays, last, grid, step_size)


@jit_parallel
def cell_positions_kernel(cells, cursor, seed, step, resolution, position):
    """A random point in each of as many cells, counted from cells[cursor] and going round."""
    for i in numba.prange(len(position)):
        cell = cells[(cursor + i) % len(cells)]
        x, y, z, _ = pcg4d(i, step, seed, STREAM_CELL)
        position[i, 0] = (cell // (resolution * resolution) + unit(x)) / resolution
        position[i, 1] = (cell // resolution % resolution + unit(y)) / resolution
        position[i, 2] = (cell % resolution + unit(z)) / resolution


@jit_parallel
def keep_maximum_kernel(cells, cursor, density, decay, grid_density):
    for i in numba.prange(len(density)):
        cell = cells[(cursor + i) % len(cells)]
        grid_density[cell] = max(grid_density[cell] * decay, density[i])


def update(density, limit, grid, clock, step_size):
    """See Backend.update_occupancy; `density` is its function, and at most `limit` cells are visited."""
    total, cursor = int(grid.cell_count), int(grid.cursor)
    position = torch.empty(min(limit, total), 3)
    cells = dict(cells=grid.cells[:total].numpy(), cursor=cursor)
    numbers = dict(seed=int(clock.seed), step=int(clock.step), resolution=grid.resolution)
    cell_positions_kernel(position=position.numpy(), **cells, **numbers)
    kept = dict(decay=grid.config.decay, grid_density=grid.density.numpy())
    keep_maximum_kernel(density=density(position).numpy(), **cells, **kept)
    grid.cursor[0] = (cursor + len(position)) % total
    keep_dense_cells(grid, clock, step_size)
