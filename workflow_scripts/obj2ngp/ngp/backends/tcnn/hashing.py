"""Random numbers by hashing, as `ngp.backends.base` describes, in torch operations."""

from __future__ import annotations

import torch

MASK = 0xFFFFFFFF


def pcg4d(index, step, seed, stream):
    """Four 32-bit words for each of `index` (n,) int64, as int64 in [0, 2^32)."""
    same = torch.zeros_like(index)
    # Products overflow int64, which keeps their low 32 bits right.
    x, y, z, w = ((v * 1664525 + 1013904223) & MASK for v in (index, same + step, same + seed, same + stream))
    for last in (False, True):
        x = (x + y * w) & MASK
        y = (y + z * x) & MASK
        z = (z + x * y) & MASK
        w = (w + y * z) & MASK
        if not last:
            x, y, z, w = x ^ (x >> 16), y ^ (y >> 16), z ^ (z >> 16), w ^ (w >> 16)
    return x, y, z, w


def unit(word):
    """float32 in [0,1) of 32-bit words."""
    return (word >> 8).float() * 2.0**-24
