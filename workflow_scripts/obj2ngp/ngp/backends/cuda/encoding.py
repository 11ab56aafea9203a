"""Multiresolution hash encoding (Müller et al. 2022) and its gradient.

One program handles a block of samples on one level; the level is the slow axis of the launch grid, so that
the programs that run at one time share one level's table. The FEATURES values of a table entry are loaded,
and added to, as one vector: on a GPU an fp16 pair is one packed atomic addition.
"""

import triton
import triton.language as tl

from ...field import HASH_PRIMES
from .rays import load_vector

ENCODING_BLOCK = 128  # samples of a program of the forward kernel
# Lanes of a program of the backward kernel, and samples that each walks along. With as many lanes as threads, a thread
# holds a whole table entry; with fewer its features would be added one by one.
SCATTER_LANES, SCATTER_RUN = 128, 8

PRIME_Y, PRIME_Z = tl.constexpr(HASH_PRIMES[1]), tl.constexpr(HASH_PRIMES[2])


@triton.jit
def level_cell(position_ptr, sample, mask, scale):
    """The lower corner (x,y,z), and the fractions along each axis, of the cell around each sample."""
    px, py, pz = load_vector(position_ptr, sample, mask)
    px, py, pz = px * scale + 0.5, py * scale + 0.5, pz * scale + 0.5
    x, y, z = tl.floor(px), tl.floor(py), tl.floor(pz)
    return x.to(tl.int32), y.to(tl.int32), z.to(tl.int32), px - x, py - y, pz - z


@triton.jit
def vertex_entry(x, y, z, resolution, hashed, size):
    """The entry, in its level's table, of a vertex; beyond the last vertex, that of the last one."""
    x, y, z = tl.minimum(x, resolution - 1), tl.minimum(y, resolution - 1), tl.minimum(z, resolution - 1)
    word = x.to(tl.uint32) ^ (y.to(tl.uint32) * PRIME_Y) ^ (z.to(tl.uint32) * PRIME_Z)
    hash_entry = (word & (size - 1).to(tl.uint32)).to(tl.int32)
    return tl.where(hashed, hash_entry, x + resolution * (y + resolution * z))


@triton.jit
def load_level(scale_ptr, resolution_ptr, offset_ptr, hashed_ptr, level):
    """scale, resolution, first entry, entries, and whether they are hashed, of a level."""
    first = tl.load(offset_ptr + level)
    size = tl.load(offset_ptr + level + 1) - first
    return tl.load(scale_ptr + level), tl.load(resolution_ptr + level), first, size, tl.load(hashed_ptr + level) != 0


@triton.jit(do_not_specialize=["capacity"])
def encode_kernel(
    position_ptr,
    count_ptr,
    table_ptr,
    scale_ptr,
    resolution_ptr,
    offset_ptr,
    hashed_ptr,
    encoding_ptr,
    row_stride,
    column_stride,
    capacity,
    FEATURES: tl.constexpr,
    FEATURE_BLOCK: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """encoding (S, LEVELS*FEATURES) of the first `count` positions (S,3), at most `capacity`."""
    level = tl.program_id(1)
    count = tl.minimum(tl.load(count_ptr), capacity)
    if tl.program_id(0) * BLOCK >= count:
        return
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    f = tl.arange(0, FEATURE_BLOCK)
    mask = i < count
    scale, resolution, first, size, hashed = load_level(scale_ptr, resolution_ptr, offset_ptr, hashed_ptr, level)
    x, y, z, fx, fy, fz = level_cell(position_ptr, i, mask, scale)
    entries_ptr = table_ptr + first.to(tl.int64) * FEATURES
    total = tl.zeros((BLOCK, FEATURE_BLOCK), tl.float32)
    for corner in tl.static_range(8):
        entry = vertex_entry(x + corner % 2, y + corner // 2 % 2, z + corner // 4, resolution, hashed, size)
        weight = fx if corner % 2 else 1.0 - fx
        weight *= fy if corner // 2 % 2 else 1.0 - fy
        weight *= fz if corner // 4 else 1.0 - fz
        wanted = mask[:, None] & (f < FEATURES)[None, :]
        value = tl.load(entries_ptr + entry[:, None] * FEATURES + f[None, :], mask=wanted, other=0.0)
        total += weight[:, None] * value.to(tl.float32)
    place = encoding_ptr + i[:, None] * row_stride + (level * FEATURES + f)[None, :] * column_stride
    tl.store(place, total.to(encoding_ptr.dtype.element_ty), mask=mask[:, None] & (f < FEATURES)[None, :])


def strides_of(encoding):
    """How an encoding (n, levels*features) lies in memory, for the kernels."""
    return dict(zip(("row_stride", "column_stride"), encoding.stride()))


def levels_of(field):
    """What the kernels read of the field's GridLevels and NetworkConfig."""
    levels, features = field.levels, field.network.features
    return dict(
        scale_ptr=levels.scale,
        resolution_ptr=levels.resolution,
        offset_ptr=levels.offset,
        hashed_ptr=levels.hashed,
        FEATURES=features,
        FEATURE_BLOCK=triton.next_power_of_2(features),
    )


def encode(field, position, count, encoding):
    """Writes the first `count` (1,) int32 rows of `encoding` (n, levels*features), of positions (n, 3)."""
    encode_kernel[(triton.cdiv(len(encoding), ENCODING_BLOCK), field.network.levels)](
        position_ptr=position,
        count_ptr=count,
        table_ptr=field.compute_table,
        encoding_ptr=encoding,
        **strides_of(encoding),
        capacity=len(encoding),
        BLOCK=ENCODING_BLOCK,
        **levels_of(field),
    )


@triton.jit
def scatter(d_level_ptr, sums, x, y, z, upper, resolution, hashed, size, mask, FEATURES: tl.constexpr):
    """Adds to a level's gradient the sums of four of the corners of each cell: those with x + upper."""
    f = tl.arange(0, sums[0].shape[1])[None, :]
    for corner in tl.static_range(4):
        entry = vertex_entry(x + upper, y + corner % 2, z + corner // 2, resolution, hashed, size)
        wanted = mask & (tl.sum(tl.abs(sums[corner]), 1) != 0.0)
        tl.atomic_add(
            d_level_ptr + entry[:, None] * FEATURES + f,
            sums[corner].to(d_level_ptr.dtype.element_ty),
            mask=wanted[:, None] & (f < FEATURES),
            sem="relaxed",
        )


@triton.jit
def encode_backward_kernel(
    position_ptr,
    alive_ptr,
    alive_count_ptr,
    d_encoding_ptr,
    row_stride,
    column_stride,
    scale_ptr,
    resolution_ptr,
    offset_ptr,
    hashed_ptr,
    d_table_ptr,
    FEATURES: tl.constexpr,
    FEATURE_BLOCK: tl.constexpr,
    LANES: tl.constexpr,
    RUN: tl.constexpr,
):
    """Adds to d_table what the samples alive[j] with d_encoding[j] contribute.

    Atomic additions are what this costs. Samples that follow one another on a ray often share a coarse level's
    cell: each lane walks along RUN samples and adds up what they owe to one cell before it goes to memory. Two
    lanes share a run, one for the lower, one for the upper corners along x. These lie side by side in the table
    in seven cases of eight, dense or hashed, so that one memory transaction updates both.
    """
    level = tl.program_id(1)
    count = tl.load(alive_count_ptr)
    if tl.program_id(0) * (LANES // 2 * RUN) >= count:
        return
    lane = tl.program_id(0) * LANES + tl.arange(0, LANES)
    upper = lane % 2
    f = tl.arange(0, FEATURE_BLOCK)[None, :]
    scale, resolution, first, size, hashed = load_level(scale_ptr, resolution_ptr, offset_ptr, hashed_ptr, level)
    d_level_ptr = d_table_ptr + first.to(tl.int64) * FEATURES
    none = tl.zeros((LANES, FEATURE_BLOCK), tl.float32)
    sums = (none, none, none, none)
    x, y, z = tl.zeros((LANES,), tl.int32), tl.zeros((LANES,), tl.int32), tl.zeros((LANES,), tl.int32)
    for n in range(RUN):
        j = lane // 2 * RUN + n
        mask = j < count
        i = tl.load(alive_ptr + j, mask=mask, other=0)
        new_x, new_y, new_z, fx, fy, fz = level_cell(position_ptr, i, mask, scale)
        place = d_encoding_ptr + j[:, None] * row_stride + (level * FEATURES + f) * column_stride
        gradient = tl.load(place, mask=mask[:, None] & (f < FEATURES), other=0.0).to(tl.float32)
        moved = (new_x != x) | (new_y != y) | (new_z != z)
        scatter(d_level_ptr, sums, x, y, z, upper, resolution, hashed, size, moved, FEATURES)
        x, y, z = new_x, new_y, new_z
        gradient *= tl.where(upper == 1, fx, 1.0 - fx)[:, None]
        below, above = gradient * (1.0 - fz)[:, None], gradient * fz[:, None]
        kept = tl.where(moved, 0.0, 1.0)[:, None]
        sums = (
            sums[0] * kept + below * (1.0 - fy)[:, None],
            sums[1] * kept + below * fy[:, None],
            sums[2] * kept + above * (1.0 - fy)[:, None],
            sums[3] * kept + above * fy[:, None],
        )
    scatter(d_level_ptr, sums, x, y, z, upper, resolution, hashed, size, lane >= 0, FEATURES)


def encode_backward(field, samples):
    """See Backend.encode_backward."""
    blocks = triton.cdiv(samples.capacity, SCATTER_LANES // 2 * SCATTER_RUN)
    encode_backward_kernel[(blocks, field.network.levels)](
        position_ptr=samples.position,
        alive_ptr=samples.alive,
        alive_count_ptr=samples.alive_count,
        d_encoding_ptr=samples.d_encoding,
        **strides_of(samples.d_encoding),
        d_table_ptr=field.table_gradient,
        LANES=SCATTER_LANES,
        RUN=SCATTER_RUN,
        **levels_of(field),
    )
