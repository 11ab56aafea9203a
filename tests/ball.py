"""The ball that tests train on and judge by: exact pictures, since rays and sphere are intersected. Python 3.8."""

import math

import numpy as np

from obj2ngp.common.cameras import orbit_pose
from obj2ngp.views.posed_images import PosedImages

RADIUS = 0.35  # of the ball, which lies around the origin
DISTANCE = 1.5  # of the cameras from its middle
FOCAL = 1.1  # in widths of the picture


def ball_pose(azimuth, elevation):
    """(4,4) pose of a camera that looks at the ball; angles in radians."""
    return orbit_pose(azimuth, elevation, DISTANCE)


def ball_picture(pose, size, focal=None, supersampling=3):
    """(H,W,4) uint8: the ball, coloured by its normal, as a camera at `pose` (3 or 4,4) sees it; straight alpha.

    The picture has `size` pixels a side, each the mean of `supersampling`^2 rays; `focal` is FOCAL * size unless given.
    """
    focal, pose, n = focal or FOCAL * size, pose[:3], size * supersampling
    y, x = (np.mgrid[:n, :n] + 0.5) / supersampling
    direction = np.stack([(x - size / 2) / focal, (size / 2 - y) / focal, -np.ones_like(x)], -1) @ pose[:, :3].T
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    middle = -(direction @ pose[:, 3])
    inside = RADIUS**2 - (pose[:, 3] @ pose[:, 3] - middle**2)
    hit = inside > 0
    normal = (pose[:, 3] + (middle - np.sqrt(np.maximum(inside, 0)))[..., None] * direction) / RADIUS
    rgba = np.concatenate([(0.5 + 0.4 * normal) * hit[..., None], hit[..., None]], -1)
    rgba = rgba.reshape(size, supersampling, size, supersampling, 4).mean((1, 3))
    rgba[..., :3] /= np.maximum(rgba[..., 3:], 1e-9)
    return (rgba * 255 + 0.5).astype(np.uint8)


def around(views):
    """Poses of as many cameras on all sides of the ball."""
    return [ball_pose(2.4 * i, math.asin((2 * i + 1) / views - 1) * 0.9) for i in range(views)]


def ball_images(poses=None, size=32, focal=None, placed=True):
    """PosedImages of the ball from `poses`, or from twelve all around; `placed`: they say where the unit cube lies."""
    if poses is None:
        poses = around(12)
    focal = focal or FOCAL * size
    return PosedImages(
        np.stack([ball_picture(pose, size, focal) for pose in poses]),
        np.stack(poses)[:, :3].astype(np.float32),
        focal,
        (size / 2, size / 2),
        ["{:03d}".format(i) for i in range(len(poses))],
        1.0 if placed else None,
        np.full(3, 0.5, np.float32) if placed else None,
    )
