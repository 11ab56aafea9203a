"""Head `mlps`: a density MLP, and a colour MLP that reads its outputs and spherical harmonics of the direction."""

from __future__ import annotations

import math

import numpy as np
import torch

from obj2ngp.ngp.field import mlp_shapes


def matrices(weights, shapes):
    """Views of the flat `weights` as matrices of these shapes, one after another, row by row."""
    sizes = [rows * columns for rows, columns in shapes]
    return [part.view(shape) for part, shape in zip(weights.split(sizes), shapes)]


def glorot(generator, shapes):
    """(n,) parameters of matrices (inputs, outputs) of these shapes (Glorot & Bengio 2010)."""
    return np.concatenate([(generator.uniform(-1, 1, shape) * math.sqrt(6.0 / sum(shape))).ravel() for shape in shapes])


def run(rows, layers):
    """ReLU between matrices, none behind the last; no biases."""
    for matrix in layers[:-1]:
        rows = (rows @ matrix).relu()
    return rows @ layers[-1]


def harmonics(direction, degree):
    """(S, degree^2) real spherical harmonics, degree 4 at most, in tiny-cuda-nn's order and with its signs."""
    x, y, z = direction.unbind(1)
    xx, yy, zz = x * x, y * y, z * z
    values = [
        torch.full_like(x, 0.28209479177387814),
        -0.4886025119029199 * y,
        0.4886025119029199 * z,
        -0.4886025119029199 * x,
        1.0925484305920792 * x * y,
        -1.0925484305920792 * y * z,
        0.9461746957575601 * zz - 0.31539156525252,
        -1.0925484305920792 * x * z,
        0.5462742152960396 * (xx - yy),
        0.5900435899266435 * y * (yy - 3 * xx),
        2.890611442640554 * x * y * z,
        0.4570457994644657 * y * (1 - 5 * zz),
        0.3731763325901154 * z * (5 * zz - 3),
        0.4570457994644657 * x * (1 - 5 * zz),
        1.445305721320277 * z * (xx - yy),
        0.5900435899266435 * x * (3 * yy - xx),
    ]
    return torch.stack(values[: degree**2], 1)


class Head:
    def __init__(self, network):
        density, color = mlp_shapes(network)
        self.shapes, self.layers, self.degree = density + color, len(density), network.sh_degree
        self.count = sum(rows * columns for rows, columns in self.shapes)

    def start(self, generator):
        return glorot(generator, self.shapes)

    def __call__(self, weights, encoding, directions):
        layers = matrices(weights, self.shapes)
        raw = run(encoding, layers[: self.layers])
        color = run(torch.cat([raw, harmonics(directions, self.degree)], 1), layers[self.layers :])
        return raw[:, 0], color.sigmoid()
