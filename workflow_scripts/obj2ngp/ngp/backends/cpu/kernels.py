"""Numba kernels of the cpu backend: rays, marching, hash encoding, compositing, Adam.

Every kernel is parallel over something that no two threads write, so results do not depend on timing.
"""

import functools
import math

import numba
import numpy as np

from ...field import HASH_PRIMES
from .. import MIN_TRANSMITTANCE, STREAM_BACKGROUND, STREAM_CELL, STREAM_PIXEL

jit = numba.njit(parallel=True, fastmath={"contract", "arcp", "nsz"}, cache=True)
inline = numba.njit(fastmath={"contract", "arcp", "nsz"}, cache=True)

MASK = np.uint64(0xFFFFFFFF)
TO_UNIT = np.float32(2.0**-24)
HALF, ONE = np.float32(0.5), np.float32(1.0)


@inline
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


@inline
def unit(word):
    """A float in [0,1) of a 32-bit word."""
    return np.float32(word >> np.uint64(8)) * TO_UNIT


@jit
def draw_rays(
    active,
    seed,
    step,
    pixels,
    rgba,
    pose,
    focal,
    cx,
    cy,
    spread,
    scale,
    shift,
    origin,
    direction,
    background,
    target,
    jitter,
    edge,
):
    height, width = rgba.shape[1], rgba.shape[2]
    for i in numba.prange(active):
        pick, _, _, _ = pcg4d(i // (edge * edge), step, seed, STREAM_PIXEL)
        _, jx, jy, jt = pcg4d(i, step, seed, STREAM_PIXEL)
        red, green, blue, _ = pcg4d(i // (edge * edge), step, seed, STREAM_BACKGROUND)
        pixel = pixels[(pick * np.uint64(len(pixels))) >> np.uint64(32)]
        view, row, column = pixel // (height * width), (pixel // width) % height, pixel % width
        across, down = (i % edge + unit(jx)) / edge, (i // edge % edge + unit(jy)) / edge
        x = (column + HALF + (across - HALF) * spread - cx) / focal
        y = -(row + HALF + (down - HALF) * spread - cy) / focal
        norm = np.float32(1.0) / math.sqrt(x * x + y * y + np.float32(1.0))
        alpha = rgba[view, row, column, 3] / np.float32(255.0)
        background[i, 0], background[i, 1], background[i, 2] = unit(red), unit(green), unit(blue)
        for a in range(3):
            direction[i, a] = (pose[view, a, 0] * x + pose[view, a, 1] * y - pose[view, a, 2]) * norm
            origin[i, a] = pose[view, a, 3] * scale + shift[a]
            target[i, a] = rgba[view, row, column, a] / np.float32(255.0) * alpha + background[i, a] * (1 - alpha)
        jitter[i] = unit(jt)


@inline
def cube_interval(origin, direction, i):
    """Where ray i enters and leaves the unit cube; enters > leaves where it misses."""
    near, far = np.float32(0.0), np.float32(1e9)
    for a in range(3):
        d = direction[i, a]
        inverse = np.float32(1.0) / (d if abs(d) > 1e-9 else np.float32(1e-9))
        t0, t1 = -origin[i, a] * inverse, (1 - origin[i, a]) * inverse
        near, far = max(near, min(t0, t1)), min(far, max(t0, t1))
    return near, far


@inline
def next_sample(origin, direction, i, k, start, far, step_size, occupied, resolution):
    """The first march step >= k of ray i whose sample lies in an occupied cell; -1 if there is none."""
    while True:
        t = start + k * step_size
        if t >= far:
            return -1
        flat, leave = 0, np.float32(1e9)
        for a in range(3):
            d = direction[i, a]
            scaled = (origin[i, a] + t * d) * resolution
            cell = min(max(int(math.floor(scaled)), 0), resolution - 1)
            flat = flat * resolution + cell
            if abs(d) > 1e-9:
                edge = (cell + 1 if d > 0 else cell) - scaled
                leave = min(leave, edge / (d * resolution))
        if occupied[flat]:
            return k
        k += max(1, int(math.ceil(leave / step_size)))


@jit
def count_samples(active, origin, direction, jitter, occupied, resolution, step_size, count):
    for i in numba.prange(len(count)):
        count[i] = 0
        if i < active:
            near, far = cube_interval(origin, direction, i)
            start = near + jitter[i] * step_size
            k = next_sample(origin, direction, i, 0, start, far, step_size, occupied, resolution)
            while k >= 0:
                count[i] += 1
                k = next_sample(origin, direction, i, k + 1, start, far, step_size, occupied, resolution)


@numba.njit(cache=True)
def place_samples(active, first, count, capacity):
    """Each ray's place in the sample buffer; rays that do not fit get count -1. Returns the samples asked for."""
    total = 0
    for i in range(active):
        first[i] = total
        total += count[i]
        if total > capacity:
            count[i] = -1
    return total


@jit
def write_samples(active, origin, direction, jitter, occupied, resolution, step_size, first, count, position, t, ray):
    for i in numba.prange(active):
        if count[i] > 0:
            near, far = cube_interval(origin, direction, i)
            start = near + jitter[i] * step_size
            k = -1
            for s in range(first[i], first[i] + count[i]):
                k = next_sample(origin, direction, i, k + 1, start, far, step_size, occupied, resolution)
                t[s], ray[s] = start + k * step_size, i
                for a in range(3):
                    position[s, a] = min(max(origin[i, a] + t[s] * direction[i, a], np.float32(0.0)), np.float32(1.0))


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
    """(encode, encode_backward) for tables with `features` features: a constant, so that loops over it unroll."""

    @jit
    def encode(n, position, table, scale, resolution, offset, hashed, encoding):
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
    def encode_backward(index, position, d_encoding, scale, resolution, offset, hashed, d_table):
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

    return encode, encode_backward


@numba.njit(cache=True)
def list_alive(active, first, count, density, step_size, index):
    """Lists the samples up to each ray's termination; returns how many there are."""
    n = 0
    threshold = -math.log(MIN_TRANSMITTANCE)
    for i in range(active):
        thickness = 0.0
        for s in range(first[i], first[i] + max(count[i], 0)):
            index[n] = s
            n += 1
            thickness += density[s] * step_size
            if thickness > threshold:
                break
    return n


@jit
def color_inputs(index, ray, direction, raw, degree, out):
    """Rows of the colour MLP's input: the density MLP's outputs, then spherical harmonics of the direction.

    Real spherical harmonics up to degree 4 (Ramamoorthi & Hanrahan 2001, with the signs of tiny-cuda-nn).
    """
    g = raw.shape[1]
    for j in numba.prange(len(index)):
        i = ray[index[j]]
        x, y, z = direction[i, 0], direction[i, 1], direction[i, 2]
        for f in range(g):
            out[j, f] = raw[index[j], f]
        out[j, g] = 0.28209479177387814
        if degree > 1:
            out[j, g + 1], out[j, g + 2], out[j, g + 3] = -0.4886025 * y, 0.4886025 * z, -0.4886025 * x
        if degree > 2:
            xx, yy, zz = x * x, y * y, z * z
            out[j, g + 4], out[j, g + 5] = 1.0925484 * x * y, -1.0925484 * y * z
            out[j, g + 6] = 0.94617469 * zz - 0.31539156
            out[j, g + 7], out[j, g + 8] = -1.0925484 * x * z, 0.54627421 * (xx - yy)
            if degree > 3:
                out[j, g + 9] = 0.59004358 * y * (-3 * xx + yy)
                out[j, g + 10] = 2.8906114 * x * y * z
                out[j, g + 11] = 0.45704579 * y * (1 - 5 * zz)
                out[j, g + 12] = 0.37317633 * z * (5 * zz - 3)
                out[j, g + 13] = 0.45704579 * x * (1 - 5 * zz)
                out[j, g + 14] = 1.4453057 * z * (xx - yy)
                out[j, g + 15] = 0.59004358 * x * (-xx + 3 * yy)


@jit
def composite(first, count, density, rgb, t, background, step_size, color, transmittance, depth):
    for i in numba.prange(len(first)):
        left = np.float32(1.0)
        r, g, b, z = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for s in range(first[i], first[i] + max(count[i], 0)):
            after = left * math.exp(-density[s] * step_size)
            weight = left - after
            r, g, b, z = r + weight * rgb[s, 0], g + weight * rgb[s, 1], b + weight * rgb[s, 2], z + weight * t[s]
            left = after
            if left < MIN_TRANSMITTANCE:
                break
        color[i, 0], color[i, 1] = r + left * background[i, 0], g + left * background[i, 1]
        color[i, 2] = b + left * background[i, 2]
        transmittance[i], depth[i] = left, z


@jit
def loss_gradient(
    active, first, count, density, rgb, color, target, step_size, huber, pixel_rays, loss, d_density, d_rgb
):
    """Huber loss of the pixels, each the mean of `pixel_rays` rays, and its gradient at every sample.

    d colour / d density_k = step_size * (T_{k+1} c_k - sum_{j>k} w_j c_j - T_N background): Max 1995, as used by
    Müller et al. 2022. The sum is the final colour less what lies in front.
    """
    norm = np.float32(1.0) / (3 * max(active, 1))
    for i in numba.prange(len(first)):
        loss[i] = 0
        if i >= active or count[i] < 0:
            continue
        d_color, pixel = np.zeros(3, np.float32), i - i % pixel_rays
        whole = count[pixel : pixel + pixel_rays].min() >= 0  # a pixel that lacks a ray has no loss
        for a in range(3):
            residual = np.float32(0.0)
            for r in range(pixel, pixel + pixel_rays):
                residual += (color[r, a] - target[r, a]) / pixel_rays
            size = abs(residual)
            if whole:
                loss[i] += (0.5 * size * size / huber if size < huber else size - 0.5 * huber) / 3
                d_color[a] = norm * min(max(residual / huber, np.float32(-1.0)), np.float32(1.0))
        left = np.float32(1.0)
        rest = np.empty(3, np.float32)
        for a in range(3):
            rest[a] = color[i, a]
        for s in range(first[i], first[i] + count[i]):
            if left < MIN_TRANSMITTANCE:
                d_density[s] = 0
                for a in range(3):
                    d_rgb[s, a] = 0
                continue
            after = left * math.exp(-density[s] * step_size)
            weight = left - after
            total = np.float32(0.0)
            for a in range(3):
                rest[a] -= weight * rgb[s, a]
                total += d_color[a] * (after * rgb[s, a] - rest[a])
                d_rgb[s, a] = weight * d_color[a]
            d_density[s] = step_size * total
            left = after


@jit
def mark_seen(first, count, density, position, step_size, depth, resolution, step, seen):
    """Notes `step` in the cells of each ray's samples up to `depth` samples behind its termination.

    Rays that share a cell write the same number.
    """
    threshold = -math.log(MIN_TRANSMITTANCE)
    for i in numba.prange(len(first)):
        thickness, left = np.float32(0.0), depth
        for s in range(first[i], first[i] + max(count[i], 0)):
            flat = 0
            for a in range(3):
                flat = flat * resolution + min(int(position[s, a] * resolution), resolution - 1)
            seen[flat] = step
            thickness += density[s] * step_size
            if thickness > threshold:
                left -= 1
                if left < 0:
                    break


@jit
def adam(value, gradient, first, second, rate, beta1, beta2, correction1, correction2, decay):
    """One Adam step (Kingma & Ba 2015) of the entries with a gradient; the others keep value and moments."""
    for i in numba.prange(len(value)):
        g = gradient[i]
        if g != 0:
            gradient[i] = 0
            g += decay * value[i]
            first[i] = beta1 * first[i] + (1 - beta1) * g
            second[i] = beta2 * second[i] + (1 - beta2) * g * g
            value[i] -= rate * (first[i] * correction1) / (math.sqrt(second[i] * correction2) + 1e-15)


@jit
def cell_positions(cells, cursor, seed, step, resolution, position):
    """A random point in each of len(position) cells, beginning at cells[cursor] and going round."""
    for i in numba.prange(len(position)):
        cell = cells[(cursor + i) % len(cells)]
        x, y, z, _ = pcg4d(i, step, seed, STREAM_CELL)
        position[i, 0] = (cell // (resolution * resolution) + unit(x)) / resolution
        position[i, 1] = (cell // resolution % resolution + unit(y)) / resolution
        position[i, 2] = (cell % resolution + unit(z)) / resolution


@jit
def keep_maximum(cells, cursor, density, decay, grid_density):
    for i in numba.prange(len(density)):
        cell = cells[(cursor + i) % len(cells)]
        grid_density[cell] = max(grid_density[cell] * decay, density[i])
