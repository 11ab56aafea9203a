"""The cpu backend: numba kernels, and torch's matrix products for the MLPs.

Colours are evaluated only for the samples in front of a ray's termination, and gradients flow only through
those; `Scratch` keeps their list between the stages.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from ...field import MAX_LOG_DENSITY
from .. import SEEN_DEPTH, keep_dense_cells, rays_to_draw
from . import kernels

DEVICE = "cpu"
DTYPE = torch.float32
LOSS_SCALE = 1.0


def unavailable():
    """None: every machine has a CPU, and numba was imported above."""
    return None


def describe():
    return "{} threads".format(torch.get_num_threads())


def capture(stages):
    return stages


class Scratch:
    """Activations of the MLPs, and the list of samples in front of their ray's termination."""

    def __init__(self, field, capacity):
        rows = lambda shapes: [torch.empty(capacity, outputs) for _, outputs in shapes]  # noqa: E731
        self.alive = torch.zeros(capacity, dtype=torch.int32)
        self.alive_count = 0
        self.density_outputs = rows(field.density_shapes)
        self.color_input = torch.empty(capacity, field.color_shapes[0][0])
        self.color_outputs = rows(field.color_shapes)
        widest = max(max(shape) for shape in field.density_shapes + field.color_shapes)
        self.gradients = (torch.empty(capacity * widest), torch.empty(capacity * widest))


def prepare(field, samples):
    samples.scratch = Scratch(field, samples.capacity)


def draw_rays(views, rays, samples, clock):
    active = rays_to_draw(rays, samples)
    rays.active[0] = active
    kernels.draw_rays(
        active,
        clock.seed,
        int(clock.step),
        views.pixels.numpy(),
        views.rgba.numpy(),
        views.pose.numpy(),
        views.focal,
        views.center[0],
        views.center[1],
        np.float32(views.jitter),
        views.scale,
        views.offset.numpy(),
        rays.origin.numpy(),
        rays.direction.numpy(),
        rays.background.numpy(),
        rays.target.numpy(),
        rays.jitter.numpy(),
        rays.supersampling,
    )


def march(rays, grid, samples, step_size):
    active = int(rays.active)
    first, count = rays.first.numpy(), rays.count.numpy()
    ray = (rays.origin.numpy(), rays.direction.numpy(), rays.jitter.numpy())
    cells = (grid.occupied.numpy(), grid.resolution, step_size)
    kernels.count_samples(active, *ray, *cells, count)
    samples.count[0] = int(kernels.place_samples(active, first, count, samples.capacity))
    kernels.write_samples(
        active, *ray, *cells, first, count, samples.position.numpy(), samples.t.numpy(), samples.ray.numpy()
    )


def _used(samples):
    return min(int(samples.count), samples.capacity)


def _levels(field):
    levels = field.levels
    return levels.scale.numpy(), levels.resolution.numpy(), levels.offset.numpy(), levels.hashed.numpy()


def _encode(field, samples, n):
    kernel, _ = kernels.encoding_kernels(field.network.features)
    kernel(n, samples.position.numpy(), field.table.numpy(), *_levels(field), samples.encoding.numpy())


def encode(field, samples):
    _encode(field, samples, _used(samples))


def _mlp(x, matrices, outputs):
    """Runs an MLP with ReLU between its matrices; `outputs` receives every layer's result."""
    for i, (matrix, out) in enumerate(zip(matrices, outputs)):
        torch.mm(x, matrix, out=out)
        x = out.relu_() if i + 1 < len(matrices) else out


def _mlp_backward(x, matrices, outputs, d_out, gradients, spare):
    """Gradient of an MLP's input; adds those of its matrices to `gradients`. `d_out` lives in one of `spare`."""
    for i in reversed(range(len(matrices))):
        before = outputs[i - 1] if i else x
        gradients[i].addmm_(before.t(), d_out)
        spare = spare[::-1]
        d_before = spare[0][: before.numel()].view_as(before)
        torch.mm(d_out, matrices[i].t(), out=d_before)
        if i:
            d_before.mul_(before > 0)
        d_out = d_before
    return d_out


def _density(field, encoding, outputs):
    """(log density, ...) of rows of encoding: the density MLP's raw outputs."""
    outputs = [out[: len(encoding)] for out in outputs]
    _mlp(encoding, field.matrices(field.weights)[0], outputs)
    return outputs[-1]


def evaluate(field, rays, samples, step_size):
    scratch, n = samples.scratch, _used(samples)
    raw = _density(field, samples.encoding[:n], scratch.density_outputs)
    torch.exp(raw[:, 0].clamp(max=MAX_LOG_DENSITY), out=samples.density[:n])
    alive = kernels.list_alive(
        int(rays.active),
        rays.first.numpy(),
        rays.count.numpy(),
        samples.density.numpy(),
        step_size,
        scratch.alive.numpy(),
    )
    scratch.alive_count = alive
    index = scratch.alive[:alive]
    color_input = scratch.color_input[:alive]
    kernels.color_inputs(
        index.numpy(),
        samples.ray.numpy(),
        rays.direction.numpy(),
        raw.numpy(),
        field.network.sh_degree,
        color_input.numpy(),
    )
    outputs = [out[:alive] for out in scratch.color_outputs]
    _mlp(color_input, field.matrices(field.weights)[1], outputs)
    samples.rgb.index_copy_(0, index.long(), outputs[-1].sigmoid_())


def composite(rays, samples, step_size):
    kernels.composite(
        rays.first.numpy(),
        rays.count.numpy(),
        samples.density.numpy(),
        samples.rgb.numpy(),
        samples.t.numpy(),
        rays.background.numpy(),
        step_size,
        rays.color.numpy(),
        rays.transmittance.numpy(),
        rays.depth.numpy(),
    )


def composite_loss(rays, samples, step_size, huber):
    composite(rays, samples, step_size)
    kernels.loss_gradient(
        int(rays.active),
        rays.first.numpy(),
        rays.count.numpy(),
        samples.density.numpy(),
        samples.rgb.numpy(),
        rays.color.numpy(),
        rays.target.numpy(),
        step_size,
        huber,
        rays.supersampling**2,
        rays.loss.numpy(),
        samples.d_density.numpy(),
        samples.d_rgb.numpy(),
    )


def mark_seen(rays, samples, grid, clock, step_size):
    depth = math.ceil(SEEN_DEPTH / grid.resolution / step_size)
    kernels.mark_seen(
        rays.first.numpy(),
        rays.count.numpy(),
        samples.density.numpy(),
        samples.position.numpy(),
        step_size,
        depth,
        grid.resolution,
        int(clock.step),
        grid.seen.numpy(),
    )


def evaluate_backward(field, rays, samples):
    scratch = samples.scratch
    n, index = scratch.alive_count, scratch.alive[: scratch.alive_count].long()
    density, color = field.matrices(field.weights)
    d_density, d_color = field.matrices(field.weight_gradient)
    rgb = scratch.color_outputs[-1][:n]
    spare = scratch.gradients
    d_out = spare[1][: 3 * n].view(n, 3)
    torch.mul(samples.d_rgb[index], rgb * (1 - rgb), out=d_out)
    d_input = _mlp_backward(
        scratch.color_input[:n], color, [o[:n] for o in scratch.color_outputs], d_out, d_color, spare[::-1]
    )
    d_raw = d_input[:, : field.network.geometry_features].contiguous()
    d_raw[:, 0] += samples.d_density[index] * samples.density[index]
    # The hidden layers of the terminated samples are in the way: those of the others are gathered or done again.
    encoding = samples.encoding[index]
    outputs = [out[:n] for out in scratch.density_outputs]
    _mlp(encoding, density, outputs)
    samples.d_encoding[:n] = _mlp_backward(encoding, density, outputs, d_raw, d_density, spare)


def encode_backward(field, samples):
    n = samples.scratch.alive_count
    _, kernel = kernels.encoding_kernels(field.network.features)
    kernel(
        samples.scratch.alive[:n].numpy(),
        samples.position.numpy(),
        samples.d_encoding.numpy(),
        *_levels(field),
        field.table_gradient.numpy(),
    )


def optimise(field, moments, clock, config):
    step = int(clock.step)
    finite = bool(torch.isfinite(field.weight_gradient.sum() + field.table_gradient.sum()))
    if finite:
        rate = float(clock.learning_rate[step])
        corrections = (1 / (1 - config.beta1 ** (step + 1)), 1 / (1 - config.beta2 ** (step + 1)))
        for value, gradient, (first, second), decay in (
            (field.table, field.table_gradient, moments.table, 0.0),
            (field.weights, field.weight_gradient, moments.weights, config.weight_decay),
        ):
            kernels.adam(
                *(x.view(-1).numpy() for x in (value, gradient, first, second)),
                rate,
                config.beta1,
                config.beta2,
                *corrections,
                decay,
            )
    else:
        field.table_gradient.zero_()
        field.weight_gradient.zero_()
        moments.skipped += 1
    clock.step += 1


def update_occupancy(field, grid, samples, clock, step_size):
    n = min(grid.config.cells_per_update, len(grid.cells), samples.capacity)
    cursor = int(grid.cursor)
    cells = grid.cells.numpy()
    kernels.cell_positions(cells, cursor, clock.seed, int(clock.step), grid.resolution, samples.position[:n].numpy())
    _encode(field, samples, n)
    raw = _density(field, samples.encoding[:n], samples.scratch.density_outputs)
    density = torch.exp(raw[:, 0].clamp(max=MAX_LOG_DENSITY))
    kernels.keep_maximum(cells, cursor, density.numpy(), grid.config.decay, grid.density.numpy())
    grid.cursor[0] = (cursor + n) % len(cells)
    keep_dense_cells(grid, clock, step_size)
