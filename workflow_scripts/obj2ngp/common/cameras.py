"""Pinhole cameras: where they stand, what they see, and the NeRF-synthetic file that tells other programs so.

Poses are 4x4 camera-to-world matrices with OpenGL axes: x right, y up, the camera looks along its own -z. The world's
z axis points up. Pixels are square; pixel coordinates begin at the picture's upper left corner, x to the right and y
down, so that the middle of the first pixel is (0.5, 0.5).
"""

import math

import numpy as np


def orbit_pose(azimuth, elevation, radius, center=(0.0, 0.0, 0.0)):
    """Pose (4, 4) of a camera at ``radius`` from the point ``center`` that it looks at, its x axis horizontal.

    Angles in radians: azimuth anticlockwise from the x axis as seen from above, elevation above the horizon.
    """
    backward = np.array(
        [math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)]
    )
    right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])  # defined straight above the object, too
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2] = right, np.cross(backward, right), backward
    pose[:3, 3] = radius * backward + center
    return pose


def focal_length(width, fov):
    """Focal length in pixels of a picture ``width`` pixels wide with the horizontal field of view ``fov`` (radians)."""
    return 0.5 * width / math.tan(0.5 * fov)


def field_of_view(width, focal):
    """The inverse of ``focal_length``: radians."""
    return 2.0 * math.atan(0.5 * width / focal)


def project(points, pose, focal, center):
    """Pixel coordinates (N, 2) of ``points`` (N, 3), and their depths (N,), the distances ahead of the camera's plane.

    The coordinates of points that are not ahead of it mean nothing.
    """
    x, y, z = pose[:3, :3].T.dot((points - pose[:3, 3]).T)
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = np.stack([center[0] - focal * x / z, center[1] + focal * y / z]).T
    return pixels, -z


def transforms(poses, files, resolution, fov, center=None, **more):
    """The NeRF-synthetic description of a set of pictures from one camera, ready for json.dump.

    ``poses`` (V, 3 or 4, 4); ``files`` their pictures as seen from the file, without ``.png``; ``resolution`` (width,
    height) in pixels; ``fov`` the horizontal field of view in radians; ``center`` the principal point, the middle
    unless given; ``more`` goes into the file as it is. ``fl_x`` and what follows it is what instant-ngp reads: its
    ``scale`` and ``offset`` put a world point onto its unit cube at ``point * scale + offset``.
    """
    width, height = resolution
    focal = focal_length(width, fov)
    cx, cy = map(float, center or (width / 2, height / 2))
    frames = [
        {"file_path": file, "transform_matrix": np.vstack([pose[:3], [0, 0, 0, 1]]).tolist()}
        for file, pose in zip(files, poses)
    ]
    intrinsics = {"camera_angle_x": fov, "fl_x": focal, "fl_y": focal, "cx": cx, "cy": cy, "w": width, "h": height}
    return {**intrinsics, **more, "frames": frames}
