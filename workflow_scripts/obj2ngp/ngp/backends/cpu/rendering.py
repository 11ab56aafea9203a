"""The rays of an image, front to back in rounds, so that nothing is computed that no light reaches.

A round takes the next samples of as many rays as fill a small sample buffer, one of each ray while there are many. Rays
that have ended make room for others. Colours are evaluated only where a sample's weight tells.
"""

import math

import numba
import numpy as np

from ...depth import HALF, OPAQUE
from ..base import MIN_TRANSMITTANCE
from .compiling import jit, jit_parallel
from .encoding import encode_part, levels_of
from .mlp import arrays_of, color_part, density_part, empty_outputs
from .rays import cells_of, cube_interval, next_sample

PART = 1 << 13  # rays that take part in the same rounds
ROUND = 1 << 12  # samples: what the MLPs make of them stays in a core's cache
MIN_WEIGHT = 1e-2  # samples that weigh less lend their weight to the next one, or to the ray's last


@jit
def begin_rays(
    origin, direction, jitter, occupied, blocks, resolution, step_size, step, color, transmittance, depth, lent
):
    """Finds the march step of each ray's first sample, -1 where it has none."""
    for i in range(len(step)):
        near, far = cube_interval(origin, direction, i)
        start = near + jitter[i] * step_size
        step[i] = next_sample(origin, direction, i, 0, start, far, step_size, occupied, blocks, resolution)
        color[i, 0] = color[i, 1] = color[i, 2] = lent[i] = 0
        transmittance[i], depth[i] = 1, np.inf


@jit
def list_live(begin, step, live):
    """Lists rays that have samples left, as many as there is room for, from number `begin` on.

    Returns the first of them, or the number of rays, and how many they are.
    """
    n, first = 0, len(step)
    for i in range(begin, len(step)):
        if step[i] >= 0:
            first = min(first, i)
            live[n] = i
            n += 1
            if n == len(live):
                break
    return first, n


@jit
def take_samples(
    live, share, count, position, t, ray, origin, direction, jitter, occupied, blocks, resolution, step_size, step
):
    """Writes up to `share` samples of each live ray; the rows of one that has fewer repeat its last."""
    for j in range(len(live)):
        i = live[j]
        near, far = cube_interval(origin, direction, i)
        start = near + jitter[i] * step_size
        k, count[j] = step[i], 0
        for s in range(j * share, j * share + share):
            t[s], ray[s] = t[s - 1], i
            if k >= 0:
                t[s] = start + k * step_size
                count[j] += 1
                k = next_sample(origin, direction, i, k + 1, start, far, step_size, occupied, blocks, resolution)
            for a in range(3):
                position[s, a] = min(max(origin[i, a] + t[s] * direction[i, a], np.float32(0.0)), np.float32(1.0))
        step[i] = k


@jit
def weigh(live, share, count, density, t, step_size, least, step, transmittance, depth, lent, weight, index):
    """The samples' weights; ends the rays behind which too little light is left.

    Lists in `index` the samples to be coloured, and gives them the weight of those before them that are not; returns
    how many they are: those that weigh more than `least` then, and each ray's last.
    """
    n = 0
    for j in range(len(live)):
        i = live[j]
        last = j * share + count[j] - 1
        for s in range(j * share, last + 1):
            before, thickness = transmittance[i], density[s] * step_size
            after = before * np.float32(math.exp(-thickness))
            lent[i] += before - after
            transmittance[i] = after
            if before > 0.5 >= after:  # see `median_distance`
                depth[i] = t[s] + ((HALF + math.log(before)) / min(thickness, OPAQUE) - 0.5) * step_size
            if after < MIN_TRANSMITTANCE:
                step[i], last = -1, s
            if lent[i] > least or (s == last and step[i] < 0 and lent[i] > 0):
                weight[s], lent[i] = lent[i], 0
                index[n] = s
                n += 1
            if s == last:
                break
    return n


@jit
def add_colors(index, ray, weight, rgb, color):
    """Adds the listed samples to their rays."""
    for s in index:
        for a in range(3):
            color[ray[s], a] += weight[s] * rgb[s, a]


@jit_parallel
def trace_kernel(
    origin,
    direction,
    jitter,
    occupied,
    blocks,
    resolution,
    step_size,
    table,
    scale,
    vertices,
    offset,
    hashed,
    channels,
    degree,
    density_matrices,
    color_matrices,
    density_outputs,
    color_outputs,
    color_input,
    least,
    color,
    transmittance,
    depth,
):
    """Writes the latter three; `color_input` and the outputs have ROUND rows for each thread to work in.

    Neighbours are in different parts, so that all parts cost the same.
    """
    parts = -(-len(origin) // PART)
    for part in numba.prange(parts):
        own = origin[part::parts], direction[part::parts], jitter[part::parts]
        cells = occupied, blocks, resolution, step_size
        its_color, left, median = color[part::parts], transmittance[part::parts], depth[part::parts]
        step, lent = np.empty(len(left), np.int32), np.empty(len(left), np.float32)
        live, count, ray, index = np.empty((4, ROUND), np.int32)
        t, density, weight = np.empty((3, ROUND), np.float32)
        position, rgb = np.empty((ROUND, 3), np.float32), np.empty((ROUND, 3), np.float32)
        rows = np.empty((ROUND, density_matrices[0].shape[0]), np.float32)
        place, first = numba.get_thread_id() * ROUND, 0
        raw = density_outputs[len(density_outputs) - 1][place : place + ROUND]
        begin_rays(*own, *cells, step, its_color, left, median, lent)
        while True:
            first, n = list_live(first, step, live)
            if n == 0:
                break
            share = ROUND // n
            used = n * share
            take_samples(live[:n], share, count, position, t, ray, *own, *cells, step)
            encode_part(used, position, table, scale, vertices, offset, hashed, channels, rows)
            density_part(rows[:used], density_matrices, density_outputs, place, place + used, density)
            colored = weigh(
                live[:n], share, count, density, t, step_size, least, step, left, median, lent, weight, index
            )
            shown = index[:colored]
            end = place + colored
            color_part(shown, ray, own[1], raw, degree, color_matrices, color_input, color_outputs, place, end, rgb)
            add_colors(shown, ray, weight, rgb, its_color)


def render(field, rays, grid, step_size):
    """See Backend.render."""
    active, room = int(rays.active), numba.get_num_threads() * ROUND
    used = lambda tensor: tensor[:active].numpy()  # noqa: E731
    density_matrices, color_matrices = arrays_of(field)
    trace_kernel(
        origin=used(rays.origin),
        direction=used(rays.direction),
        jitter=used(rays.jitter),
        table=field.table.numpy(),
        degree=field.network.sh_degree,
        density_matrices=density_matrices,
        color_matrices=color_matrices,
        density_outputs=empty_outputs(field.density_shapes, room),
        color_outputs=empty_outputs(field.color_shapes, room),
        color_input=np.empty((room, field.color_shapes[0][0]), np.float32),
        least=MIN_WEIGHT,
        color=used(rays.color),
        transmittance=used(rays.transmittance),
        depth=used(rays.depth),
        **levels_of(field),
        **cells_of(grid, step_size),
    )
    rays.color[:active] += rays.transmittance[:active, None] * rays.background[:active]
