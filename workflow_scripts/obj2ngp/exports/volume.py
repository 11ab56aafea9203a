"""A trained field on a regular grid: density and colour, as a NumPy file."""

import numpy as np
import torch

from obj2ngp.ngp.lattice import lattice_points

from .coordinates import world_to_source
from .surface_field import CHUNK, as_bytes

DIRECTIONS = np.concatenate([np.eye(3), -np.eye(3)])  # colour is the mean of what is seen along these


def grid_to_source(model, resolution, to_source):
    """The matrix (4,4) from indices of the grid to the source's coordinates: cells' middles have whole indices."""
    grid_to_world = np.eye(4)
    grid_to_world[:3, :3] /= resolution * model.scale
    grid_to_world[:3, 3] = (0.5 / resolution - model.offset.numpy()) / model.scale
    return to_source @ grid_to_world


def write(source, folder):
    """Write the volume of a Source into `folder`.

    NAME.npz has `density` (R,R,R) float32, per unit of length of the source model, indexed [x,y,z] in the axes of the
    views' world; `rgb` (R,R,R,3) uint8, sRGB; `matrix` (4,4), which takes an index to the source's coordinates.
    """
    model = source.model()
    grid = model.grid("cpu")
    resolution = source.lattice_of(model)
    matrix = grid_to_source(model, resolution, world_to_source(source.record()))
    density = np.zeros((resolution,) * 3, np.float32)
    rgb = np.zeros((resolution,) * 3 + (3,), np.uint8)
    source_to_world = model.scale * resolution * np.linalg.norm(matrix[:3, 0])
    for index in lattice_points(grid, resolution).split(CHUNK):
        points = ((index + 0.5) / resolution - model.offset) / model.scale
        seen = [model.query(points, torch.tensor(direction).expand(len(points), 3)) for direction in DIRECTIONS]
        place = tuple(index.numpy().T)
        density[place] = (seen[0][0].cpu() / source_to_world).numpy()
        rgb[place] = as_bytes(torch.stack([color for _, color in seen]).mean(0).clamp(0, 1).cpu().numpy())
    np.savez_compressed(folder / f"{source.name}.npz", density=density, rgb=rgb, matrix=matrix)
