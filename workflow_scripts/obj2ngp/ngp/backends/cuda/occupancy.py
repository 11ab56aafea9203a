"""Kernels of the occupancy grid: which cells light reaches, and which are dense enough to sample.

Shapes and indices as in ngp.buffers.OccupancyGrid. An update visits the next N of the grid's `cells`, going
round; N is `visited`, and `cells` holds `total`.
"""

import triton
import triton.language as tl

from .. import STREAM_CELL
from .compositing import load_rays, load_samples
from .rays import grid_cell, hashed_words, load_vector, store_vector, unit

CELL = tl.constexpr(STREAM_CELL)


@triton.jit
def mark_seen(
    active_ptr,
    first_ptr,
    count_ptr,
    density_ptr,
    position_ptr,
    step_ptr,
    seen_ptr,
    step_size,
    behind,
    resolution,
    RAYS: tl.constexpr,
    STEPS: tl.constexpr,
):
    """Notes the step in the cells of the samples that light reaches, and of the next `behind` of each ray."""
    active, step = tl.load(active_ptr), tl.load(step_ptr)
    for block in range(tl.program_id(0), tl.cdiv(active, RAYS), tl.num_programs(0)):
        i, mask, first, count, placed = load_rays(block, active, first_ptr, count_ptr, RAYS)
        passed, dark_count = tl.zeros((RAYS,), tl.float32), tl.zeros((RAYS,), tl.int32)
        for done in range(0, tl.max(count, 0), STEPS):
            sample, exists, lit, thickness, before = load_samples(
                density_ptr, first, count, done, passed, step_size, STEPS
            )
            dark = (exists & ~lit).to(tl.int32)
            near = exists & (dark_count[:, None] + tl.cumsum(dark, 1) <= behind)
            x, y, z = load_vector(position_ptr, sample, near)
            tl.store(seen_ptr + grid_cell(x, y, z, resolution), step, mask=near)
            dark_count += tl.sum(dark, 1)
            passed += tl.sum(thickness, 1)


@triton.jit(do_not_specialize=["total", "seed", "visited"])
def visit(cells_ptr, cursor_ptr, step_ptr, total, seed, visited, resolution, position_ptr, BLOCK: tl.constexpr):
    """A random point (N,3) in each cell visited."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < visited
    cell = tl.load(cells_ptr + (tl.load(cursor_ptr) + i) % total, mask=mask, other=0)
    x, y, z, _ = hashed_words(i, tl.load(step_ptr), seed, CELL)
    x = (cell // (resolution * resolution) + unit(x)) / resolution
    y = (cell // resolution % resolution + unit(y)) / resolution
    z = (cell % resolution + unit(z)) / resolution
    store_vector(position_ptr, i, x, y, z, mask)


@triton.jit(do_not_specialize=["total", "visited"])
def keep_maximum(
    cells_ptr, cursor_ptr, density_ptr, total, visited, decay, grid_density_ptr, sum_ptr, any_ptr, BLOCK: tl.constexpr
):
    """The cells' density becomes the greater of its decayed self and the new one; clears `total_density`'s sum."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < visited
    cell = tl.load(cells_ptr + (tl.load(cursor_ptr) + i) % total, mask=mask, other=0)
    old = tl.load(grid_density_ptr + cell, mask=mask, other=0.0)
    new = tl.load(density_ptr + i, mask=mask, other=0.0)
    tl.store(grid_density_ptr + cell, tl.maximum(old * decay, new), mask=mask)
    if tl.program_id(0) == 0:
        tl.store(sum_ptr, 0.0)
        tl.store(any_ptr, 0)


@triton.jit(do_not_specialize=["total"])
def total_density(cells_ptr, grid_density_ptr, total, sum_ptr, BLOCK: tl.constexpr):
    """Adds up the density of all `cells`."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    cell = tl.load(cells_ptr + i, mask=i < total, other=0)
    tl.atomic_add(sum_ptr, tl.sum(tl.load(grid_density_ptr + cell, mask=i < total, other=0.0), 0), sem="relaxed")


@triton.jit
def dense_cells(cells_ptr, grid_density_ptr, sum_ptr, total, threshold, BLOCK: tl.constexpr):
    """(cells, whether they are in range, whether they are dense): at least the densest of all is.

    The limit is no more than the mean; a hair's breadth below it, for the rounding of the sum.
    """
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < total
    cell = tl.load(cells_ptr + i, mask=mask, other=0)
    mean = tl.load(sum_ptr) / total.to(tl.float32)
    limit = tl.minimum(threshold, mean * 0.99999)
    return cell, mask, tl.load(grid_density_ptr + cell, mask=mask, other=0.0) >= limit


@triton.jit(do_not_specialize=["total"])
def occupy(
    cells_ptr,
    grid_density_ptr,
    seen_ptr,
    step_ptr,
    sum_ptr,
    total,
    threshold,
    warmup,
    memory,
    occupied_ptr,
    any_ptr,
    BLOCK: tl.constexpr,
):
    """Marks the cells that are dense and were seen lately; `any` (1,) says whether there are any."""
    step = tl.load(step_ptr)
    if step < warmup:
        return
    cell, mask, dense = dense_cells(cells_ptr, grid_density_ptr, sum_ptr, total, threshold, BLOCK)
    keep = dense & (tl.load(seen_ptr + cell, mask=mask, other=0) >= step - memory)
    tl.store(occupied_ptr + cell, keep.to(tl.uint8), mask=mask)
    if tl.max((keep & mask).to(tl.int32), 0):
        tl.store(any_ptr, 1)


@triton.jit(do_not_specialize=["total", "visited"])
def finish_update(
    cells_ptr,
    grid_density_ptr,
    step_ptr,
    cursor_ptr,
    sum_ptr,
    any_ptr,
    total,
    visited,
    threshold,
    warmup,
    occupied_ptr,
    BLOCK: tl.constexpr,
):
    """Where no cell was kept, keeps the dense ones, seen or not; moves the cursor on."""
    if tl.program_id(0) == 0:
        tl.store(cursor_ptr, (tl.load(cursor_ptr) + visited) % total)
    if (tl.load(step_ptr) >= warmup) & (tl.load(any_ptr) == 0):
        cell, mask, dense = dense_cells(cells_ptr, grid_density_ptr, sum_ptr, total, threshold, BLOCK)
        tl.store(occupied_ptr + cell, dense.to(tl.uint8), mask=mask)
