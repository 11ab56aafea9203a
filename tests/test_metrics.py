"""Metrics: known values, the protocol's details, and errors that name the view."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import peak_signal_noise_ratio

from obj2ngp.common.files import UserError
from obj2ngp.evaluation import metrics
from obj2ngp.evaluation.compare import write_metrics
from obj2ngp.evaluation.comparison import PIXELS, TALLEST, chosen, shrunk
from obj2ngp.evaluation.metrics import flip, flip_picture, ssim
from obj2ngp.views.pictures import PSNR_OF_EQUAL_IMAGES, check_view_names, psnr, truth_on_white
from result_files import write_views

PROGRAM = Path(__file__).resolve().parents[1] / "workflow_scripts" / "metrics.py"
pictures = arrays(np.uint8, (12, 13, 3))


@given(truth=pictures, prediction=pictures)
@settings(max_examples=25, deadline=None)
def test_psnr_is_that_of_scikit_image(truth, prediction):
    if (truth == prediction).all():
        assert psnr(truth, prediction) == PSNR_OF_EQUAL_IMAGES
    else:
        expected = peak_signal_noise_ratio(truth, prediction, data_range=255)
        assert psnr(truth, prediction) == pytest.approx(min(expected, PSNR_OF_EQUAL_IMAGES))


def test_values_worked_out_by_hand():
    black, white = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)
    assert psnr(black, white) == pytest.approx(0)  # mean squared error 1
    assert psnr(white, white - 51) == pytest.approx(13.9794, abs=1e-4)  # -10 log10(0.2^2)
    assert psnr(white, white) == PSNR_OF_EQUAL_IMAGES
    # Flat pictures: only the term of the means is left, (2 m n + c) / (m^2 + n^2 + c) with
    # m = 255, n = 204, c = (0.01 * 255)^2: (104040 + 6.5) / (106641 + 6.5).
    assert ssim(white, white - 51) == pytest.approx(0.97561, abs=1e-5)
    assert ssim(white, white) == pytest.approx(1)
    assert flip(white, white) == 0
    assert flip(black, white) > 0.9


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_metrics_agree_on_what_is_worse(seed):
    random = np.random.default_rng(seed)
    truth = np.kron(random.integers(30, 225, (4, 4, 3)), np.ones((5, 5, 1))).astype(np.uint8)
    noise = random.normal(size=truth.shape)
    little, much = ((truth + amount * noise).clip(0, 255).astype(np.uint8) for amount in (3, 25))
    assert psnr(truth, little) > psnr(truth, much)
    assert ssim(truth, little) > ssim(truth, much)
    assert flip(truth, little) < flip(truth, much)


@given(arrays(np.uint8, (3, 4, 4)))
def test_truth_is_composited_from_straight_alpha(rgba):
    alpha = rgba[..., 3:] / 255
    expected = rgba[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(truth_on_white(rgba) - expected).max() <= 0.5 + 1e-9
    rgba[..., 3] = 0  # whatever colour lies under it
    assert (truth_on_white(rgba) == 255).all()


def test_colliding_view_names_are_refused():
    check_view_names(["000", "001", "r_depth"], "transforms_test.json")
    for names in (["000", "000"], ["000", "000_depth"], ["a_depth", "a"]):
        with pytest.raises(UserError, match="transforms_test.json: .* view '.*' collides"):
            check_view_names(names, "transforms_test.json")


def run(folder):
    command = [
        *(sys.executable, PROGRAM, "--transforms", folder / "transforms_test.json"),
        *("--predictions", folder / "test", "--object", "chair", "--out", folder / "metrics.csv"),
    ]
    return subprocess.run(command, capture_output=True, text=True)


def test_one_row_a_view_and_a_protocol(tmp_path):
    write_views(tmp_path)
    assert run(tmp_path).returncode == 0
    with open(tmp_path / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["object"], row["view"]) for row in rows] == [("chair", "000"), ("chair", "001"), ("chair", "002")]
    truth = truth_on_white(iio.imread(tmp_path / "true" / "001.png"))
    prediction = iio.imread(tmp_path / "test" / "001.png")
    assert float(rows[1]["psnr"]) == pytest.approx(psnr(truth, prediction))
    assert float(rows[1]["ssim"]) == pytest.approx(ssim(truth, prediction))
    assert float(rows[1]["flip"]) == pytest.approx(flip(truth, prediction))
    protocol = json.loads((tmp_path / "metrics.json").read_text())
    assert "white" in protocol["images"]
    assert protocol["comparison"]["rows"] == ["000", "001", "002"]
    assert iio.imread(tmp_path / "comparison.webp").shape == (3 * 16, 3 * 20, 3)
    # LPIPS is there exactly where its weights are, and the protocol says which.
    assert ("lpips" in rows[0]) == ("not computed" not in protocol["lpips"])


def test_flip_is_computed_once_a_view(tmp_path, monkeypatch):
    write_views(tmp_path)
    package, calls = metrics._flip_package(), []

    class Counting:
        def evaluate(*arguments, **settings):
            calls.append(arguments)
            return package.evaluate(*arguments, **settings)

    monkeypatch.setattr(metrics, "_flip_package", lambda: Counting)
    write_metrics("chair", tmp_path / "transforms_test.json", tmp_path / "test", tmp_path / "metrics.csv")
    assert len(calls) == 3 and (tmp_path / "comparison.webp").exists()


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda file: file.unlink(), "001.png: this view was not rendered"),
        (lambda file: file.write_bytes(b"no picture"), "001.png: not a readable image"),
        (
            lambda file: iio.imwrite(file, np.zeros((16, 21, 3), np.uint8)),
            "001.png: 21x16 pixels, the true view has 20x16",
        ),
        (lambda file: iio.imwrite(file, np.zeros((16, 20), np.uint8)), "001.png: expected 8-bit RGB"),
    ],
)
def test_an_unfit_view_is_named(tmp_path, spoil, message):
    write_views(tmp_path)
    spoil(tmp_path / "test" / "001.png")
    finished = run(tmp_path)
    assert finished.returncode == 1
    assert finished.stderr.startswith("error: object chair: ") and message in finished.stderr
    assert not (tmp_path / "metrics.csv").exists()


@given(count=st.integers(1, 300), side=st.sampled_from([16, 128, 400]), seed=st.integers(0, 9))
def test_of_very_many_views_the_best_and_the_worst_are_shown(count, side, seed):
    scores = np.random.default_rng(seed).normal(30, 2, count)
    shown = chosen(scores, side, side)
    assert shown == sorted(set(shown)) and {int(scores.argmin()), int(scores.argmax())} <= set(shown)
    assert len(shown) == count or len(shown) * side**2 > 0.8 * PIXELS - side**2
    assert len(shown) * side**2 <= PIXELS and len(shown) * side <= TALLEST


def test_flip_is_the_mean_of_its_picture():
    truth, prediction = np.random.default_rng(0).integers(0, 256, (2, 24, 32, 3), dtype=np.uint8)
    assert flip_picture(truth, truth).max() <= 4 and flip_picture(truth, prediction).mean() > 50
    ramp = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    np.testing.assert_array_equal(shrunk(ramp, 2)[0, 0], np.rint(ramp[:2, :2].mean(axis=(0, 1))))


def test_flip_keeps_to_the_one_thread_of_its_rule():
    """And leaves the environment, which other libraries and programs read, as it was."""
    code = (
        "import os, numpy as np; from obj2ngp.evaluation.metrics import flip;"
        "picture = np.zeros((64, 64, 3), np.uint8); before = dict(os.environ);"
        "flip(picture, picture); assert before == dict(os.environ);"
        "print(len(os.listdir('/proc/self/task')))"
    )
    for threads in ({}, {"OMP_NUM_THREADS": "4"}):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", **threads}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=PROGRAM.parent, env=environment, capture_output=True, text=True
        )
        assert done.stdout == "1\n", done.stderr
