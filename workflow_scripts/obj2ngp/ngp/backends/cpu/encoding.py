"""Multiresolution hash encoding (Müller et al. 2022) and its gradient.

On each level a feature is the trilinear mean of its values at the eight vertices around the sample. Parts of the
forward stage are samples, those of the backward stage levels, which share no table entries. What a level makes of the
coordinates is worked out for a tile at once, in loops that the compiler turns into vector instructions.
"""

import numba
import numpy as np

from ...field import HASH_PRIMES
from .compiling import jit, jit_parallel

PART = 512  # samples
TILE = 64
HALF, ONE = np.float32(0.5), np.float32(1.0)
STEP_X, PRIME_Y, PRIME_Z = (np.uint32(prime) for prime in HASH_PRIMES)


@jit
def along_axis(position, scale, limit, stride, low, high, fraction):
    """One coordinate of a tile: the vertices below and above it, times `stride`, and where it lies between them."""
    for s in range(TILE):
        scaled = position[s] * scale + HALF
        vertex = np.int32(scaled)
        fraction[s] = scaled - np.float32(vertex)
        low[s] = np.uint32(min(vertex, limit)) * stride
        high[s] = np.uint32(min(np.int32(vertex + np.int32(1)), limit)) * stride


@jit
def along_axes(position, scale, vertices, hashed, low, high, fraction):
    """The three coordinates (3,TILE) of a tile on one level; the strides are those of the level's kind."""
    side, limit = np.uint32(vertices), np.int32(vertices - 1)
    stride_y, stride_z = (PRIME_Y, PRIME_Z) if hashed else (side, np.uint32(side * side))
    along_axis(position[0], scale, limit, STEP_X, low[0], high[0], fraction[0])
    along_axis(position[1], scale, limit, stride_y, low[1], high[1], fraction[1])
    along_axis(position[2], scale, limit, stride_z, low[2], high[2], fraction[2])


@jit
def corners(low, high, s, first, mask, hashed):
    """The table entries of the eight vertices around sample s of a tile; x runs fastest, then y."""
    x0, x1, y0, y1, z0, z1 = low[0, s], high[0, s], low[1, s], high[1, s], low[2, s], high[2, s]
    if hashed:
        a, b, c, d = y0 ^ z0, y1 ^ z0, y0 ^ z1, y1 ^ z1
        return (
            first + ((x0 ^ a) & mask),
            first + ((x1 ^ a) & mask),
            first + ((x0 ^ b) & mask),
            first + ((x1 ^ b) & mask),
            first + ((x0 ^ c) & mask),
            first + ((x1 ^ c) & mask),
            first + ((x0 ^ d) & mask),
            first + ((x1 ^ d) & mask),
        )
    a, b, c, d = first + y0 + z0, first + y1 + z0, first + y0 + z1, first + y1 + z1
    return x0 + a, x1 + a, x0 + b, x1 + b, x0 + c, x1 + c, x0 + d, x1 + d


@jit
def corner_weights(fraction, s):
    """Their trilinear weights."""
    fx, fy, fz = fraction[0, s], fraction[1, s], fraction[2, s]
    gx, gy, gz = ONE - fx, ONE - fy, ONE - fz
    a, b, c, d = gy * gz, fy * gz, gy * fz, fy * fz
    return gx * a, fx * a, gx * b, fx * b, gx * c, fx * c, gx * d, fx * d


@jit
def encode_part(n, position, table, scale, vertices, offset, hashed, channels, encoding):
    place, fraction = np.zeros((3, TILE), np.float32), np.empty((3, TILE), np.float32)
    low, high = np.empty((3, TILE), np.uint32), np.empty((3, TILE), np.uint32)
    for begin in range(0, n, TILE):
        count = min(TILE, n - begin)
        for s in range(count):
            for a in range(3):
                place[a, s] = position[begin + s, a]
        for level in range(len(scale)):
            along_axes(place, scale[level], vertices[level], hashed[level], low, high, fraction)
            first, mask = np.uint32(offset[level]), np.uint32(offset[level + 1] - offset[level] - 1)
            for s in range(count):
                e0, e1, e2, e3, e4, e5, e6, e7 = corners(low, high, s, first, mask, hashed[level])
                w0, w1, w2, w3, w4, w5, w6, w7 = corner_weights(fraction, s)
                for f in range(len(channels)):
                    encoding[begin + s, level * len(channels) + f] = (
                        (w0 * table[e0, f] + w1 * table[e1, f]) + (w2 * table[e2, f] + w3 * table[e3, f])
                    ) + ((w4 * table[e4, f] + w5 * table[e5, f]) + (w6 * table[e6, f] + w7 * table[e7, f]))


@jit_parallel
def encode_kernel(n, position, table, scale, vertices, offset, hashed, channels, encoding):
    for part in numba.prange(-(-n // PART)):
        begin, end = part * PART, min((part + 1) * PART, n)
        encode_part(
            end - begin, position[begin:end], table, scale, vertices, offset, hashed, channels, encoding[begin:end]
        )


@jit
def encode_backward_level(level, index, position, d_encoding, scale, vertices, offset, hashed, channels, d_table):
    """`d_encoding` row j belongs to sample index[j]."""
    place, fraction = np.zeros((3, TILE), np.float32), np.empty((3, TILE), np.float32)
    low, high = np.empty((3, TILE), np.uint32), np.empty((3, TILE), np.uint32)
    first, mask = np.uint32(offset[level]), np.uint32(offset[level + 1] - offset[level] - 1)
    for begin in range(0, len(index), TILE):
        count = min(TILE, len(index) - begin)
        for s in range(count):
            for a in range(3):
                place[a, s] = position[index[begin + s], a]
        along_axes(place, scale[level], vertices[level], hashed[level], low, high, fraction)
        for s in range(count):
            entries, weights = corners(low, high, s, first, mask, hashed[level]), corner_weights(fraction, s)
            for c in range(8):
                for f in range(len(channels)):
                    d_table[entries[c], f] += weights[c] * d_encoding[begin + s, level * len(channels) + f]


@jit_parallel
def encode_backward_kernel(index, position, d_encoding, scale, vertices, offset, hashed, channels, d_table):
    for level in numba.prange(len(scale)):
        encode_backward_level(level, index, position, d_encoding, scale, vertices, offset, hashed, channels, d_table)


def levels_of(field):
    """What the kernels read of the field's GridLevels.

    The length of `channels` is the number of features: with a tuple, part of the type, so that loops unroll.
    """
    levels = field.levels
    return dict(
        channels=(0,) * field.network.features,
        scale=levels.scale.numpy(),
        vertices=levels.resolution.numpy(),
        offset=levels.offset.numpy(),
        hashed=levels.hashed.numpy(),
    )


def encode(field, samples):
    """See Backend.encode."""
    encode_kernel(
        n=samples.used(),
        position=samples.position.numpy(),
        table=field.table.numpy(),
        encoding=samples.encoding.numpy(),
        **levels_of(field),
    )


def encode_backward(field, samples):
    """See Backend.encode_backward."""
    encode_backward_kernel(
        index=samples.alive[: int(samples.alive_count)].numpy(),
        position=samples.position.numpy(),
        d_encoding=samples.d_encoding.numpy(),
        d_table=field.table_gradient.numpy(),
        **levels_of(field),
    )
