"""From a trained model to test views, metrics, turntable and table, with the real programs."""

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from ball import RADIUS, ball_images, ball_picture
from obj2ngp.common.cameras import focal_length
from obj2ngp.ngp.settings import OrbitSettings
from obj2ngp.ngp.turntable import orbit_poses
from obj2ngp.views.nerf_synthetic import write_images

pytestmark = pytest.mark.slow

PROGRAMS = Path(__file__).resolve().parents[1] / "workflow_scripts"
SIZE, FOV, DISTANCE = 32, 45.0, 1.6
FOCAL = focal_length(SIZE, math.radians(FOV))
NETWORK = {
    "levels": 4,
    "table_log2": 12,
    "finest_resolution": 64,
    "density_width": 16,
    "color_width": 16,
    "color_layers": 1,
    "sh_degree": 1,
}
TRAINING = {
    "steps": 700,
    "samples_per_step": 4096,
    "march_steps": 96,
    "network": NETWORK,
    "occupancy": {"resolution": 32, "cells_per_update": 4096},
}


def program(name, **options):
    """Run a program of the workflow; keyword arguments are its options."""
    command = [sys.executable, PROGRAMS / name]
    for option, value in options.items():
        command += [f"--{option}", json.dumps(value) if isinstance(value, dict) else str(value)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A results folder with one trained object, `ball`."""
    folder = tmp_path_factory.mktemp("results")
    renders = folder / "ball" / "renders"
    around = [
        pose
        for elevation in (-40, 10, 50)
        for pose in orbit_poses(OrbitSettings(frames=6, elevation=float(elevation), radius=DISTANCE))
    ]
    write_images(ball_images(around, SIZE, FOCAL), renders, "train")
    test = orbit_poses(OrbitSettings(frames=5, elevation=30.0, radius=DISTANCE))
    write_images(ball_images(test, SIZE, FOCAL), renders, "test")
    finished = program(
        "train.py",
        object="ball",
        renders=renders,
        settings=TRAINING,
        backend="cpu",
        model=folder / "ball" / "model.safetensors",
        log=folder / "ball" / "training.csv",
    )
    assert finished.returncode == 0, finished.stderr
    return folder


def render(results, transforms=None, settings=None):
    """Run render_views.py on the ball."""
    return program(
        "render_views.py",
        object="ball",
        model=results / "ball" / "model.safetensors",
        transforms=transforms or results / "ball" / "renders" / "transforms_test.json",
        settings=settings or {"supersampling": 1},
        backend="cpu",
        out=results / "ball" / "test",
    )


def test_views_metrics_and_table(results):
    ball = results / "ball"
    finished = render(results)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count("view ") == 5

    # The middle ray hits the ball's nearest point, DISTANCE - RADIUS before the camera; corners miss it.
    depth = iio.imread(ball / "test" / "003_depth.png")
    unit = json.loads((ball / "test" / "protocol.json").read_text())["depth"]["units_per_step"]
    middle = depth[SIZE // 2 - 2 : SIZE // 2 + 2, SIZE // 2 - 2 : SIZE // 2 + 2]
    assert depth.dtype == np.uint16
    assert np.median(middle) * unit == pytest.approx(DISTANCE - RADIUS, abs=0.15)
    assert depth[0, 0] == 0

    finished = program(
        "metrics.py",
        transforms=ball / "renders" / "transforms_test.json",
        predictions=ball / "test",
        object="ball",
        out=ball / "metrics.csv",
    )
    assert finished.returncode == 0, finished.stderr
    psnrs = [float(row["psnr"]) for row in csv.DictReader((ball / "metrics.csv").open())]
    # A mirrored or wrongly placed camera, or a wrong background, stays below 18 dB.
    assert len(psnrs) == 5 and np.mean(psnrs) > 20

    (results / "objects.tsv").write_text("object\tresults\nball\tmetrics.csv\n")
    finished = program(
        "summary.py",
        results=results,
        logs=results / "logs",
        objects=results / "objects.tsv",
        out=results / "summary.csv",
    )
    assert finished.returncode == 0, finished.stderr
    row = next(csv.DictReader((results / "summary.csv").open()))
    assert row["status"] == "renders/train/record.json: missing"  # the rest of the row is there
    assert float(row["psnr"]) == pytest.approx(np.mean(psnrs), rel=1e-5)
    assert row["steps"] == str(TRAINING["steps"]) and row["backend"] == "cpu"
    assert row["resolution"] == f"{SIZE}x{SIZE}" and float(row["training_seconds"]) > 0


def test_views_of_a_former_run_do_not_remain(results):
    transforms = results / "ball" / "renders" / "transforms_two.json"
    content = json.loads((transforms.parent / "transforms_test.json").read_text())
    transforms.write_text(json.dumps({**content, "frames": content["frames"][3:]}))
    assert render(results).returncode == 0
    assert render(results, transforms).returncode == 0
    names = sorted(path.name for path in (results / "ball" / "test").iterdir())
    assert names == ["003.png", "003_depth.png", "004.png", "004_depth.png", "density.npz", "protocol.json"]


def test_a_failure_leaves_the_former_views(results):
    assert render(results).returncode == 0
    before = sorted((results / "ball" / "test").iterdir())
    for bad, message in (
        ({"settings": {"samples": 3}}, "samples: unknown key"),
        ({"transforms": results / "none.json"}, "none.json"),
    ):
        finished = render(results, **bad)
        assert finished.returncode == 1 and message in finished.stderr
        assert finished.stderr.startswith("error: ") and finished.stderr.count("\n") == 1
    assert sorted((results / "ball" / "test").iterdir()) == before


def test_turntable_of_the_model(results):
    settings = {"frames": 6, "fps": 10, "size": SIZE, "fov": FOV, "radius": DISTANCE, "supersampling": 1}
    ball = results / "ball"
    finished = program(
        "orbit.py",
        object="ball",
        model=ball / "model.safetensors",
        settings=settings,
        backend="cpu",
        gif=ball / "orbit.gif",
        webp=ball / "orbit.webp",
        video=ball / "orbit.mp4",
    )
    assert finished.returncode == 0, finished.stderr
    film = iio.imread(ball / "orbit.gif")[..., :3].astype(float)
    assert film.shape == (6, SIZE, SIZE, 3)
    for shown, pose in zip(film, orbit_poses(OrbitSettings(**settings)), strict=True):
        rgba = ball_picture(pose, SIZE, FOCAL) / 255
        truth = 255 * (rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:])
        assert np.abs(shown - truth).mean() < 15
    assert iio.imread(ball / "orbit.mp4").shape == (6, SIZE, SIZE, 3)
