"""Density and colour MLP: matrix products of BLAS, ReLU in between, no biases.

    density = exp(min(raw_0, MAX_LOG_DENSITY))        raw = the density MLP's outputs
    colour  = sigmoid(colour MLP(raw, spherical harmonics of the direction))

Colours are evaluated only for the samples that samples.alive lists, and gradients flow only through those. Each part
of the samples goes through all layers at once, in one thread.
"""

import math

import numba
import numpy as np
import torch

from ...field import MAX_LOG_DENSITY
from . import encoding
from .compiling import jit, jit_parallel

PART = 512  # samples: what the layers make of them fits a core's cache
LARGEST, ZERO, ONE = np.float32(MAX_LOG_DENSITY), np.float32(0), np.float32(1)


@jit
def run(x, matrices, outputs, begin, end):
    """Runs an MLP on rows of `x`; rows begin to end of each layer's `outputs` receive its result."""
    for layer in range(len(matrices)):
        out = outputs[layer][begin:end]
        np.dot(x, matrices[layer], out)
        if layer + 1 < len(matrices):
            for i in range(out.shape[0]):
                for f in range(out.shape[1]):
                    out[i, f] = max(out[i, f], ZERO)
        x = out


@jit
def run_backward(x, matrices, outputs, begin, end, d_out, gradients, part):
    """The gradient of an MLP's input; `gradients` of each matrix [part] receives that of the matrix."""
    for layer in range(len(matrices) - 1, -1, -1):
        before = outputs[layer - 1][begin:end] if layer > 0 else x
        np.dot(before.T, d_out, gradients[layer][part])
        d_in = np.empty((len(d_out), matrices[layer].shape[0]), np.float32)
        np.dot(d_out, matrices[layer].T, d_in)
        if layer > 0:
            for i in range(d_in.shape[0]):
                for f in range(d_in.shape[1]):
                    d_in[i, f] = d_in[i, f] if before[i, f] > ZERO else ZERO
        d_out = d_in
    return d_out


@jit
def density_part(rows, matrices, outputs, begin, end, density):
    """Densities of encoded samples; what leads to them stays in rows begin to end of `outputs`."""
    run(rows, matrices, outputs, begin, end)
    raw = outputs[len(outputs) - 1][begin:end]
    for s in range(len(rows)):
        density[s] = np.float32(math.exp(min(raw[s, 0], LARGEST)))


@jit
def color_inputs(index, ray, direction, raw, degree, out):
    """Rows of the colour MLP's input: the density MLP's outputs, then spherical harmonics of the direction.

    Real spherical harmonics up to degree 4 (Ramamoorthi & Hanrahan 2001, with the signs of tiny-cuda-nn).
    """
    g = raw.shape[1]
    for j in range(len(index)):
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
def color_part(index, ray, direction, raw, degree, matrices, color_input, outputs, begin, end, rgb):
    """Colours of the samples `index`; what leads to them stays in rows begin to end of `color_input` and `outputs`."""
    color_inputs(index, ray, direction, raw, degree, color_input[begin:end])
    run(color_input[begin:end], matrices, outputs, begin, end)
    last = outputs[len(outputs) - 1][begin:end]
    for j in range(len(index)):
        for a in range(3):
            last[j, a] = ONE / (ONE + np.float32(math.exp(-last[j, a])))
            rgb[index[j], a] = last[j, a]


@jit_parallel
def density_kernel(n, rows, matrices, outputs, density):
    for part in numba.prange(-(-n // PART)):
        begin, end = part * PART, min((part + 1) * PART, n)
        density_part(rows[begin:end], matrices, outputs, begin, end, density[begin:end])


@jit_parallel
def color_kernel(index, ray, direction, raw, degree, matrices, color_input, outputs, rgb):
    for part in numba.prange(-(-len(index) // PART)):
        begin, end = part * PART, min((part + 1) * PART, len(index))
        color_part(index[begin:end], ray, direction, raw, degree, matrices, color_input, outputs, begin, end, rgb)


@jit
def take_rows(rows, places, out):
    for j in range(len(places)):
        for f in range(rows.shape[1]):
            out[j, f] = rows[places[j], f]


@jit_parallel
def backward_kernel(
    index,
    row,
    rows,
    density,
    d_density,
    d_rgb,
    density_matrices,
    density_outputs,
    color_matrices,
    color_input,
    color_outputs,
    kept_density,
    kept_color,
    density_gradients,
    color_gradients,
    d_rows,
):
    """Of the samples `index`, whose colours have the places `row`: `d_rows`, and each part's share of the gradients."""
    for part in numba.prange(-(-len(index) // PART)):
        begin, end = part * PART, min((part + 1) * PART, len(index))
        samples, places = index[begin:end], row[begin:end]
        n, geometry = end - begin, density_outputs[len(density_outputs) - 1].shape[1]
        for layer in range(len(color_outputs)):
            take_rows(color_outputs[layer], places, kept_color[layer][begin:end])
        color = kept_color[len(color_outputs) - 1][begin:end]
        d_out = np.empty((n, 3), np.float32)
        for j in range(n):
            for a in range(3):
                d_out[j, a] = d_rgb[samples[j], a] * (color[j, a] * (ONE - color[j, a]))
        x = np.empty((n, color_input.shape[1]), np.float32)
        take_rows(color_input, places, x)
        d_x = run_backward(x, color_matrices, kept_color, begin, end, d_out, color_gradients, part)
        d_raw = np.empty((n, geometry), np.float32)
        for j in range(n):
            for f in range(geometry):
                d_raw[j, f] = d_x[j, f]
            d_raw[j, 0] += d_density[samples[j]] * density[samples[j]]
        for layer in range(len(kept_density)):
            take_rows(density_outputs[layer], samples, kept_density[layer][begin:end])
        x = np.empty((n, rows.shape[1]), np.float32)
        take_rows(rows, samples, x)
        d_x = run_backward(x, density_matrices, kept_density, begin, end, d_raw, density_gradients, part)
        d_rows[begin:end] = d_x


class Activations:
    """What the MLPs' forward stage leaves for their backward stage, for up to `capacity` samples.

    Layers' tensors stand in tuples, as NumPy arrays that share the memory of what they are made of.
    """

    def __init__(self, field, capacity, training):
        density, color = field.density_shapes, field.color_shapes
        self.density_matrices, self.color_matrices = arrays_of(field)
        self.density_outputs, self.color_outputs = empty_outputs(density, capacity), empty_outputs(color, capacity)
        self.color_input = np.empty((capacity, color[0][0]), np.float32)
        if training:
            parts = lambda shapes: tuple(np.empty((-(-capacity // PART), *shape), np.float32) for shape in shapes)  # noqa: E731
            self.row = torch.empty(capacity, dtype=torch.int32)  # of the colours of sample alive[j]
            self.kept_density, self.kept_color = empty_outputs(density[:-1], capacity), empty_outputs(color, capacity)
            self.density_gradients, self.color_gradients = parts(density), parts(color)


def empty_outputs(shapes, rows):
    """An array of so many rows for what each layer of an MLP makes of its input."""
    return tuple(np.empty((rows, width), np.float32) for _, width in shapes)


def arrays_of(field):
    """The matrices of a Field's two MLPs, as tuples of arrays that share its memory."""
    return tuple(tuple(matrix.numpy() for matrix in matrices) for matrices in field.matrices(field.weights))


def evaluate_density(samples, activations):
    """Writes samples.density; the density MLP's outputs stay in `activations`."""
    density_kernel(
        n=samples.used(),
        rows=samples.encoding.numpy(),
        matrices=activations.density_matrices,
        outputs=activations.density_outputs,
        density=samples.density.numpy(),
    )


def evaluate_color(field, direction, samples, activations):
    """Writes samples.rgb of the samples that samples.alive lists; `direction` (R,3) is that of their rays."""
    color_kernel(
        index=samples.alive[: int(samples.alive_count)].numpy(),
        ray=samples.ray.numpy(),
        direction=direction.numpy(),
        raw=activations.density_outputs[-1],
        degree=field.network.sh_degree,
        matrices=activations.color_matrices,
        color_input=activations.color_input,
        outputs=activations.color_outputs,
        rgb=samples.rgb.numpy(),
    )


def evaluate_backward(field, samples, activations):
    """See Backend.evaluate_backward."""
    total = int(samples.alive_count)
    backward_kernel(
        index=samples.alive[:total].numpy(),
        row=activations.row[:total].numpy(),
        rows=samples.encoding.numpy(),
        density=samples.density.numpy(),
        d_density=samples.d_density.numpy(),
        d_rgb=samples.d_rgb.numpy(),
        density_matrices=activations.density_matrices,
        density_outputs=activations.density_outputs,
        color_matrices=activations.color_matrices,
        color_input=activations.color_input,
        color_outputs=activations.color_outputs,
        kept_density=activations.kept_density,
        kept_color=activations.kept_color,
        density_gradients=activations.density_gradients,
        color_gradients=activations.color_gradients,
        d_rows=samples.d_encoding.numpy(),
    )
    gradients = activations.density_gradients + activations.color_gradients
    matrices = sum(field.matrices(field.weight_gradient), [])
    for matrix, parts in zip(matrices, gradients):
        matrix += torch.from_numpy(parts[: -(-total // PART)].sum(0))


@jit_parallel
def density_at_kernel(position, table, scale, vertices, offset, hashed, channels, matrices, outputs, density):
    """`outputs` (threads * PART, width) of each layer are for the threads to work in."""
    for part in numba.prange(-(-len(position) // PART)):
        begin, end = part * PART, min((part + 1) * PART, len(position))
        place = numba.get_thread_id() * PART
        rows = np.empty((end - begin, matrices[0].shape[0]), np.float32)
        encoding.encode_part(end - begin, position[begin:end], table, scale, vertices, offset, hashed, channels, rows)
        density_part(rows, matrices, outputs, place, place + end - begin, density[begin:end])


def density_at(field, positions):
    """See Backend.density."""
    density = torch.empty(len(positions))
    matrices, _ = arrays_of(field)
    density_at_kernel(
        position=positions.numpy(),
        table=field.table.numpy(),
        matrices=matrices,
        outputs=empty_outputs(field.density_shapes, numba.get_num_threads() * PART),
        density=density.numpy(),
        **encoding.levels_of(field),
    )
    return density
