"""Random numbers by hashing, as `ngp.backends.base` describes."""

import numpy as np

from .compiling import jit

MASK = np.uint64(0xFFFFFFFF)
TO_UNIT = np.float32(2.0**-24)


@jit
def pcg4d(a, b, c, d):
    """Four 32-bit hashes of four words (Jarzynski & Olano 2020), held in uint64."""
    m, k = np.uint64(1664525), np.uint64(1013904223)
    x, y = (np.uint64(a) * m + k) & MASK, (np.uint64(b) * m + k) & MASK
    z, w = (np.uint64(c) * m + k) & MASK, (np.uint64(d) * m + k) & MASK
    x = (x + y * w) & MASK
    y = (y + z * x) & MASK
    z = (z + x * y) & MASK
    w = (w + y * z) & MASK
    x, y, z, w = x ^ (x >> np.uint64(16)), y ^ (y >> np.uint64(16)), z ^ (z >> np.uint64(16)), w ^ (w >> np.uint64(16))
    x = (x + y * w) & MASK
    y = (y + z * x) & MASK
    z = (z + x * y) & MASK
    w = (w + y * z) & MASK
    return x, y, z, w


@jit
def unit(word):
    """A float in [0,1) of a 32-bit word."""
    return np.float32(word >> np.uint64(8)) * TO_UNIT
