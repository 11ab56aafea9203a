"""Cameras on a sphere around the object, and the files that tell other programs where they stood.

World: z up, the object centred at the origin in a unit box. Poses are 4x4 camera-to-world matrices with OpenGL axes:
x right, y up, the camera looks along its own -z.
"""

import hashlib
import math

import numpy as np


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


def orbit_pose(azimuth, elevation, radius):
    """Pose (4, 4) of a camera at ``radius`` that looks at the origin, its x axis horizontal. Angles in radians."""
    backward = np.array(
        [math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)]
    )
    right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])  # defined straight above the object, too
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2] = right, np.cross(backward, right), backward
    pose[:3, 3] = radius * backward
    return pose


def camera_poses(cameras, views, seed):
    """Poses (views, 4, 4) for the settings ``cameras``; the same seed gives the same poses."""
    azimuth, elevation = sample_angles(cameras, views, seed)
    return np.stack([orbit_pose(a, e, cameras.radius) for a, e in zip(azimuth, elevation)])


def focal_length(width, fov):
    """Focal length in pixels of a picture ``width`` pixels wide with the horizontal field of view ``fov`` (radians)."""
    return 0.5 * width / math.tan(0.5 * fov)


def largest_visible_sphere(cameras, resolution):
    """Radius of the largest sphere around the origin that no picture cuts: r = distance * sin(half the smaller fov)."""
    width, height = resolution
    focal = focal_length(width, math.radians(cameras.fov))
    return cameras.radius * math.sin(math.atan(0.5 * min(width, height) / focal))


def transforms(cameras, resolution, poses, image_folder):
    """The NeRF-synthetic description of one split, ready for json.dump.

    ``image_folder`` is the folder of the pictures 000.png, 001.png, ... as seen from the file. The keys beyond
    ``camera_angle_x`` and ``frames`` are what instant-ngp reads: pixels are square, the principal point is the middle,
    and scale 1 with offset 1/2 puts the unit box around the origin onto its own unit cube.
    """
    width, height = resolution
    fov = math.radians(cameras.fov)
    focal = focal_length(width, fov)
    return {
        "camera_angle_x": fov,
        "fl_x": focal,
        "fl_y": focal,
        "cx": width / 2,
        "cy": height / 2,
        "w": width,
        "h": height,
        "aabb_scale": 1,
        "scale": 1.0,
        "offset": [0.5, 0.5, 0.5],
        "frames": [
            {"file_path": f"./{image_folder}/{index:03d}", "transform_matrix": pose.tolist()}
            for index, pose in enumerate(poses)
        ],
    }
