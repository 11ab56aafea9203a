"""The registry of metrics: what its entries say, and that one entry is all that a new metric needs."""

import contextlib
import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gallery_page import read_gallery
from obj2ngp.evaluation import compare
from obj2ngp.evaluation.compare import write_metrics
from obj2ngp.evaluation.lpips import lpips, obstacle
from obj2ngp.evaluation.registry import METRICS, Metric
from obj2ngp.report.gallery import write_gallery
from obj2ngp.report.table import columns, write_summary
from obj2ngp.views.pictures import truth_on_white
from obj2ngp.views.reading import read_images
from result_files import write_object, write_objects, write_views


def largest_error(truth, prediction):
    return np.abs(truth.astype(int) - prediction).max()


def spread(truths, predictions):
    """Standard deviation of the views' mean errors."""
    return (truths.astype(float) - predictions).mean((1, 2, 3)).std()


@contextlib.contextmanager
def registered(*metrics):
    """These metrics stand in the registry too."""
    METRICS.extend(metrics)
    try:
        yield
    finally:
        del METRICS[-len(metrics) :]


@pytest.fixture
def two_more():
    """Two metrics that the registry does not have, one of a view and one of an object."""
    with registered(
        Metric("largest_error", "Largest error", largest_error, "lower", "{:.0f} steps", "the worst pixel"),
        Metric("spread", "Spread", spread, "higher", "{:.4f}", "between views", per="object"),
    ):
        yield


def rows_of(file):
    with open(file, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_entries_are_well_formed():
    assert len(set(columns([]))) == len(columns([]))  # no name is taken twice, in the summary neither
    for metric in METRICS:
        assert re.fullmatch("[a-z][a-z0-9_]*", metric.name)
        assert metric.better in ("higher", "lower") and metric.per in ("view", "object")
        assert metric.format.format(0.5) and metric.protocol


def test_better_says_which_way_the_function_goes():
    random = np.random.default_rng(0)
    truth = np.kron(random.integers(30, 225, (4, 4, 3)), np.ones((5, 5, 1))).astype(np.uint8)
    noise = random.normal(size=truth.shape)
    little, much = ((truth + amount * noise).clip(0, 255).astype(np.uint8) for amount in (3, 25))
    for metric in METRICS:
        if metric.of == "pictures" and not (metric.obstacle and metric.obstacle()):
            good, bad = (metric.function(truth, picture) for picture in (little, much))
            assert (good > bad) == (metric.better == "higher"), metric.name


def test_one_entry_brings_a_metric_into_tables_protocol_and_page(tmp_path, two_more):
    chair = tmp_path / "chair"
    write_object(chair, [30])
    write_views(chair)
    write_metrics("chair", chair / "transforms_test.json", chair / "test", chair / "metrics.csv")

    views = read_images(chair / "transforms_test.json")
    pairs = [
        (truth_on_white(rgba), compare.read_prediction(chair / "test" / f"{name}.png", (16, 20)))
        for name, rgba in zip(views.names, views.rgba, strict=True)
    ]
    errors = [largest_error(*pair) for pair in pairs]
    whole = spread(*map(np.stack, zip(*pairs, strict=True)))
    rows = rows_of(chair / "metrics.csv")
    assert [float(row["largest_error"]) for row in rows] == errors
    assert [float(row["spread"]) for row in rows] == [whole] * 3
    protocol = json.loads((chair / "metrics.json").read_text())
    assert protocol["largest_error"] == "the worst pixel" and protocol["spread"] == "between views"

    objects, summary = write_objects(tmp_path / "objects.tsv", ["chair"]), tmp_path / "summary.csv"
    write_summary(tmp_path, tmp_path / "logs", objects, summary)
    row, mean, _ = rows_of(summary)
    assert row["status"] == "ok"
    assert float(row["largest_error"]) == pytest.approx(np.mean(errors), rel=1e-5)
    assert float(row["largest_error_max"]) == max(errors)  # the worst, since lower is better
    assert float(row["spread"]) == float(mean["spread"]) == pytest.approx(whole, rel=1e-5)
    assert "spread_min" not in row and "spread_max" not in row

    write_gallery(tmp_path, objects, summary, tmp_path / "gallery")
    shown, about = read_gallery(tmp_path / "gallery")
    assert shown["chair"]["largest_error"] == pytest.approx(np.mean(errors), rel=1e-5)
    metrics = {metric["name"]: metric for metric in about["metrics"]}
    assert metrics["largest_error"]["title"] == "Largest error" and metrics["spread"]["better"] == "higher"
    page = (tmp_path / "gallery" / "index.html").read_text()
    assert f"{np.mean(errors):.0f} steps" in page and "lower Largest error, higher Spread." in page


def test_a_table_without_a_metric_that_is_always_computed_is_unfit(tmp_path, two_more):
    write_object(tmp_path / "chair", [30])
    write_summary(tmp_path, tmp_path, write_objects(tmp_path / "objects.tsv", ["chair"]), tmp_path / "summary.csv")
    assert rows_of(tmp_path / "summary.csv")[0]["status"] == "metrics.csv: needs one column 'largest_error'"


def test_an_optional_metric_is_left_out_with_its_reason(tmp_path):
    write_views(tmp_path)
    extra = Metric("extra", "Extra", largest_error, "lower", "{}", "more", obstacle=lambda: "it rains")
    with registered(extra):
        write_metrics("chair", tmp_path / "transforms_test.json", tmp_path / "test", tmp_path / "metrics.csv")
    assert "extra" not in rows_of(tmp_path / "metrics.csv")[0]
    assert json.loads((tmp_path / "metrics.json").read_text())["extra"] == "not computed: it rains"


def test_lpips_says_why_it_cannot_be_computed(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # where no weights are
    assert "not installed" in obstacle() or "alexnet" in obstacle()


@pytest.mark.skipif(bool(obstacle()), reason=f"LPIPS: {obstacle()}")
def test_lpips_of_equal_pictures_is_zero():
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert lpips(picture, picture) == 0 < lpips(picture, 255 - picture)


def test_the_summary_and_the_page_load_none_of_the_metrics_packages():
    packages = ("skimage", "flip_evaluator", "torch", "pandas")
    code = f"import sys, obj2ngp.report.gallery; print([name for name in {packages} if name in sys.modules])"
    scripts = Path(__file__).resolve().parents[1] / "workflow_scripts"
    finished = subprocess.run([sys.executable, "-c", code], cwd=scripts, capture_output=True, text=True, check=True)
    assert finished.stdout == "[]\n"
