"""Pinhole cameras: poses, projection, fields of view, and the transforms file. No Blender."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from obj2ngp.common.cameras import field_of_view, focal_length, orbit_pose, project, transforms

ANGLES = st.floats(-7, 7)


def test_a_pose_by_hand():
    """From the y axis, level: the camera looks along -y, its x axis points to -x of the world, its y axis up."""
    expected = [[-1, 0, 0, 0.5], [0, 0, 1, 2], [0, 1, 0, -1], [0, 0, 0, 1]]
    np.testing.assert_allclose(orbit_pose(math.pi / 2, 0, 2, (0.5, 0, -1)), expected, atol=1e-12)


@given(ANGLES, ANGLES, st.floats(0.1, 9), st.tuples(*[st.floats(-3, 3)] * 3), st.floats(1, 1000))
def test_the_point_looked_at_is_the_principal_point(azimuth, elevation, radius, center, focal):
    pixels, depths = project(np.array([center]), orbit_pose(azimuth, elevation, radius, center), focal, (31.0, 7.5))
    np.testing.assert_allclose(pixels, [[31.0, 7.5]], atol=1e-6)
    np.testing.assert_allclose(depths, [radius])


def test_projection_by_hand():
    """One to the right, two up, four ahead of a camera at the origin, f = 8: 2 pixels to the right and 4 up."""
    pixels, depths = project(np.array([[1.0, 2, -4], [0, 0, 3]]), np.eye(4), 8, (10, 20))
    np.testing.assert_allclose(pixels[0], [12, 16])
    np.testing.assert_allclose(depths, [4, -3])


@given(st.floats(0.01, 3.1), st.integers(1, 5000))
def test_focal_length_and_field_of_view(fov, width):
    """A ray to the picture's edge is half the field of view off the axis."""
    focal = focal_length(width, fov)
    assert math.atan2(width / 2, focal) == pytest.approx(fov / 2)
    assert field_of_view(width, focal) == pytest.approx(fov)


@given(st.floats(0.1, 2), st.integers(8, 2000), st.integers(8, 2000), st.booleans())
def test_transforms(fov, width, height, four_rows):
    poses = np.stack([orbit_pose(i, 0.3, 1.5) for i in range(3)])
    names = ["./train/000", "./train/001", "./train/002"]
    content = transforms(poses if four_rows else poses[:, :3], names, (width, height), fov, near=0.5)
    file = json.loads(json.dumps(content))
    assert file["fl_x"] == file["fl_y"] == pytest.approx(0.5 * width / math.tan(0.5 * file["camera_angle_x"]))
    assert file["camera_angle_x"] == fov and file["near"] == 0.5
    assert (file["cx"], file["cy"], file["w"], file["h"]) == (width / 2, height / 2, width, height)
    assert [frame["file_path"] for frame in file["frames"]] == names
    np.testing.assert_array_equal([frame["transform_matrix"] for frame in file["frames"]], poses)
