"""Multiresolution hash encoding (Müller et al. 2022) and its gradient.

On each level a feature is the trilinear mean of its values at the eight vertices around the sample. The forward
kernel is parallel over samples, the backward one over levels, which share no table entries.
"""

import functools

import numba
import numpy as np

from ...field import HASH_PRIMES
from .hashing import inline, jit

HALF, ONE = np.float32(0.5), np.float32(1.0)


@inline
def corners(position, s, scale, resolution, offset, hashed, size):
    """The cell around sample s on one level: its corners' table entries and trilinear weights, eight each."""
    px, py, pz = position[s, 0] * scale + HALF, position[s, 1] * scale + HALF, position[s, 2] * scale + HALF
    x0, y0, z0 = int(px), int(py), int(pz)
    fx, fy, fz = px - np.float32(x0), py - np.float32(y0), pz - np.float32(z0)
    gx, gy, gz = ONE - fx, ONE - fy, ONE - fz
    weights = (
        gx * gy * gz,
        fx * gy * gz,
        gx * fy * gz,
        fx * fy * gz,
        gx * gy * fz,
        fx * gy * fz,
        gx * fy * fz,
        fx * fy * fz,
    )
    limit = resolution - 1
    x0, x1 = min(x0, limit), min(x0 + 1, limit)
    y0, y1 = min(y0, limit), min(y0 + 1, limit)
    z0, z1 = min(z0, limit), min(z0 + 1, limit)
    if hashed:
        y0, y1, z0, z1 = y0 * HASH_PRIMES[1], y1 * HASH_PRIMES[1], z0 * HASH_PRIMES[2], z1 * HASH_PRIMES[2]
        mask = size - 1
        a, b, c, d = y0 ^ z0, y1 ^ z0, y0 ^ z1, y1 ^ z1
        return (
            offset + ((x0 ^ a) & mask),
            offset + ((x1 ^ a) & mask),
            offset + ((x0 ^ b) & mask),
            offset + ((x1 ^ b) & mask),
            offset + ((x0 ^ c) & mask),
            offset + ((x1 ^ c) & mask),
            offset + ((x0 ^ d) & mask),
            offset + ((x1 ^ d) & mask),
        ), weights
    y0, y1, z0, z1 = y0 * resolution, y1 * resolution, z0 * resolution * resolution, z1 * resolution * resolution
    a, b, c, d = offset + y0 + z0, offset + y1 + z0, offset + y0 + z1, offset + y1 + z1
    return (x0 + a, x1 + a, x0 + b, x1 + b, x0 + c, x1 + c, x0 + d, x1 + d), weights


@functools.lru_cache(maxsize=None)
def encoding_kernels(features):
    """(encode_kernel, encode_backward_kernel) for tables with so many features: a constant, so that loops unroll."""

    @jit
    def encode_kernel(n, position, table, scale, resolution, offset, hashed, encoding):
        for s in numba.prange(n):
            for level in range(len(scale)):
                size = offset[level + 1] - offset[level]
                entries, weights = corners(
                    position, s, scale[level], resolution[level], offset[level], hashed[level], size
                )
                for f in range(features):
                    total = np.float32(0.0)
                    for c in range(8):
                        total += weights[c] * table[entries[c], f]
                    encoding[s, level * features + f] = total

    @jit
    def encode_backward_kernel(index, position, d_encoding, scale, resolution, offset, hashed, d_table):
        """`d_encoding` row j belongs to sample index[j]."""
        for level in numba.prange(len(scale)):
            size = offset[level + 1] - offset[level]
            for j in range(len(index)):
                entries, weights = corners(
                    position, index[j], scale[level], resolution[level], offset[level], hashed[level], size
                )
                for c in range(8):
                    for f in range(features):
                        d_table[entries[c], f] += weights[c] * d_encoding[j, level * features + f]

    return encode_kernel, encode_backward_kernel


def levels_of(field):
    """What the kernels read of the field's GridLevels."""
    levels = field.levels
    return dict(
        scale=levels.scale.numpy(),
        resolution=levels.resolution.numpy(),
        offset=levels.offset.numpy(),
        hashed=levels.hashed.numpy(),
    )


def encode(field, position, encoding):
    """Writes `encoding` (n, levels*features) of positions (n or more, 3)."""
    kernel, _ = encoding_kernels(field.network.features)
    kernel(
        n=len(encoding),
        position=position.numpy(),
        table=field.table.numpy(),
        encoding=encoding.numpy(),
        **levels_of(field),
    )


def encode_backward(field, samples):
    """See Backend.encode_backward."""
    _, kernel = encoding_kernels(field.network.features)
    kernel(
        index=samples.alive[: int(samples.alive_count)].numpy(),
        position=samples.position.numpy(),
        d_encoding=samples.d_encoding.numpy(),
        d_table=field.table_gradient.numpy(),
        **levels_of(field),
    )
