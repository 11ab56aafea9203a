"""Head `gmnerf`: one MLP to colour and density, without directions, as in the field of gmnerf (Ballerini et al. 2026).

Read from its code (`nf2vec/nerf/hash.py`): a FullyFusedMLP of tiny-cuda-nn without biases, its inputs padded with ones;
outputs red, green, blue and log density + 1, the density per unit of a world whose box is BOX wide.
"""

from __future__ import annotations

import math

import torch

from obj2ngp.ngp.tiny_cuda_nn import FULLY_FUSED_ALIGNMENT, padded

from . import encoding_of
from .mlps import glorot, matrices, run

BOX = 1.4  # edge of its box, from -0.7 to 0.7, which is the unit cube here
OUTPUTS = 4


class Head:
    def __init__(self, network):
        inputs, width = padded(encoding_of(network).width, FULLY_FUSED_ALIGNMENT), network.density_width
        sizes = [inputs] + [width] * network.density_layers + [OUTPUTS]
        self.shapes = list(zip(sizes, sizes[1:]))
        self.count = sum(rows * columns for rows, columns in self.shapes)

    def start(self, generator):
        return glorot(generator, self.shapes)

    def __call__(self, weights, encoding, directions):
        ones = encoding.new_ones(len(encoding), self.shapes[0][0] - encoding.shape[1])
        out = run(torch.cat([encoding, ones], 1), matrices(weights, self.shapes))
        return out[:, 3] - 1 + math.log(BOX), out[:, :3].sigmoid()
