"""The radiance field: parameters of the hash encoding and of the two MLPs, and their layout.

Position is in the unit cube [0,1]^3. The encoding's layout follows tiny-cuda-nn's: level l has
`scale = base * b**l - 1`, a vertex lies at `position * scale + 0.5`, small levels are stored densely
(x fastest), large ones through the spatial hash of Teschner et al. 2003 with the primes below.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from .networks import HASH, encoding_of, head_of

HASH_PRIMES = (1, 2654435761, 805459861)
TABLE_INIT = 1e-4  # half-width of the uniform initialisation of the hash tables (Müller et al. 2022)
# When vertices are counted, a level's growth is taken this much smaller: where `scale` is a whole number but for
# rounding, single precision (tiny-cuda-nn's) and double then count alike.
GROWTH_SLACK = 1e-6
MAX_LOG_DENSITY = 15.0  # density is exp(min(x, this)): finite in fp32 and far beyond opaque


def level_growth(network):
    """b: the factor between the resolutions of two levels (Müller et al. 2022, equation 3)."""
    return (network.finest_resolution / network.base_resolution) ** (1 / max(1, network.levels - 1))


class GridLevels:
    """Where each level of the hash encoding lies in the table, and how positions map to vertices.

    scale       (L,) float32: vertex coordinate = position * scale + 0.5
    resolution  (L,) int32: vertices along an edge
    offset      (L+1,) int32: first table entry of each level
    hashed      (L,) bool: level larger than its table
    """

    def __init__(self, network):
        growth, table = level_growth(network), 1 << network.table_log2
        scales = lambda growth: [network.base_resolution * growth**level - 1.0 for level in range(network.levels)]  # noqa: E731
        scale = scales(growth)
        resolution = [int(math.ceil(s)) + 1 for s in scales(growth * (1 - GROWTH_SLACK))]
        sizes = [min(-(-(r**3) // 8) * 8, table) for r in resolution]  # whole multiples of 8, as tiny-cuda-nn has it
        self.scale = torch.tensor(scale, dtype=torch.float32)
        self.resolution = torch.tensor(resolution, dtype=torch.int32)
        self.offset = torch.tensor(np.concatenate([[0], np.cumsum(sizes)]), dtype=torch.int32)
        self.hashed = torch.tensor([r**3 > table for r in resolution])
        self.entries = int(sum(sizes))

    def to(self, device):
        """Moves the descriptors to `device` in place."""
        for name in ("scale", "resolution", "offset", "hashed"):
            setattr(self, name, getattr(self, name).to(device))
        return self


def mlp_shapes(network):
    """Weight shapes (inputs, outputs) of the density MLP and of the colour MLP, without biases.

    The colour MLP reads the density MLP's outputs followed by the spherical harmonics of the direction.
    """
    density = [encoding_of(network).width] + [network.density_width] * network.density_layers
    density += [network.geometry_features]
    color = [network.geometry_features + network.sh_degree**2] + [network.color_width] * network.color_layers + [3]
    return list(zip(density[:-1], density[1:])), list(zip(color[:-1], color[1:]))


class Field:
    """Parameters, working copies and gradients of one radiance field.

    table            (entries, features) float32, master copy: the encoding's parameters
    weights          (n,) float32, the head's parameters; of the head `mlps`, all matrices one after another, each
                     (inputs, outputs) row-major
    compute_table    the same in the backend's arithmetic type; the same tensor where that is float32
    compute_weights  likewise
    table_gradient   (entries, features) in the arithmetic type, times the backend's loss scale
    weight_gradient  (n,) float32, times the backend's loss scale

    All are zero until `start` or `load`.
    """

    def __init__(self, network, dtype=torch.float32, device="cpu"):
        self.network = network
        self.dtype = dtype
        self.device = torch.device(device)
        self.encoding, self.head = encoding_of(network), head_of(network)
        if network.encoding == HASH:
            self.levels = GridLevels(network).to(device)
        self.density_shapes, self.color_shapes = mlp_shapes(network)
        self.table = torch.zeros(self.encoding.shape, device=device)
        self.weights = torch.zeros(self.head.count, device=device)
        single = dtype == torch.float32
        self.compute_table = self.table if single else self.table.to(dtype)
        self.compute_weights = self.weights if single else self.weights.to(dtype)
        self.table_gradient = torch.zeros_like(self.compute_table)
        self.weight_gradient = torch.zeros_like(self.weights)

    def start(self, seed):
        """Draws the parameters as they are before the first step of a run with `seed`; clears the gradients."""
        # NumPy draws them: they are the same for every backend, device and torch version.
        generator = np.random.default_rng(seed)
        table, weights = self.encoding.start(generator), self.head.start(generator)
        self.load(torch.from_numpy(table.astype(np.float32)), torch.from_numpy(weights.astype(np.float32)))
        self.table_gradient.zero_()
        self.weight_gradient.zero_()

    def load(self, table, weights):
        """Copies master parameters in, and into the working copies."""
        self.table.copy_(table)
        self.weights.copy_(weights)
        self.compute_table.copy_(self.table)
        self.compute_weights.copy_(self.weights)

    def matrices(self, flat):
        """Views of `flat` (shaped as `weights`, head `mlps`): the density MLP's matrices, the colour MLP's matrices."""
        views, start = [], 0
        for rows, columns in self.density_shapes + self.color_shapes:
            views.append(flat[start : start + rows * columns].view(rows, columns))
            start += rows * columns
        return views[: len(self.density_shapes)], views[len(self.density_shapes) :]
