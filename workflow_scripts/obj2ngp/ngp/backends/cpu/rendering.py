"""The rays of an image, front to back in rounds, so that nothing is computed that no light reaches.

A round takes the next samples of as many rays as fill a small sample buffer, one of each ray while there are many. Rays
that have ended make room for others. Colours are evaluated only where a sample's weight tells.
"""

import math

import numpy as np
import torch

from ...buffers import Samples
from ...depth import HALF, OPAQUE
from ..base import MIN_TRANSMITTANCE
from . import encoding, mlp
from .compiling import jit
from .rays import cells_of, cube_interval, next_sample
from .threads import share_out

PART = 1 << 13  # rays
ROUND = 1 << 12  # samples: what the MLPs make of them stays in a core's cache
MIN_WEIGHT = 1e-2  # samples that weigh less lend their weight to the next one, or to the ray's last


@jit
def begin_kernel(
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
def list_live_kernel(begin, step, live):
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
def take_kernel(
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
def weigh_kernel(live, share, count, density, t, step_size, least, step, transmittance, depth, lent, weight, index):
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
def add_colors_kernel(index, ray, weight, rgb, color):
    """Adds the listed samples to their rays."""
    for s in index:
        for a in range(3):
            color[ray[s], a] += weight[s] * rgb[s, a]


class Tracer:
    """Traces rays in one thread; holds what a round needs."""

    def __init__(self, field):
        self.field = field
        self.samples = Samples(ROUND, field.network, training=False)
        self.activations = mlp.Activations(field, ROUND, training=False)
        self.live, self.count = np.empty(ROUND, np.int32), np.empty(ROUND, np.int32)
        self.weight = np.empty(ROUND, np.float32)
        self.step, self.lent = np.empty(PART, np.int32), np.empty(PART, np.float32)

    def trace(self, rays, begin, end, cells):
        """Writes color, transmittance and depth of the rays begin to end, PART at most; `cells` are `cells_of`."""
        field, samples, step = self.field, self.samples, self.step[: end - begin]
        part = lambda tensor: tensor[begin:end].numpy()  # noqa: E731
        origin, direction, jitter = part(rays.origin), part(rays.direction), part(rays.jitter)
        way = dict(origin=origin, direction=direction, jitter=jitter, step=step, **cells)
        light = dict(transmittance=part(rays.transmittance), depth=part(rays.depth), lent=self.lent)
        position, t, ray = samples.position.numpy(), samples.t.numpy(), samples.ray.numpy()
        density, rgb, index = samples.density.numpy(), samples.rgb.numpy(), samples.alive.numpy()
        color, weight, first = part(rays.color), self.weight, 0
        begin_kernel(color=color, **light, **way)
        while True:
            first, n = list_live_kernel(begin=first, step=step, live=self.live)
            if not n:
                break
            taken = dict(live=self.live[:n], share=ROUND // n, count=self.count)
            take_kernel(position=position, t=t, ray=ray, **taken, **way)
            used = n * taken["share"]
            samples.count.fill_(used)
            encoding.encode(field, samples.position, samples.encoding[:used])
            mlp.evaluate_density(field, samples, self.activations)
            colored = weigh_kernel(
                density=density,
                t=t,
                step_size=cells["step_size"],
                least=MIN_WEIGHT,
                step=step,
                weight=weight,
                index=index,
                **taken,
                **light,
            )
            samples.alive_count.fill_(colored)
            mlp.evaluate_color(field, rays.direction[begin:end], samples, self.activations)
            add_colors_kernel(index=index[:colored], ray=ray, weight=weight, rgb=rgb, color=color)
        rays.color[begin:end] += rays.transmittance[begin:end, None] * rays.background[begin:end]


def render(tracers, field, rays, grid, step_size):
    """See Backend.render; `tracers` is a list of idle Tracers, to which those that had to be made are added."""
    cells = cells_of(grid, step_size)

    def part(begin, end):
        tracer = tracers.pop() if tracers else Tracer(field)
        tracer.trace(rays, begin, end, cells)
        tracers.append(tracer)

    with torch.no_grad():
        share_out(part, int(rays.active), PART)
