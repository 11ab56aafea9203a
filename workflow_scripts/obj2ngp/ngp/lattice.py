"""A trained field's density on a regular lattice."""

from __future__ import annotations

import numpy as np
import torch

from obj2ngp.common.lattice import Lattice

from .config import lattice_resolution


def lattice_points(grid, resolution):
    """Indices (N,3) int64 of the points of a lattice that lie in occupied cells of an OccupancyGrid."""
    times = resolution // grid.resolution
    cells = grid.occupied.view((grid.resolution,) * 3).nonzero()
    steps = torch.arange(times, device=cells.device)
    return (cells[:, None] * times + torch.cartesian_prod(steps, steps, steps).view(-1, 3)).reshape(-1, 3)


def density_lattice(renderer, wanted):
    """The Lattice of a Renderer's model, of at least `wanted` points along an edge.

    Each point lies inside a cell of the occupancy grid; its density is 0 where the grid leaves the cell out, as
    rendering has it.
    """
    grid, model = renderer.grid, renderer.model
    resolution = lattice_resolution(wanted, grid.resolution)
    index = lattice_points(grid, resolution)
    density = np.zeros((resolution,) * 3, np.float32)
    if len(index):
        parts = ((index.float() + 0.5) / resolution).split(renderer.samples.capacity)
        values = torch.cat([renderer.backend.density(part) for part in parts])
        density[tuple(index.cpu().numpy().T)] = values.cpu().numpy()
    return Lattice(density, model.scale, model.offset.numpy())
