"""Cameras: where they stand, what they look at, and that the pictures' geometry follows from the files. No Blender."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obj2ngp.scene.cameras import (
    camera_poses,
    derived_seed,
    focal_length,
    largest_visible_sphere,
    radical_inverse,
    sample_angles,
    transforms,
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


@given(st.floats(5, 120), st.integers(8, 2000), st.integers(8, 2000))
def test_transforms_file(fov, width, height):
    cameras = Cameras(fov=fov)
    poses = camera_poses(cameras, 3, 1)
    file = json.loads(json.dumps(transforms(cameras, (width, height), poses, "train")))
    assert file["fl_x"] == file["fl_y"] == pytest.approx(0.5 * width / math.tan(0.5 * file["camera_angle_x"]))
    assert math.degrees(file["camera_angle_x"]) == pytest.approx(fov)
    assert (file["cx"], file["cy"], file["w"], file["h"]) == (width / 2, height / 2, width, height)
    assert [frame["file_path"] for frame in file["frames"]] == ["./train/000", "./train/001", "./train/002"]
    np.testing.assert_array_equal([frame["transform_matrix"] for frame in file["frames"]], poses)


@given(any_cameras(), st.tuples(st.integers(8, 512), st.integers(8, 512)), SEEDS)
def test_the_largest_visible_sphere_touches_the_pictures_edge(cameras, resolution, seed):
    """Its silhouette is a cone of half-angle asin(r / distance), seen around the optical axis."""
    radius = largest_visible_sphere(cameras, resolution)
    focal = focal_length(resolution[0], math.radians(cameras.fov))
    edge = focal * math.tan(math.asin(radius / cameras.radius))
    assert edge == pytest.approx(min(resolution) / 2)
