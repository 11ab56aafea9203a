"""A trained field's density on a regular lattice."""

from __future__ import annotations

import numpy as np
import torch

from .rendering import Renderer


def density_lattice(renderer, resolution):
    """Density (R,R,R) float32, per edge of the unit cube, at the middles of `resolution`^3 cells, indexed [x,y,z].

    renderer    ngp.rendering.Renderer of the model
    resolution  a multiple of the occupancy grid's, so that each point lies inside one of its cells; ValueError else
    It is 0 in cells that the occupancy grid leaves out, as rendering has it.
    """
    grid = renderer.grid
    if resolution % grid.resolution:
        raise ValueError("{} is no multiple of {}".format(resolution, grid.resolution))
    times = resolution // grid.resolution
    device = grid.occupied.device
    cells = grid.occupied.view((grid.resolution,) * 3).nonzero()
    steps = torch.arange(times, device=device)
    inner = torch.cartesian_prod(steps, steps, steps).view(-1, 3)
    index = (cells[:, None] * times + inner).reshape(-1, 3)
    positions = (index.float() + 0.5) / resolution
    values = torch.cat([renderer.backend.density(part) for part in positions.split(renderer.samples.capacity)])
    lattice = np.zeros((resolution,) * 3, np.float32)
    lattice[tuple(index.cpu().numpy().T)] = values.cpu().numpy()
    return lattice
