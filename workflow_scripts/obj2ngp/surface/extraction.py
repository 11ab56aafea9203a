"""Where a density lattice has a surface: level set, specks, parts that no camera sees."""

import numpy as np

from .rays import Triangles

CONTRAST = 8.0  # densities count from a level divided by this up to the level times this


def level_set(lattice, level):
    """Vertices (V,3) in the unit cube and faces (F,3), outside on their front, of the set where density >= level.

    lattice  (R,R,R) density at the middles of R^3 cells, indexed [x,y,z]

    Marching cubes (Lorensen & Cline 1987; Lewiner et al. 2003) on the logarithm of density, which grows about linearly
    through a surface. (0,3) arrays where nothing is that dense.
    """
    from skimage.measure import marching_cubes

    occupied = [np.flatnonzero((lattice >= level).any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not len(occupied[0]):
        return np.zeros((0, 3)), np.zeros((0, 3), int)
    low = np.array([index[0] for index in occupied])
    high = np.array([index[-1] for index in occupied])
    inside = lattice[tuple(slice(max(a - 1, 0), b + 2) for a, b in zip(low, high))]
    with np.errstate(divide="ignore"):
        value = np.clip(np.log(inside / level), -np.log(CONTRAST), np.log(CONTRAST))
    value = np.pad(value, 1, constant_values=-np.log(CONTRAST))  # closed where it meets the cube's wall
    vertices, faces, _, _ = marching_cubes(value, 0.0, gradient_direction="ascent", allow_degenerate=False)
    return (vertices + np.maximum(low - 1, 0) - 1 + 0.5) / len(lattice), faces


def components(vertices, faces):
    """A number (F,) for each face, the same for faces that are joined through vertices."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = np.concatenate([faces[:, :2], faces[:, 1:]])
    graph = coo_matrix((np.ones(len(pairs), bool), pairs.T), shape=(len(vertices),) * 2)
    return connected_components(graph, directed=False)[1][faces[:, 0]]
