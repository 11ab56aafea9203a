"""Density and colour MLP: torch's matrix products, ReLU in between, no biases.

    density = exp(min(raw_0, MAX_LOG_DENSITY))        raw = the density MLP's outputs
    colour  = sigmoid(colour MLP(raw, spherical harmonics of the direction))

Colours are evaluated only for the samples that samples.alive lists, and gradients flow only through those.
"""

import numpy as np
import torch

from ...field import MAX_LOG_DENSITY
from .compiling import jit
from .threads import share_out

PART = 2048  # samples: what a layer makes of them fits a core's cache


@jit
def color_inputs_kernel(index, ray, direction, raw, degree, out):
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
def mask_kernel(gradient, value):
    """ReLU's backward pass, in place; (n,width) both. torch has none that makes no array in between."""
    for i in range(gradient.shape[0]):
        for f in range(gradient.shape[1]):
            gradient[i, f] = gradient[i, f] if value[i, f] > 0 else np.float32(0)


def run(x, matrices, outputs):
    """Runs an MLP on rows of `x`, one part of a stage; `outputs` receives every layer's result. Returns the last."""
    for i, (matrix, out) in enumerate(zip(matrices, outputs)):
        torch.mm(x, matrix, out=out)
        x = out.relu_() if i + 1 < len(matrices) else out
    return x


def run_backward(x, matrices, outputs, d_out, gradients):
    """Gradient of an MLP's input; adds those of its matrices to `gradients`."""
    for i in reversed(range(len(matrices))):
        before = outputs[i - 1] if i else x
        gradients[i].addmm_(before.t(), d_out)
        d_out = torch.mm(d_out, matrices[i].t())
        if i:
            mask_kernel(gradient=d_out.numpy(), value=before.numpy())
    return d_out


def density_of(raw):
    """(n,) of the density MLP's outputs (n, geometry_features)."""
    return torch.exp(raw[:, 0].clamp(max=MAX_LOG_DENSITY))


class Activations:
    """What the MLPs' forward stage leaves for their backward stage, for up to `capacity` samples."""

    def __init__(self, field, capacity, training):
        rows = lambda shapes: [torch.empty(capacity, outputs) for _, outputs in shapes]  # noqa: E731
        self.density_outputs = rows(field.density_shapes)
        self.color_input = torch.empty(capacity, field.color_shapes[0][0])
        self.color_outputs = rows(field.color_shapes)
        if training:
            self.row = torch.empty(capacity, dtype=torch.int32)  # of the colours of sample alive[j]
            self.weight_gradients = torch.empty(-(-capacity // PART), len(field.weights))  # a row for each part


def evaluate_density(field, samples, activations):
    """Writes samples.density; the density MLP's outputs stay in `activations`."""
    matrices = field.matrices(field.weights)[0]

    def part(begin, end):
        outputs = [out[begin:end] for out in activations.density_outputs]
        samples.density[begin:end] = density_of(run(samples.encoding[begin:end], matrices, outputs))

    share_out(part, samples.used(), PART)


def evaluate_color(field, direction, samples, activations):
    """Writes samples.rgb of the samples that samples.alive lists; `direction` (R,3) is that of their rays."""
    matrices = field.matrices(field.weights)[1]
    arrays = dict(
        ray=samples.ray.numpy(),
        direction=direction.numpy(),
        raw=activations.density_outputs[-1].numpy(),
        degree=field.network.sh_degree,
    )

    def part(begin, end):
        index, color_input = samples.alive[begin:end], activations.color_input[begin:end]
        color_inputs_kernel(index=index.numpy(), out=color_input.numpy(), **arrays)
        output = run(color_input, matrices, [out[begin:end] for out in activations.color_outputs])
        samples.rgb.index_copy_(0, index.long(), output.sigmoid_())

    share_out(part, int(samples.alive_count), PART)


def evaluate_backward(field, samples, activations):
    """See Backend.evaluate_backward."""
    density, color = field.matrices(field.weights)
    geometry, total = field.network.geometry_features, int(samples.alive_count)

    def part(begin, end):
        index, row = samples.alive[begin:end].long(), activations.row[begin:end].long()
        gradient = activations.weight_gradients[begin // PART].zero_()
        d_density, d_color = field.matrices(gradient)
        outputs = [out[row] for out in activations.color_outputs]
        d_out = samples.d_rgb[index] * (outputs[-1] * (1 - outputs[-1]))
        d_raw = run_backward(activations.color_input[row], color, outputs, d_out, d_color)[:, :geometry]
        d_raw = d_raw.contiguous()
        d_raw[:, 0] += samples.d_density[index] * samples.density[index]
        # The hidden layers of the terminated samples are in the way: those of the others are done again.
        encoding = samples.encoding[index]
        outputs = [out[begin:end] for out in activations.density_outputs]
        run(encoding, density, outputs)
        samples.d_encoding[begin:end] = run_backward(encoding, density, outputs, d_raw, d_density)

    share_out(part, total, PART)
    field.weight_gradient += activations.weight_gradients[: -(-total // PART)].sum(0)
