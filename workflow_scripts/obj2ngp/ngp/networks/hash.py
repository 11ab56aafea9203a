"""Encoding `hash`: the multiresolution hash encoding (Müller et al. 2022); its levels are `ngp.field.GridLevels`."""

from __future__ import annotations

import torch

from obj2ngp.ngp.field import HASH_PRIMES, TABLE_INIT, GridLevels

CORNERS = tuple((i & 1, i >> 1 & 1, i >> 2 & 1) for i in range(8))


class Encoding:
    def __init__(self, network):
        levels = GridLevels(network)
        self.shape = (levels.entries, network.features)
        self.width = network.levels * network.features
        first = levels.offset.tolist()
        self.levels = list(
            zip(levels.scale.tolist(), levels.resolution.tolist(), first, first[1:], levels.hashed.tolist())
        )

    def start(self, generator):
        return generator.uniform(-TABLE_INIT, TABLE_INIT, self.shape)

    def __call__(self, table, positions):
        corners = torch.tensor(CORNERS, device=positions.device)
        features = []
        for scale, resolution, first, end, hashed in self.levels:
            scaled = positions * scale + 0.5
            low = scaled.detach().floor()
            fraction = (scaled - low)[:, None]
            weights = torch.where(corners == 1, fraction, 1 - fraction).prod(2)
            x, y, z = (low.long()[:, None] + corners).clamp(max=resolution - 1).unbind(2)
            if hashed:
                entry = (x ^ (y * HASH_PRIMES[1]) ^ (z * HASH_PRIMES[2])) & (end - first - 1)
            else:
                entry = x + resolution * (y + resolution * z)
            features.append((weights[..., None] * table[first + entry]).sum(1))
        return torch.cat(features, 1)
