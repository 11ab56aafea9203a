"""What the configuration accepts, every program takes: settings from the whole declared space, on a tiny object."""

import csv
import dataclasses
import json
import math
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import metrics
import orbit
import render_views
import train
from ball import ball_images
from obj2ngp.common.files import UserError
from obj2ngp.ngp.config import TrainConfig
from obj2ngp.ngp.settings import OrbitSettings, ViewSettings
from obj2ngp.views.nerf_synthetic import write_images
from obj2ngp.workflow.configuration import Resolved

# Where large values only cost time and memory, small ones stand for all; every other setting takes its whole range.
NETWORK = {"levels": 2, "table_log2": 8, "finest_resolution": 64}  # one for all: kernels are compiled for a shape
SMALL = {
    **{"steps": 30, "samples_per_step": 4096, "cells_per_update": 2048, "resolution": 32},
    **{"march_steps": 512, "frames": 2, "size": 16, "supersampling": 2},
}


def of_section(kind):
    """Mappings that give some of a section's settings, the bounds as often as what lies between."""
    return st.fixed_dictionaries(
        {}, optional={field.name: of_setting(field) for field in dataclasses.fields(kind) if _bounded(field)}
    )


def _bounded(field):
    """Whether a setting has bounds or choices, or is a section; True and False are tried elsewhere."""
    return (
        dataclasses.is_dataclass(field.default) or bool(field.metadata["choices"]) or field.metadata["low"] is not None
    )


def of_setting(field):
    if dataclasses.is_dataclass(field.default):
        return of_section(type(field.default))
    low, high, choices = (field.metadata[name] for name in ("low", "high", "choices"))
    if choices:
        return st.sampled_from(list(choices))
    high = min(high, SMALL.get(field.name, high))
    between = st.integers(low, high) if isinstance(field.default, int) else st.floats(low, high)
    return st.sampled_from([low, high]) | between


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    """A folder with three small views to train on and to measure by."""
    folder = tmp_path_factory.mktemp("agreement")
    images = ball_images(size=8)
    images = dataclasses.replace(images, rgba=images.rgba[:3], pose=images.pose[:3], names=images.names[:3])
    write_images(images, folder, "train")
    write_images(images, folder, "test")
    return folder


@pytest.mark.slow
@settings(max_examples=6, derandomize=True, suppress_health_check=list(HealthCheck))
@given(of_section(TrainConfig), of_section(ViewSettings), of_section(OrbitSettings))
def test_what_the_configuration_accepts_every_program_takes(views, training, test, turntable):
    """A whole run of an object of 8 x 8 pixels ends well, with finite numbers."""
    training.update(network=NETWORK, steps=training.get("steps", 5))
    try:
        resolved = Resolved({"train": {"backend": "cpu", **training}, "test": test, "orbit": turntable})
    except UserError as error:  # what concerns several settings, and is told before anything is done
        assert str(error).startswith("configuration: train.")
        return
    model, out = views / "model.safetensors", views / "metrics.csv"
    chosen = {name: json.dumps(resolved.settings(name)) for name in ("train", "render_test", "orbit")}
    common = ["--object", "ball", "--backend", "cpu"]
    files = ["--model", str(model), "--log", str(views / "training.csv")]
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        train.main([*common, "--renders", str(views), "--settings", chosen["train"], *files])
        words = [
            "--model",
            str(model),
            "--transforms",
            str(views / "transforms_test.json"),
            "--out",
            str(views / "seen"),
        ]
        render_views.main([*common, *words, "--settings", chosen["render_test"]])
        words = ["--gif", str(views / "orbit.gif"), "--video", str(views / "orbit.mp4"), "--settings", chosen["orbit"]]
        orbit.main([*common, "--model", str(model), *words])
        words = ["--transforms", str(views / "transforms_test.json"), "--predictions", str(views / "seen")]
        metrics.main(["--object", "ball", *words, "--out", str(out)])
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 and all(math.isfinite(float(row[name])) for row in rows for name in ("psnr", "ssim", "flip"))
