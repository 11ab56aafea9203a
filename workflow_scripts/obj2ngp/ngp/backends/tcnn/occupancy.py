"""Updates of the occupancy grid in torch operations."""

from __future__ import annotations

import torch

from ..base import STREAM_CELL, keep_dense_cells
from .hashing import pcg4d, unit
from .rays import unravel


def update(density, limit, grid, clock, step_size):
    """See Backend.update_occupancy; `density` is its function, and at most `limit` cells are visited."""
    total, resolution = int(grid.cell_count), grid.resolution
    visited = min(limit, total)
    index = torch.arange(visited, device=grid.cells.device)
    cell = grid.cells[(grid.cursor + index) % total].long()
    corner = torch.stack(unravel(cell, (resolution, resolution)), 1)
    words = pcg4d(index, int(clock.step), int(clock.seed), STREAM_CELL)
    position = (corner + torch.stack([unit(word) for word in words[:3]], 1)) / resolution
    grid.density[cell] = torch.max(grid.density[cell] * grid.config.decay, density(position))
    grid.cursor.copy_((grid.cursor + visited) % total)
    keep_dense_cells(grid, clock, step_size)
