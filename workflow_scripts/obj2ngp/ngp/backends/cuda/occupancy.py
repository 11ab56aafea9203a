"""Kernels of the occupancy grid: which cells light reaches, and which are dense enough to sample.

Shapes and indices as in ngp.buffers.OccupancyGrid; `total` (1,) is its cell_count. An update visits the next
min(limit, total) of its `cells`, going round, and then decides by the rule of `base.keep_dense_cells`.
"""

import math

import triton
import triton.language as tl

from ..base import MEAN_SLACK, SEEN_DEPTH, STREAM_CELL
from .compositing import MIN_TRANSMITTANCE, OPEN, TRACE_RAYS, TRACE_STEPS, load_rays, load_samples
from .loss import pixel_max
from .rays import grid_cell, hashed_words, load_vector, programs_of_rays, store_vector, unit

CELL, SLACK = tl.constexpr(STREAM_CELL), tl.constexpr(MEAN_SLACK)

CELL_BLOCK = 256  # cells of a program


@triton.jit
def mark_seen_kernel(
    active_ptr,
    first_ptr,
    count_ptr,
    density_ptr,
    position_ptr,
    t_ptr,
    transmittance_ptr,
    ray_pixel_ptr,
    step_ptr,
    seen_ptr,
    reach_ptr,
    step_size,
    behind,
    margin,
    resolution,
    PIXEL_RAYS: tl.constexpr,
    RAYS: tl.constexpr,
    STEPS: tl.constexpr,
):
    """Notes the step in the cells of the samples that light reaches, and of the next `behind` of each ray.

    A pixel's reach (V*H*W,) becomes the t of its last sample that light reaches, and `margin`; see Backend.mark_seen.
    """
    active, step = tl.load(active_ptr), tl.load(step_ptr)
    for block in range(tl.program_id(0), tl.cdiv(active, RAYS), tl.num_programs(0)):
        i, mask, first, count, placed = load_rays(block, active, first_ptr, count_ptr, RAYS)
        passed, dark_count = tl.zeros((RAYS,), tl.float32), tl.zeros((RAYS,), tl.int32)
        last = tl.zeros((RAYS,), tl.float32)
        for done in range(0, tl.max(count, 0), STEPS):
            sample, exists, lit, thickness, before = load_samples(
                density_ptr, first, count, done, passed, step_size, STEPS
            )
            dark = (exists & ~lit).to(tl.int32)
            near = exists & (dark_count[:, None] + tl.cumsum(dark, 1) <= behind)
            x, y, z = load_vector(position_ptr, sample, near)
            tl.store(seen_ptr + grid_cell(x, y, z, resolution), step, mask=near)
            last = tl.maximum(last, tl.max(tl.load(t_ptr + sample, mask=lit, other=0.0), 1))
            dark_count += tl.sum(dark, 1)
            passed += tl.sum(thickness, 1)
        left = tl.load(transmittance_ptr + i, mask=mask, other=1.0)
        reach = tl.where(placed & (left < MIN_TRANSMITTANCE), last + margin, OPEN)
        tl.store(reach_ptr + tl.load(ray_pixel_ptr + i, mask=mask, other=0), pixel_max(reach, PIXEL_RAYS), mask=mask)


def mark_seen(views, rays, samples, grid, clock, step_size, processors):
    """See Backend.mark_seen."""
    depth = SEEN_DEPTH / grid.resolution
    mark_seen_kernel[programs_of_rays(rays, TRACE_RAYS, processors)](
        active_ptr=rays.active,
        first_ptr=rays.first,
        count_ptr=rays.count,
        density_ptr=samples.density,
        position_ptr=samples.position,
        t_ptr=samples.t,
        transmittance_ptr=rays.transmittance,
        ray_pixel_ptr=rays.pixel,
        step_ptr=clock.step,
        seen_ptr=grid.seen,
        reach_ptr=views.reach,
        step_size=step_size,
        behind=math.ceil(depth / step_size),
        margin=depth + step_size,
        PIXEL_RAYS=rays.supersampling**2,
        resolution=grid.resolution,
        RAYS=TRACE_RAYS,
        STEPS=TRACE_STEPS,
    )


@triton.jit(do_not_specialize=["limit"])
def visit_kernel(
    cells_ptr, total_ptr, cursor_ptr, step_ptr, seed_ptr, limit, resolution, position_ptr, BLOCK: tl.constexpr
):
    """A random point (limit,3) in each cell visited."""
    total, seed = tl.load(total_ptr), tl.load(seed_ptr)
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < tl.minimum(limit, total)
    cell = tl.load(cells_ptr + (tl.load(cursor_ptr) + i) % total, mask=mask, other=0)
    x, y, z, _ = hashed_words(i, tl.load(step_ptr), seed, CELL)
    x = (cell // (resolution * resolution) + unit(x)) / resolution
    y = (cell // resolution % resolution + unit(y)) / resolution
    z = (cell % resolution + unit(z)) / resolution
    store_vector(position_ptr, i, x, y, z, mask)


@triton.jit(do_not_specialize=["limit"])
def keep_maximum_kernel(
    cells_ptr, total_ptr, cursor_ptr, density_ptr, limit, decay, grid_density_ptr, sum_ptr, any_ptr, BLOCK: tl.constexpr
):
    """The cells' density becomes the greater of its decayed self and the new one; clears sum (1,) and any (1,)."""
    total = tl.load(total_ptr)
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < tl.minimum(limit, total)
    cell = tl.load(cells_ptr + (tl.load(cursor_ptr) + i) % total, mask=mask, other=0)
    old = tl.load(grid_density_ptr + cell, mask=mask, other=0.0)
    new = tl.load(density_ptr + i, mask=mask, other=0.0)
    tl.store(grid_density_ptr + cell, tl.maximum(old * decay, new), mask=mask)
    if tl.program_id(0) == 0:
        tl.store(sum_ptr, 0.0)
        tl.store(any_ptr, 0)


@triton.jit
def total_density_kernel(cells_ptr, total_ptr, grid_density_ptr, sum_ptr, BLOCK: tl.constexpr):
    """Adds up the density of all `cells`."""
    total = tl.load(total_ptr)
    if tl.program_id(0) * BLOCK >= total:
        return
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    cell = tl.load(cells_ptr + i, mask=i < total, other=0)
    tl.atomic_add(sum_ptr, tl.sum(tl.load(grid_density_ptr + cell, mask=i < total, other=0.0), 0), sem="relaxed")


@triton.jit
def dense_cells(cells_ptr, grid_density_ptr, sum_ptr, total, threshold, BLOCK: tl.constexpr):
    """(cells, whether they are in range, whether they are dense)."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < total
    cell = tl.load(cells_ptr + i, mask=mask, other=0)
    mean = tl.load(sum_ptr) / total.to(tl.float32)
    limit = tl.minimum(threshold, mean * SLACK)
    return cell, mask, tl.load(grid_density_ptr + cell, mask=mask, other=0.0) >= limit


@triton.jit
def occupy_kernel(
    cells_ptr,
    total_ptr,
    grid_density_ptr,
    seen_ptr,
    step_ptr,
    sum_ptr,
    threshold,
    first_step,
    memory,
    occupied_ptr,
    any_ptr,
    BLOCK: tl.constexpr,
):
    """Marks the cells that are dense and were seen lately; `any` (1,) says whether there are any."""
    step, total = tl.load(step_ptr), tl.load(total_ptr)
    if (step < first_step) | (tl.program_id(0) * BLOCK >= total):
        return
    cell, mask, dense = dense_cells(cells_ptr, grid_density_ptr, sum_ptr, total, threshold, BLOCK)
    keep = dense & (tl.load(seen_ptr + cell, mask=mask, other=0) >= step - memory)
    tl.store(occupied_ptr + cell, keep.to(tl.uint8), mask=mask)
    if tl.max((keep & mask).to(tl.int32), 0):
        tl.store(any_ptr, 1)


@triton.jit(do_not_specialize=["limit"])
def finish_update_kernel(
    cells_ptr,
    total_ptr,
    grid_density_ptr,
    step_ptr,
    cursor_ptr,
    sum_ptr,
    any_ptr,
    limit,
    threshold,
    first_step,
    occupied_ptr,
    BLOCK: tl.constexpr,
):
    """Where no cell was kept, keeps the dense ones, seen or not; moves the cursor on."""
    total = tl.load(total_ptr)
    if tl.program_id(0) == 0:
        tl.store(cursor_ptr, (tl.load(cursor_ptr) + tl.minimum(limit, total)) % total)
    if (tl.load(step_ptr) >= first_step) & (tl.load(any_ptr) == 0):
        cell, mask, dense = dense_cells(cells_ptr, grid_density_ptr, sum_ptr, total, threshold, BLOCK)
        tl.store(occupied_ptr + cell, dense.to(tl.uint8), mask=mask)


def visit(grid, clock, position):
    """Writes a random point in each cell that an update visits into `position` (limit,3)."""
    visit_kernel[(triton.cdiv(len(position), CELL_BLOCK),)](
        cells_ptr=grid.cells,
        total_ptr=grid.cell_count,
        cursor_ptr=grid.cursor,
        step_ptr=clock.step,
        seed_ptr=clock.seed,
        limit=len(position),
        resolution=grid.resolution,
        position_ptr=position,
        BLOCK=CELL_BLOCK,
    )


def take(density, grid, clock, step_size, density_sum, any_kept):
    """Ends an update: takes `density` (limit,) at the points of `visit`, decides which cells stay, moves the cursor.

    density_sum (1,) float32 and any_kept (1,) int32 are scratch.
    """
    settings, limit = grid.config, len(density)
    cells = dict(cells_ptr=grid.cells, total_ptr=grid.cell_count, grid_density_ptr=grid.density, BLOCK=CELL_BLOCK)
    rule = dict(threshold=settings.threshold / step_size, first_step=settings.warmup, occupied_ptr=grid.occupied)
    every_cell = (triton.cdiv(len(grid.cells), CELL_BLOCK),)
    keep_maximum_kernel[(triton.cdiv(limit, CELL_BLOCK),)](
        cursor_ptr=grid.cursor,
        density_ptr=density,
        limit=limit,
        decay=settings.decay,
        sum_ptr=density_sum,
        any_ptr=any_kept,
        **cells,
    )
    total_density_kernel[every_cell](sum_ptr=density_sum, **cells)
    occupy_kernel[every_cell](
        seen_ptr=grid.seen,
        step_ptr=clock.step,
        sum_ptr=density_sum,
        memory=settings.memory,
        any_ptr=any_kept,
        **cells,
        **rule,
    )
    finish_update_kernel[every_cell](
        step_ptr=clock.step, cursor_ptr=grid.cursor, sum_ptr=density_sum, any_ptr=any_kept, limit=limit, **cells, **rule
    )
