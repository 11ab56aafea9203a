"""Programs that are run here on an object's results, some of them spoilt, for the tests at the doors."""

import contextlib
import dataclasses
import io
from collections import namedtuple

import pytest

import metrics
import orbit
import render
import render_views
import train
from ball import ball_images
from damage import MESH
from obj2ngp.common.files import UserError, run_program
from obj2ngp.ngp import backends
from obj2ngp.ngp.checkpoint import save_checkpoint
from obj2ngp.ngp.config import NetworkConfig, OccupancyConfig, TrainConfig
from obj2ngp.ngp.model_file import save_model
from obj2ngp.ngp.training import TrainingRun, steps
from obj2ngp.views.nerf_synthetic import write_images

TINY = TrainConfig(
    steps=2,
    samples_per_step=512,
    march_steps=32,
    supersampling=1,
    network=NetworkConfig(
        levels=2, table_log2=8, base_resolution=4, finest_resolution=16, density_width=8, color_width=8
    ),
    occupancy=OccupancyConfig(resolution=16, cells_per_update=256),
)
END = namedtuple("End", "code out err")
SCENE = ("train", "test", "transforms_train.json", "transforms_test.json")
MODEL = "model.safetensors"


def finish_object(folder):
    """Make an object's results in `folder`: a model, views and a checkpoint. Returns the run."""
    images = ball_images(size=16)
    images = dataclasses.replace(images, rgba=images.rgba[:3], pose=images.pose[:3], names=images.names[:3])
    write_images(images, folder, "train")
    write_images(images, folder, "test")
    run = TrainingRun.alone(images, TINY, backends.select("cpu"))
    rows = list(steps(run))
    header = {"backend": "cpu", "device": "a CPU", "versions": {"torch": "2"}, "views": 3, "resolution": [16, 16]}
    save_model(folder / MODEL, run, header)
    save_checkpoint(folder / "checkpoint.safetensors", run, "key", rows)
    (folder / "one.obj").write_text(MESH)
    (folder / "one.mtl").write_text("newmtl paint\nKd 1 0 0\n")
    return run


def end_of(main, *words):
    """How a program ends that is run here, with what it printed."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            run_program(main, [str(word) for word in words])
        except SystemExit as end:
            code = end.code
    return END(code, out.getvalue(), err.getvalue())


def assert_refused(end, folder, file, words):
    """One line that names the file and the reason; nothing is written into `folder`/out."""
    assert end.code == 1, end
    assert end.err.startswith("error: ") and end.err.endswith("\n") and end.err.count("\n") == 1, end.err
    assert end.err.isascii() or end.err[:-1].isprintable()
    assert file in end.err and words in end.err, end.err
    assert len(end.err) < 1500
    assert not (folder / "out").exists() or not list((folder / "out").iterdir()), "something is left"


def trains(folder, settings="{}"):
    words = ["--object", "one", "--renders", folder, "--settings", settings, "--backend", "cpu"]
    return end_of(train.main, *words, "--model", folder / "out/m.safetensors", "--log", folder / "out/log.csv")


def renders_views(folder, settings="{}"):
    words = ["--object", "one", "--model", folder / MODEL, "--transforms", folder / "transforms_test.json"]
    return end_of(render_views.main, *words, "--settings", settings, "--backend", "cpu", "--out", folder / "out/test")


def turns(folder, settings="{}"):
    words = ["--object", "one", "--model", folder / MODEL, "--settings", settings, "--backend", "cpu"]
    return end_of(
        orbit.main,
        *words,
        "--gif",
        folder / "out/o.gif",
        "--webp",
        folder / "out/o.webp",
        "--video",
        folder / "out/o.mp4",
    )


def measures(folder):
    words = ["--object", "one", "--transforms", folder / "transforms_test.json", "--predictions", folder / "seen"]
    return end_of(metrics.main, *words, "--out", folder / "out/metrics.csv")


def renders(folder, settings='{"views": 2}'):
    words = ["--object", "one", "--model", folder / "one.obj", "--split", "train", "--settings", settings]
    return end_of(render.main, *words, "--images", folder / "out/train", "--transforms", folder / "out/t.json")


def named(cases):
    return [pytest.param(*case[1:], id=case[0]) for case in cases]


def refused_or(function, *words):
    """Whether `function` takes `words`; what it raises otherwise is one line."""
    try:
        function(*words)
    except UserError as error:
        assert "\n" not in str(error)
        return False
    return True
