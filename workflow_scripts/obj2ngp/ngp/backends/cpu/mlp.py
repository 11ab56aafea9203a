"""Density and colour MLP: torch's matrix products, ReLU in between, no biases.

    density = exp(min(raw_0, MAX_LOG_DENSITY))        raw = the density MLP's outputs
    colour  = sigmoid(colour MLP(raw, spherical harmonics of the direction))

Colours are evaluated only for the samples that samples.alive lists, and gradients flow only through those.
"""

import numba
import torch

from ...field import MAX_LOG_DENSITY
from .hashing import jit


@jit
def color_inputs_kernel(index, ray, direction, raw, degree, out):
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


def run(x, matrices, outputs):
    """Runs an MLP on rows of `x`; `outputs` receives every layer's result. Returns the last one."""
    for i, (matrix, out) in enumerate(zip(matrices, outputs)):
        torch.mm(x, matrix, out=out)
        x = out.relu_() if i + 1 < len(matrices) else out
    return x


def run_backward(x, matrices, outputs, d_out, gradients, spare):
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
            widest = max(max(shape) for shape in field.density_shapes + field.color_shapes)
            self.gradients = (torch.empty(capacity * widest), torch.empty(capacity * widest))


def first_rows(outputs, n):
    """The first n rows of every layer's result."""
    return [out[:n] for out in outputs]


def evaluate_density(field, samples, activations):
    """Writes samples.density; returns the density MLP's outputs (n, geometry_features)."""
    n = samples.used()
    matrices = field.matrices(field.weights)[0]
    raw = run(samples.encoding[:n], matrices, first_rows(activations.density_outputs, n))
    samples.density[:n] = density_of(raw)
    return raw


def evaluate_color(field, rays, samples, raw, activations):
    """Writes samples.rgb of the samples that samples.alive lists."""
    n = int(samples.alive_count)
    index, color_input = samples.alive[:n], activations.color_input[:n]
    color_inputs_kernel(
        index=index.numpy(),
        ray=samples.ray.numpy(),
        direction=rays.direction.numpy(),
        raw=raw.numpy(),
        degree=field.network.sh_degree,
        out=color_input.numpy(),
    )
    output = run(color_input, field.matrices(field.weights)[1], first_rows(activations.color_outputs, n))
    samples.rgb.index_copy_(0, index.long(), output.sigmoid_())


def evaluate_backward(field, samples, activations):
    """See Backend.evaluate_backward."""
    n = int(samples.alive_count)
    index, spare = samples.alive[:n].long(), activations.gradients
    density, color = field.matrices(field.weights)
    d_density, d_color = field.matrices(field.weight_gradient)
    color_outputs = first_rows(activations.color_outputs, n)
    rgb = color_outputs[-1]
    d_out = spare[1][: 3 * n].view(n, 3)
    torch.mul(samples.d_rgb[index], rgb * (1 - rgb), out=d_out)
    d_input = run_backward(activations.color_input[:n], color, color_outputs, d_out, d_color, spare[::-1])
    d_raw = d_input[:, : field.network.geometry_features].contiguous()
    d_raw[:, 0] += samples.d_density[index] * samples.density[index]
    # The hidden layers of the terminated samples are in the way: those of the others are gathered or done again.
    encoding = samples.encoding[index]
    density_outputs = first_rows(activations.density_outputs, n)
    run(encoding, density, density_outputs)
    samples.d_encoding[:n] = run_backward(encoding, density, density_outputs, d_raw, d_density, spare)
