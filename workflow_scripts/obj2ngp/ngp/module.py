"""A trained field as a PyTorch module."""

from __future__ import annotations

import torch

from .field import MAX_LOG_DENSITY
from .networks import encoding_of, head_of


class FieldModule(torch.nn.Module):
    """The field of a Model in plain PyTorch, differentiable in its parameters, in positions and in directions.

    Its values are those of `Model.query`, which a backend computes: alike to 1e-4 or so, or to half precision.

    table, weights  parameters, as in ngp.field.Field
    occupied        (G,G,G) bool buffer: cells outside of which the density is 0
    scale, offset   buffers: the unit cube's position of a world point is point * scale + offset
    """

    def __init__(self, model):
        super().__init__()
        network = model.config.network
        self.encoding, self.head = encoding_of(network), head_of(network)
        self.table = torch.nn.Parameter(model.table.clone())
        self.weights = torch.nn.Parameter(model.weights.clone())
        self.register_buffer("occupied", model.occupied.clone())
        self.register_buffer("scale", torch.tensor(float(model.scale)))
        self.register_buffer("offset", model.offset.clone())

    def forward(self, positions, directions):
        """Density (...), per world unit, and colour (...,3), sRGB in [0,1], at positions (...,3) in world units.

        directions  (...,3), in which one looks; of any length but zero
        Density is 0 outside the unit cube and in cells that are not occupied; the colour there has no meaning.
        """
        shape = positions.shape[:-1]
        cube = positions.reshape(-1, 3) * self.scale + self.offset
        directions = torch.nn.functional.normalize(directions.expand(positions.shape).reshape(-1, 3), dim=1)
        encoding = self.encoding(self.table, cube.clamp(0, 1))
        log_density, rgb = self.head(self.weights, encoding, directions)
        cells = len(self.occupied)
        x, y, z = (cube.detach() * cells).long().clamp(0, cells - 1).unbind(1)
        met = ((cube >= 0) & (cube <= 1)).all(1) & self.occupied[x, y, z]
        density = log_density.clamp(max=MAX_LOG_DENSITY).exp() * self.scale * met
        return density.view(shape), rgb.view(*shape, 3)
