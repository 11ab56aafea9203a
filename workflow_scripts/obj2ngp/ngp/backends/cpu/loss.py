"""The loss of the pixels, and its gradient at their rays: the formulas of `ngp.light` for one pixel after another."""

import numba
import numpy as np

from ...buffers import OPEN
from ...light import TINY
from ..base import MIN_TRANSMITTANCE
from .compiling import jit, jit_parallel

ZERO, ONE = np.float32(0), np.float32(1)


@jit
def light_of(value):
    """See ngp.light."""
    return value / np.float32(12.92) if value < 0.04045 else np.float32(((value + 0.055) / 1.055) ** 2.4)


@jit
def light_slope(value):
    """See ngp.light."""
    return np.float32(1 / 12.92) if value < 0.04045 else np.float32(2.4 / 1.055 * ((value + 0.055) / 1.055) ** 1.4)


@jit
def srgb_of(light):
    """See ngp.light."""
    return light * np.float32(12.92) if light < 0.0031308 else np.float32(1.055 * light ** (1 / 2.4) - 0.055)


@jit
def straight_color(color, left, background):
    """One channel of a ray's colour, `background` and all, as that of its own opacity."""
    return min(max((color - left * background) / max(ONE - left, np.float32(TINY)), ZERO), ONE)


@jit_parallel
def ray_gradient_kernel(
    pixels,
    n,
    color,
    transmittance,
    background,
    target,
    count,
    far,
    huber,
    distortion,
    loss,
    d_color,
    d_opacity,
    d_apart,
):
    """Writes rays.loss and the derivatives of the whole loss by colours over black, opacities and distortions."""
    for pixel in numba.prange(pixels):
        first, end = pixel * n, pixel * n + n
        whole, opacity = True, ZERO
        for i in range(first, end):
            whole &= count[i] >= 0 and (far[i] >= OPEN or transmittance[i] < MIN_TRANSMITTANCE)
            opacity += ONE - transmittance[i]
        share, its_loss = np.float32(whole) / np.float32(pixels * n), ZERO
        for i in range(first, end):
            d_opacity[i], d_apart[i] = ZERO, share * distortion
        for a in range(3):
            behind, mean, value, slope = background[first, a], ZERO, ZERO, ONE
            shown = color[first, a]
            if n > 1:
                for i in range(first, end):
                    left = transmittance[i]
                    mean += (ONE - left) * light_of(straight_color(color[i, a], left, behind))
                mean /= max(opacity, np.float32(TINY))
                value = srgb_of(mean)
                shown, slope = behind + (value - behind) * (opacity / n), light_slope(value)
            residual = shown - target[first, a]
            size = abs(residual)
            its_loss += np.float32(0.5) * size * size / huber if size < huber else size - np.float32(0.5) * huber
            d_shown = min(max(residual / huber, -ONE), ONE) * share / np.float32(3)
            for i in range(first, end):
                if n == 1:
                    d_color[i, a] = d_shown
                    d_opacity[i] -= d_shown * behind
                    continue
                straight = straight_color(color[i, a], transmittance[i], behind)
                own_slope = light_slope(straight)
                d_color[i, a] = d_shown * own_slope / slope
                d_opacity[i] += d_shown * ((light_of(straight) - straight * own_slope - mean) / slope + value - behind)
        for i in range(first, end):
            loss[i] = its_loss / np.float32(3) if whole else ZERO


def ray_gradients(rays, huber, distortion):
    """Writes rays.loss; returns the gradients, of what Backend.composite_loss names, at the rays in use.

    They are the derivatives by the rays' colours over black (R,3), their opacities (R,), and their distortions (R,).
    """
    active, n = int(rays.active), rays.supersampling**2
    d_color = np.empty((active, 3), np.float32)
    d_opacity, d_apart = np.empty(active, np.float32), np.empty(active, np.float32)
    rays.loss[active:] = 0
    ray_gradient_kernel(
        pixels=active // n,
        n=n,
        color=rays.color.numpy(),
        transmittance=rays.transmittance.numpy(),
        background=rays.background.numpy(),
        target=rays.target.numpy(),
        count=rays.count.numpy(),
        far=rays.far.numpy(),
        huber=np.float32(huber),
        distortion=np.float32(distortion),
        loss=rays.loss.numpy(),
        d_color=d_color,
        d_opacity=d_opacity,
        d_apart=d_apart,
    )
    return d_color, d_opacity, d_apart
