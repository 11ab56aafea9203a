"""Cameras on a sphere around the object, which lies centred at the origin in a unit box. See common/cameras.py."""

import hashlib
import math

import numpy as np

from obj2ngp.common.cameras import focal_length, orbit_pose, project

CLIP_START = 0.001  # a camera shows nothing that is nearer
BORDER = 1  # pixels around what an object covers, for the rounding of others


def derived_seed(project_seed, object_name, split):
    """A 64-bit seed that depends on all three, so that neither objects nor splits share cameras or noise."""
    digest = hashlib.sha256(f"{project_seed}/{object_name}/{split}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


def radical_inverse(indices):
    """Van der Corput sequence in base 2: the binary digits of ``indices`` (N,) mirrored at the point, in [0, 1)."""
    indices = np.asarray(indices, dtype=np.int64).copy()
    result = np.zeros(indices.shape)
    digit_value = 0.5
    while indices.any():
        result += digit_value * (indices & 1)
        indices >>= 1
        digit_value /= 2
    return result


def sample_angles(cameras, views, seed):
    """Azimuths and elevations in radians, each (views,), for the settings ``cameras`` (see settings.Cameras).

    ``uniform`` and ``hammersley`` are uniform over the sphere's area inside the ranges: the sine of the elevation is
    uniform (Archimedes). ``hammersley`` is the 2D Hammersley set (i/N, radical inverse of i), moved by a random vector
    modulo 1 (Cranley and Patterson 1976), so that each seed has its own set. ``get3d`` draws both angles uniformly, as
    GET3D's render script does, which favours the poles.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    if cameras.distribution == "hammersley":
        index = np.arange(views)
        points = np.stack([index / views, radical_inverse(index)], axis=1)
        u, v = ((points + random.random(2)) % 1.0).T
    else:
        u, v = random.random((views, 2)).T
    azimuth_low, azimuth_high = np.radians(cameras.azimuth)
    low, high = np.radians(cameras.elevation)
    azimuth = azimuth_low + u * (azimuth_high - azimuth_low)
    if cameras.distribution == "get3d":
        return azimuth, low + v * (high - low)
    sine = np.sin(low) + v * (np.sin(high) - np.sin(low))
    return azimuth, np.arcsin(np.clip(sine, -1.0, 1.0))


def camera_poses(cameras, views, seed):
    """Poses (views, 4, 4) for the settings ``cameras``; the same seed gives the same poses."""
    azimuth, elevation = sample_angles(cameras, views, seed)
    return np.stack([orbit_pose(a, e, cameras.radius) for a, e in zip(azimuth, elevation)])


def largest_visible_sphere(cameras, resolution):
    """Radius of the largest sphere around the origin that no picture cuts: r = distance * sin(half the smaller fov)."""
    width, height = resolution
    focal = focal_length(width, math.radians(cameras.fov))
    return cameras.radius * math.sin(math.atan(0.5 * min(width, height) / focal))


def depth_range(cameras):
    """The least and the greatest distance (near, far) at which a ray of a camera can be in the unit box."""
    half_diagonal = math.sqrt(3) / 2
    return max(cameras.radius - half_diagonal, CLIP_START), cameras.radius + half_diagonal


def covered_rectangle(points, pose, fov, resolution):
    """The pixels (left, top, right, bottom) that hold a picture of the polygons between ``points`` (N, 3).

    ``right`` and ``bottom`` are the first ones beyond. At least one pixel; the whole picture where a point is not ahead
    of the camera. ``fov`` in radians, ``resolution`` (width, height). Computed in the precision of ``points``.
    """
    width, height = resolution
    pixels, depths = project(points, pose.astype(points.dtype), focal_length(width, fov), (width / 2, height / 2))
    if depths.min() <= CLIP_START:
        return 0, 0, width, height
    low, high = np.floor(pixels.min(axis=0)) - BORDER, np.ceil(pixels.max(axis=0)) + BORDER
    left, top = (int(min(max(edge, 0), size - 1)) for edge, size in zip(low, resolution))
    right, bottom = (int(min(max(edge, first + 1), size)) for edge, first, size in zip(high, (left, top), resolution))
    return left, top, right, bottom
