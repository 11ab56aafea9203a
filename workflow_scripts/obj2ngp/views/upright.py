"""Which way is up in a set, and the rotation that makes it the z axis."""

from __future__ import annotations

import numpy as np

ROLL = 0.02  # mean square of what the cameras' horizontal axes have of the vertical, at most, where none is rolled
SPREAD = 0.01  # mean square, at least, of what they have of the direction after that: else they do not tell up
CLEARER = 5  # times as much as they have of the vertical, at least
SNAP = np.cos(np.radians(10))  # an axis of the set within 10 degrees is meant


def up_direction(poses):
    """(3,) unit vector that points up in the world of `poses` (V,3 or 4,4), as the cameras were held.

    Cameras that are not rolled have horizontal x axes, to which up is perpendicular; otherwise it is the mean of their
    y axes. The axis of the set that is nearest is taken where it is near.
    """
    right, upward = poses[:, :3, 0], poses[:, :3, 1].mean(0)
    values, vectors = np.linalg.eigh(right.T @ right / len(right))
    up = upward
    if values[0] < ROLL and values[1] > max(SPREAD, CLEARER * values[0]):
        up = vectors[:, 0] * np.sign(vectors[:, 0] @ upward or 1)
    length = np.linalg.norm(up)
    if length < 1e-6:  # cameras all around that look at one another: nothing tells
        return np.array([0.0, 0.0, 1.0])
    up = up / length
    axis = np.abs(up).argmax()
    if abs(up[axis]) >= SNAP:
        up = np.eye(3)[axis] * np.sign(up[axis])
    return up


def rotation_to_z(up):
    """(3,3) the rotation by the smallest angle that takes the unit vector `up` to the z axis; exact for an axis."""
    z = np.array([0.0, 0.0, 1.0])
    cosine = up @ z
    if cosine <= -1 + 1e-12:
        return np.diag([1.0, -1.0, -1.0])
    x, y, _ = np.cross(up, z)
    cross = np.array([[0, 0, y], [0, 0, -x], [-y, x, 0]])
    return np.eye(3) + cross + cross @ cross / (1 + cosine)


def axis_direction(name):
    """(3,) the unit vector of an axis called as in settings.AXES."""
    return np.eye(3)["xyz".index(name[-1])] * (-1.0 if name[0] == "-" else 1.0)
