"""The MLPs by torch's matrix products: for networks that the fused kernels do not take. Static shapes.

Activations and their gradients are fp16, the gradients of the matrices fp32 sums, as in the fused kernels.
Rows of the sample buffer that are not in use are computed along; nothing reads their results.
"""

import torch
import triton

from ...field import MAX_LOG_DENSITY
from .mlp import color_inputs

BLOCK = 128


def _forward(x, matrices):
    """(what each matrix is multiplied with, the last one's result)."""
    inputs = [x]
    for matrix in matrices[:-1]:
        inputs.append((inputs[-1] @ matrix).relu_())
    return inputs, inputs[-1] @ matrices[-1]


def _backward(inputs, matrices, d_output, gradients):
    """The gradient of inputs[0]; adds those of the matrices to `gradients`."""
    for m in reversed(range(len(matrices))):
        gradients[m].addmm_(inputs[m].t().float(), d_output.float())
        d_output = d_output @ matrices[m].t()
        if m:
            d_output = torch.where(inputs[m] > 0, d_output, 0)
    return d_output


def _color_inputs(network, raw, ray, direction, count):
    out = raw.new_zeros(len(raw), network.geometry_features + network.sh_degree**2)
    color_inputs[(triton.cdiv(len(raw), BLOCK),)](
        raw, ray, direction, count, len(raw), out, network.geometry_features, network.sh_degree, BLOCK
    )
    return out


def _density(raw):
    return raw[:, 0].float().clamp(max=MAX_LOG_DENSITY).exp()


def density(field, samples, n):
    """Writes samples.density of the first n encodings."""
    _, raw = _forward(samples.encoding[:n], field.matrices(field.compute_weights)[0])
    samples.density[:n] = _density(raw)


def evaluate(field, rays, samples):
    """Writes samples.density and rgb."""
    density_matrices, color_matrices = field.matrices(field.compute_weights)
    _, raw = _forward(samples.encoding, density_matrices)
    samples.density.copy_(_density(raw))
    x = _color_inputs(field.network, raw, samples.ray, rays.direction, samples.count)
    samples.rgb.copy_(_forward(x, color_matrices)[1].float().sigmoid())


def evaluate_backward(field, rays, samples, alive, alive_count):
    """Writes samples.d_encoding of the samples alive[:alive_count], in that order, and field.weight_gradient."""
    density_matrices, color_matrices = field.matrices(field.compute_weights)
    d_density_matrices, d_color_matrices = field.matrices(field.weight_gradient)
    index = alive.long()
    listed = torch.arange(len(index), device=index.device) < alive_count
    density_inputs, raw = _forward(samples.encoding[index], density_matrices)
    x = _color_inputs(field.network, raw, samples.ray[index], rays.direction, alive_count)
    inputs, output = _forward(x, color_matrices)
    rgb = output.float().sigmoid()
    d_output = torch.where(listed[:, None], samples.d_rgb[index] * rgb * (1 - rgb), 0).to(field.dtype)
    d_raw = _backward(inputs, color_matrices, d_output, d_color_matrices)[:, : raw.shape[1]].float()
    d_raw[:, 0] += torch.where(listed, samples.d_density[index] * _density(raw), 0)
    samples.d_encoding.copy_(_backward(density_inputs, density_matrices, d_raw.to(field.dtype), d_density_matrices))
