"""What the configuration accepts, the programs take: settings from the whole declared space, on a tiny object.

AGREEMENT=20 .venv/bin/python -m pytest tests/test_agreement.py      twenty times as many of them, at random
"""

import contextlib
import dataclasses
import json
import math
import os
import warnings

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import export
import metrics
import orbit
import render_views
import viewer
from ball import RADIUS, around, ball_images
from export_scene import HEADER, write_results
from obj2ngp.common.files import UserError
from obj2ngp.common.tables import read_table, write_table
from obj2ngp.exports.registry import FORMATS
from obj2ngp.exports.settings import settings_kind
from obj2ngp.ngp import backends
from obj2ngp.ngp.checkpoint import LOG_COLUMNS
from obj2ngp.ngp.config import TrainConfig, resolve
from obj2ngp.ngp.model_file import save_model
from obj2ngp.ngp.settings import OrbitSettings, ViewSettings
from obj2ngp.ngp.training import TrainingRun, steps
from obj2ngp.scene.settings import ObjectSettings
from obj2ngp.viewer.settings import ViewerSettings
from obj2ngp.views.nerf_synthetic import write_images
from obj2ngp.views.reading import read_images
from obj2ngp.workflow.configuration import Resolved
from scene_helpers import BOX_FACES, box_corners, sphere, write_obj

# Where large values only cost time and memory, small ones stand for all; every other setting takes its whole range.
SMALL = {
    **{"levels": 4, "features": 4, "table_log2": 10, "base_resolution": 16, "finest_resolution": 64},
    **{"density_width": 32, "density_layers": 2, "geometry_features": 16, "color_width": 32, "color_layers": 2},
    **{"steps": 60, "samples_per_step": 4096, "cells_per_update": 2048, "resolution": 32},
    **{"train": 2, "val": 2, "test": 2, "frames": 3, "size": 24, "supersampling": 3, "thumbnail_size": 16},
    **{"faces": 500, "texture_size": 64, "count": 500},
}


def of_section(kind, chosen=lambda field: True):
    """Mappings that give some of a section's settings that are `chosen`, the bounds as often as what lies between."""
    fields = [field for field in dataclasses.fields(kind) if dataclasses.is_dataclass(field.default) or chosen(field)]
    return st.fixed_dictionaries({}, optional={field.name: of_setting(field, chosen) for field in fields})


def is_bounded(field):
    return field.metadata["low"] is not None


def of_setting(field, chosen):
    if dataclasses.is_dataclass(field.default):
        return of_section(type(field.default), chosen)
    if field.metadata["choices"]:
        one = st.sampled_from(list(field.metadata["choices"]))
        return st.lists(one, min_size=field.metadata["least"]) if isinstance(field.default, tuple) else one
    if not is_bounded(field):
        return st.booleans() if isinstance(field.default, bool) else st.text(st.characters(codec="utf-8"), min_size=1)
    low, high = field.metadata["low"], min(field.metadata["high"], SMALL.get(field.name, field.metadata["high"]))
    first = field.default[0] if isinstance(field.default, tuple) else field.default
    number = st.sampled_from([low, high]) | (st.integers(low, high) if isinstance(first, int) else st.floats(low, high))
    return st.lists(number, min_size=2, max_size=2) if isinstance(field.default, tuple) else number


def configured(**sections):
    """The Resolved configuration; None where it is refused, and named: what concerns several settings."""
    try:
        return Resolved(json.loads(json.dumps(sections)))
    except UserError as error:
        assert str(error).startswith(tuple(f"configuration: {section}" for section in sections))
        return None


def examples(count):
    times = int(os.environ.get("AGREEMENT", 0))
    return settings(
        max_examples=count * (times or 1),
        derandomize=not times,
        phases=[Phase.explicit, Phase.generate],  # shrinking takes too long
        suppress_health_check=list(HealthCheck),
    )


@contextlib.contextmanager
def nothing_to_warn_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


@pytest.mark.slow
@examples(8)
@given(of_section(TrainConfig, is_bounded))
def test_what_the_configuration_accepts_the_trainer_takes(training):
    """Training on 8 x 8 pixels ends well, with finite numbers and nothing that NumPy warns of."""
    small = {"steps": 5, "samples_per_step": 4096, "network": {}, "occupancy": {}, **training}
    small["network"] = {"levels": 2, "table_log2": 8, **small["network"]}
    small["occupancy"] = {"resolution": 16, **small["occupancy"]}
    resolved = configured(train={"backend": "cpu", **small})
    if resolved is None:
        return
    images = ball_images(size=8)
    config = resolve(json.loads(json.dumps(resolved.settings("train"))), "cpu", len(images), 8)
    with nothing_to_warn_of():
        rows = list(steps(TrainingRun.alone(images, config, backends.select("cpu"))))
    assert rows and all(math.isfinite(value) for row in rows for value in row.values())


@pytest.mark.slow
@examples(12)
@given(st.data())
def test_what_the_configuration_accepts_blender_renders(blender, tmp_path_factory, data):
    """Pictures, and cameras that the trainer reads; or none, since nothing of the object is to be seen from there."""
    small = {"preset": "draft", "resolution": [8, 8], **data.draw(of_section(ObjectSettings)), "device": "cpu"}
    resolved = configured(render={**small, "views": {"train": data.draw(st.integers(1, 2))}})
    if resolved is None:
        return
    folder = tmp_path_factory.mktemp("any")
    model = write_obj(folder / "box.obj", box_corners(), [(None, BOX_FACES)])
    try:
        rendered = blender.render(model, folder=folder, **resolved.settings("render", "train"))
    except UserError as error:
        assert "nothing of the object is seen in" in str(error)
        return
    assert np.isfinite(rendered.poses).all()
    with nothing_to_warn_of():
        assert len(read_images(folder / "transforms_train.json")) == len(rendered.poses)


@pytest.fixture(scope="module")
def module_patch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def ball(tmp_path_factory, module_patch):
    """The results of an object of 16 x 16 pixels, with a model that was trained on them."""
    module_patch.setattr("obj2ngp.ngp.view_files.LATTICE_RESOLUTION", 16)
    module_patch.setattr("obj2ngp.evaluation.geometry.POINTS", 2000)
    folder = write_results(tmp_path_factory.mktemp("results") / "ball", views=2)
    points, faces = sphere()
    write_obj(folder / "ball.obj", RADIUS * points, [(None, faces)])
    images = ball_images(size=16)
    write_images(images, folder / "renders", "train")
    write_images(ball_images(around(2), size=16), folder / "renders", "test")
    normalization = {"scale": 1.0, "translation": [0, 0, 0], "matrix": np.eye(4).tolist()}
    for path in folder.glob("renders/*/record.json"):
        path.write_text(json.dumps({"normalization": normalization, "settings": {"up": "Y"}}))
    small = {"steps": 150, "samples_per_step": 8192, "march_steps": 64, "occupancy": {"resolution": 16}}
    config = resolve({**small, "network": {"levels": 4, "table_log2": 10}}, "cpu", len(images), 16)
    run = TrainingRun.alone(images, config, backends.select("cpu"))
    write_table(folder / "training.csv", LOG_COLUMNS, list(steps(run)))
    save_model(folder / "model.safetensors", run, HEADER)
    return folder


@pytest.mark.slow
@examples(4)
@given(of_section(ViewSettings), of_section(OrbitSettings), of_section(ViewerSettings))
def test_what_the_configuration_accepts_the_model_s_programs_take(ball, test, turn, page):
    """Test views, metrics, turntable and page; the shape is measured coarsely, as `ball` sets it."""
    resolved = configured(test=test, orbit={"frames": 2, "size": 16, **turn}, viewer=page)
    cpu = ["--backend", "cpu", "--model", str(ball / "model.safetensors"), "--object", "ball"]
    with nothing_to_warn_of():
        transforms, seen = str(ball / "renders/transforms_test.json"), str(ball / "test")
        words = ["--transforms", transforms, "--out", seen, "--settings", json.dumps(resolved.settings("render_test"))]
        render_views.main([*cpu, *words])
        source = ["--source", str(ball / "ball.obj")] if resolved.configuration.test.geometry else []
        words = ["--transforms", transforms, "--predictions", seen, "--out", str(ball / "metrics.csv")]
        metrics.main(["--object", "ball", *source, *words])
        words = [word for name in ("gif", "webp", "video") for word in (f"--{name}", str(ball / f"orbit.{name[:4]}"))]
        words[-1] = str(ball / "orbit.mp4")
        orbit.main([*cpu, *words, "--settings", json.dumps(resolved.settings("orbit"))])
        words = ["--results", str(ball), "--out", str(ball / "viewer.html")]
        viewer.main(["--object", "ball", *words, "--settings", json.dumps(resolved.settings("viewer"))])
    assert len(read_table(ball / "metrics.csv", ["object"])) == 2
    size = resolved.configuration.orbit.size
    assert (ball / "orbit.mp4").stat().st_size > 0
    for kind in ("gif", "webp"):
        assert iio.imread(ball / f"orbit.{kind}", index=0).shape[:2] == (size, size)


@pytest.mark.slow
@pytest.mark.parametrize("format", [name for name in FORMATS if settings_kind(name)])
@examples(3)
@given(st.data())
def test_what_the_configuration_accepts_the_exports_take(ball, format, data):
    section = format.replace("-", "_")
    small = {"resolution": 16} if format != "weights" else {}
    resolved = configured(
        export={"formats": [format], section: {**small, **data.draw(of_section(settings_kind(format)))}}
    )
    words = ["--object", "ball", "--format", format, "--results", str(ball)]
    words += ["--out", str(ball / "export" / format), "--settings", json.dumps(resolved.settings("export", format))]
    with nothing_to_warn_of():
        export.main(words)
    assert list((ball / "export" / format).iterdir())
