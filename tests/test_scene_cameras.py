"""Where the cameras stand, what they look at and how much of it they see. No Blender."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obj2ngp.common.cameras import focal_length, project
from obj2ngp.scene.cameras import (
    camera_poses,
    covered_rectangle,
    depth_range,
    derived_seed,
    largest_visible_sphere,
    radical_inverse,
    sample_angles,
)
from obj2ngp.scene.settings import Cameras

DISTRIBUTIONS = ["hammersley", "uniform", "get3d"]
SEEDS = st.integers(0, 2**64 - 1)


@st.composite
def any_cameras(draw):
    start, width = draw(st.floats(-180, 180)), draw(st.floats(0.01, 360))
    azimuth = (start, start + width)
    elevation = sorted(draw(st.lists(st.floats(-90, 90), min_size=2, max_size=2)))
    return Cameras(
        draw(st.sampled_from(DISTRIBUTIONS)),
        azimuth,
        tuple(elevation),
        draw(st.floats(0.5, 5)),
        draw(st.floats(10, 100)),
    )


@given(any_cameras(), st.integers(1, 40), SEEDS)
def test_cameras_look_at_the_origin_from_where_they_may_stand(cameras, views, seed):
    for pose in camera_poses(cameras, views, seed):
        rotation, position = pose[:3, :3], pose[:3, 3]
        np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-9)
        assert np.linalg.det(rotation) > 0
        np.testing.assert_allclose(np.linalg.norm(position), cameras.radius)
        np.testing.assert_allclose(position - cameras.radius * rotation[:, 2], 0, atol=1e-9)  # looks along -z
        assert abs(rotation[2, 0]) < 1e-9 and rotation[2, 1] > -1e-9  # x horizontal, y upwards
    azimuth, elevation = np.degrees(sample_angles(cameras, views, seed))
    assert (azimuth >= cameras.azimuth[0] - 1e-6).all() and (azimuth <= cameras.azimuth[1] + 1e-6).all()
    assert (elevation >= cameras.elevation[0] - 1e-6).all() and (elevation <= cameras.elevation[1] + 1e-6).all()


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_area_uniform_but_for_get3d(distribution):
    """Archimedes: planes at equal distances cut a sphere into equal areas, so the sine of the elevation is flat."""
    cameras = Cameras(distribution, elevation=(-30.0, 90.0))
    azimuth, elevation = sample_angles(cameras, 20000, 7)
    sines = np.histogram(np.sin(elevation), bins=10, range=(-0.5, 1.0))[0] / 2000
    angles = np.histogram(elevation, bins=10, range=(-math.pi / 6, math.pi / 2))[0] / 2000
    flat, other = (angles, sines) if distribution == "get3d" else (sines, angles)
    assert np.abs(flat - 1).max() < 0.1 < np.abs(other - 1).max()
    assert np.abs(np.histogram(azimuth, bins=10, range=(0, 2 * math.pi))[0] / 2000 - 1).max() < 0.1


def largest_gap(poses):
    """The angle from the worst of many directions to the next camera."""
    random = np.random.default_rng(0).normal(size=(4000, 3))
    directions = random / np.linalg.norm(random, axis=1, keepdims=True)
    towards = poses[:, :3, 2]
    return np.arccos(np.clip(directions @ towards.T, -1, 1).max(axis=1)).max()


def test_hammersley_leaves_smaller_gaps_than_random():
    gaps = {
        name: np.mean([largest_gap(camera_poses(Cameras(name, elevation=(-90, 90)), 24, seed)) for seed in range(10)])
        for name in ("hammersley", "uniform")
    }
    assert gaps["hammersley"] < 0.8 * gaps["uniform"]


def test_radical_inverse_mirrors_the_binary_digits():
    # 1 = 1b -> .1b, 6 = 110b -> .011b = 3/8, 11 = 1011b -> .1101b = 13/16
    np.testing.assert_allclose(radical_inverse([0, 1, 6, 11]), [0, 1 / 2, 3 / 8, 13 / 16])


@settings(max_examples=50)
@given(any_cameras(), st.integers(0, 2**31 - 1), st.text(max_size=20))
def test_the_splits_never_share_a_camera(cameras, seed, name):
    positions = [
        camera_poses(cameras, 24, derived_seed(seed, name, split))[:, :3, 3] for split in ("train", "val", "test")
    ]
    together = np.concatenate(positions)
    between = np.linalg.norm(together[:, None] - together[None], axis=2)
    split = np.repeat([0, 1, 2], 24)
    assert between[split[:, None] != split[None]].min() > 0


def test_seeds_depend_on_project_object_and_split():
    seeds = {derived_seed(p, o, s) for p in (0, 1) for o in ("chair", "car") for s in ("train", "val", "test")}
    assert len(seeds) == 12
    first, again = (camera_poses(Cameras("uniform"), 5, derived_seed(0, "chair", "val")) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@given(any_cameras(), st.tuples(st.integers(8, 512), st.integers(8, 512)), SEEDS)
def test_the_largest_visible_sphere_touches_the_pictures_edge(cameras, resolution, seed):
    """Its silhouette is a cone of half-angle asin(r / distance), seen around the optical axis."""
    radius = largest_visible_sphere(cameras, resolution)
    focal = focal_length(resolution[0], math.radians(cameras.fov))
    edge = focal * math.tan(math.asin(radius / cameras.radius))
    assert edge == pytest.approx(min(resolution) / 2)


@given(any_cameras(), st.tuples(st.integers(8, 256), st.integers(8, 256)), SEEDS)
def test_the_covered_rectangle_holds_all_points_and_hardly_more(cameras, resolution, seed):
    """Points of a cloud that may lie within, across and beyond the picture's edges, and around the camera."""
    random = np.random.default_rng(seed)
    points = random.uniform(-0.5, 0.5, (20, 3)) * random.uniform(0.01, 1) + random.uniform(-1, 1, 3)
    (pose,) = camera_poses(cameras, 1, seed)
    width, height = resolution
    fov = math.radians(cameras.fov)
    left, top, right, bottom = covered_rectangle(points, pose, fov, resolution)
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    local = np.linalg.inv(pose) @ np.c_[points, np.ones(20)].T
    if local[2].max() >= -1e-3:  # beside or behind the camera
        assert (left, top, right, bottom) == (0, 0, width, height)
        return
    focal = focal_length(width, fov)
    column, row = width / 2 - focal * local[0] / local[2], height / 2 + focal * local[1] / local[2]
    for low, high, values, size in ((left, right, column, width), (top, bottom, row, height)):
        if values.max() > 0 and values.min() < size:  # something of it is seen along this axis
            assert max(values.min() - 2, 0) <= low + 1e-6 and low <= max(values.min(), 0) + 1e-6
            assert min(values.max(), size) - 1e-6 <= high <= min(values.max() + 2, size) + 1e-6
        else:
            assert high - low <= 1 + 2


@given(any_cameras(), SEEDS)
def test_the_depth_range_holds_the_unit_box(cameras, seed):
    near, far = depth_range(cameras)
    assert 0 < near < far
    (pose,) = camera_poses(cameras, 1, seed)
    points = np.random.default_rng(seed).uniform(-0.5, 0.5, (50, 3))
    _, ahead = project(points, pose, 1.0, (0, 0))
    distances = np.linalg.norm(points - pose[:3, 3], axis=1)[ahead > near]
    assert distances.max(initial=0) <= far and distances.min(initial=far) >= near
