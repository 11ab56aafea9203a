"""The MLPs by torch's matrix products: for networks that the fused kernels do not take. Static shapes.

Activations and their gradients are fp16, the gradients of the matrices fp32 sums, as in the fused kernels.
Rows of the sample buffer that are not in use are computed along; nothing reads their results.
"""

import torch
import triton
import triton.language as tl

from ...field import MAX_LOG_DENSITY
from .harmonics import HARMONICS, sample_harmonics
from .mlp import padded

BLOCK = 128  # samples of a program


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


@triton.jit
def color_inputs_kernel(
    raw_ptr,
    ray_ptr,
    direction_ptr,
    count_ptr,
    capacity,
    out_ptr,
    GEOMETRY: tl.constexpr,
    DEGREE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """out (S, GEOMETRY+DEGREE^2) fp16: the density MLP's outputs, then the spherical harmonics."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < tl.minimum(tl.load(count_ptr), capacity)
    row = out_ptr + i[:, None] * (GEOMETRY + DEGREE * DEGREE)
    g, k = tl.arange(0, padded(GEOMETRY))[None, :], tl.arange(0, HARMONICS)[None, :]
    raw_mask = mask[:, None] & (g < GEOMETRY)
    tl.store(row + g, tl.load(raw_ptr + i[:, None] * GEOMETRY + g, mask=raw_mask, other=0.0), mask=raw_mask)
    harmonics = sample_harmonics(ray_ptr, direction_ptr, i, mask, DEGREE)
    tl.store(row + GEOMETRY + k, harmonics, mask=mask[:, None] & (k < DEGREE * DEGREE))


def _color_inputs(network, raw, ray, direction, count):
    """The colour MLP's inputs for the first `count` (1,) int32 rows of `raw`; zeros in the others."""
    out = raw.new_zeros(len(raw), network.geometry_features + network.sh_degree**2)
    color_inputs_kernel[(triton.cdiv(len(raw), BLOCK),)](
        raw_ptr=raw,
        ray_ptr=ray,
        direction_ptr=direction,
        count_ptr=count,
        capacity=len(raw),
        out_ptr=out,
        GEOMETRY=network.geometry_features,
        DEGREE=network.sh_degree,
        BLOCK=BLOCK,
    )
    return out


def _density(raw):
    return raw[:, 0].float().clamp(max=MAX_LOG_DENSITY).exp()


def density(field, encoding):
    """(n,) of the rows of `encoding` (n, levels*features)."""
    return _density(_forward(encoding, field.matrices(field.compute_weights)[0])[1])


def evaluate(field, rays, samples):
    """Writes samples.density and rgb."""
    density_matrices, color_matrices = field.matrices(field.compute_weights)
    _, raw = _forward(samples.encoding, density_matrices)
    samples.density.copy_(_density(raw))
    x = _color_inputs(field.network, raw, samples.ray, rays.direction, samples.count)
    samples.rgb.copy_(_forward(x, color_matrices)[1].float().sigmoid())


def evaluate_backward(field, rays, samples):
    """See Backend.evaluate_backward."""
    density_matrices, color_matrices = field.matrices(field.compute_weights)
    d_density_matrices, d_color_matrices = field.matrices(field.weight_gradient)
    index = samples.alive.long()
    listed = torch.arange(len(index), device=index.device) < samples.alive_count
    density_inputs, raw = _forward(samples.encoding[index], density_matrices)
    x = _color_inputs(field.network, raw, samples.ray[index], rays.direction, samples.alive_count)
    inputs, output = _forward(x, color_matrices)
    rgb = output.float().sigmoid()
    d_output = torch.where(listed[:, None], samples.d_rgb[index] * rgb * (1 - rgb), 0).to(field.dtype)
    d_raw = _backward(inputs, color_matrices, d_output, d_color_matrices)[:, : raw.shape[1]].float()
    d_raw[:, 0] += torch.where(listed, samples.d_density[index] * _density(raw), 0)
    samples.d_encoding.copy_(_backward(density_inputs, density_matrices, d_raw.to(field.dtype), d_density_matrices))
