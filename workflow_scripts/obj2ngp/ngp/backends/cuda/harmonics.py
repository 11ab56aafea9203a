"""Spherical harmonics of the directions in which samples are seen, for the colour MLP."""

import triton
import triton.language as tl

from .rays import load_vector

HARMONICS = tl.constexpr(16)  # columns of the tile, whatever the degree


@triton.jit
def spherical_harmonics(x, y, z, DEGREE: tl.constexpr):
    """(S,16) fp16: real spherical harmonics of unit vectors up to DEGREE, zero beyond.

    Ramamoorthi & Hanrahan 2001, with the signs of tiny-cuda-nn.
    """
    x, y, z = x[:, None], y[:, None], z[:, None]
    k = tl.arange(0, HARMONICS)[None, :]
    value = tl.where(k == 0, 0.28209479, 0.0 * x)
    if DEGREE > 1:
        value = tl.where(k == 1, -0.48860251 * y, value)
        value = tl.where(k == 2, 0.48860251 * z, value)
        value = tl.where(k == 3, -0.48860251 * x, value)
    if DEGREE > 2:
        value = tl.where(k == 4, 1.09254843 * x * y, value)
        value = tl.where(k == 5, -1.09254843 * y * z, value)
        value = tl.where(k == 6, 0.94617470 * z * z - 0.31539157, value)
        value = tl.where(k == 7, -1.09254843 * x * z, value)
        value = tl.where(k == 8, 0.54627422 * (x * x - y * y), value)
    if DEGREE > 3:
        value = tl.where(k == 9, 0.59004359 * y * (y * y - 3.0 * x * x), value)
        value = tl.where(k == 10, 2.89061144 * x * y * z, value)
        value = tl.where(k == 11, 0.45704580 * y * (1.0 - 5.0 * z * z), value)
        value = tl.where(k == 12, 0.37317633 * z * (5.0 * z * z - 3.0), value)
        value = tl.where(k == 13, 0.45704580 * x * (1.0 - 5.0 * z * z), value)
        value = tl.where(k == 14, 1.44530572 * z * (x * x - y * y), value)
        value = tl.where(k == 15, 0.59004359 * x * (3.0 * y * y - x * x), value)
    return value.to(tl.float16)


@triton.jit
def sample_harmonics(ray_ptr, direction_ptr, i, mask, DEGREE: tl.constexpr):
    """Spherical harmonics of the directions in which the samples `i` are seen."""
    ray = tl.load(ray_ptr + i, mask=mask, other=0)
    x, y, z = load_vector(direction_ptr, ray, mask)
    return spherical_harmonics(x, y, z, DEGREE)
