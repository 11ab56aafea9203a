"""From the world of the views to the coordinates of the model that they show."""

import numpy as np

from obj2ngp.common.files import UserError


def world_to_source(record):
    """The matrix (4,4) that takes world points to the source model's own units and axes, by the views' record.

    Views that come from elsewhere have no other coordinates than their world's: the identity. Raises UserError where
    the matrix of a record has no inverse.
    """
    normalization = record.get("normalization")
    try:
        return np.eye(4) if normalization is None else np.linalg.inv(np.array(normalization["matrix"], float))
    except np.linalg.LinAlgError as error:
        raise UserError("record.json of the training views: normalization.matrix: has no inverse") from error


def moved(points, matrix):
    """Points (N,3) under a matrix (4,4)."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def turned(normals, matrix):
    """Unit normals (N,3) under the rotation and uniform scale of a matrix (4,4)."""
    rotation = matrix[:3, :3] / np.linalg.norm(matrix[:3, 0])
    return normals @ rotation.T
