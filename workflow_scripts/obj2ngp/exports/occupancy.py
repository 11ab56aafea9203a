"""Occupancy grids in the sizes of other programs."""

import numpy as np


def resampled(occupied, cells):
    """(C,C,C) bool: which of C `cells` along an edge overlap one of `occupied` (G,G,G) bool."""
    size, index = len(occupied), np.arange(cells)
    first, end = index * size // cells, -(-(index + 1) * size // cells)  # of the given cells that overlap one
    for axis in range(3):
        total = np.concatenate(
            [np.zeros_like(occupied.take([0], axis), np.int32), occupied.cumsum(axis, np.int32)], axis
        )
        occupied = total.take(end, axis) > total.take(first, axis)
    return occupied
