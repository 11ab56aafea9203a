"""One object's training, from its images to the model and the log, with checkpoints between."""

import contextlib
import os
import platform
import time

import numpy
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

import obj2ngp
from obj2ngp.common.files import atomic_path, make_room, printable, remove, set_aside
from obj2ngp.common.memory import require_memory
from obj2ngp.common.settings import read_mapping
from obj2ngp.common.tables import write_table
from obj2ngp.views.pictures import pixel_width
from obj2ngp.views.reading import read_images

from . import backends
from .checkpoint import LOG_COLUMNS, restore_checkpoint, run_key, save_checkpoint
from .config import resolve
from .hull import carving_bytes
from .model_file import ModelError, save_model
from .placement import PlacementError
from .training import TrainingRun, steps, warm_up
from .turn import shared, turn
from .workspace import buffer_bytes, workspace_for

CHECKPOINT_SECONDS = 5.0  # between two checkpoints: a killed run loses less than this


class Reporter:
    """Shows progress on a terminal, plain lines elsewhere, and keeps the log's rows."""

    def __init__(self, steps, name):
        self.rows, self.steps = [], steps
        self.console = Console(stderr=True)
        self.live = self.console.is_terminal
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=self.console,
            disable=not self.live,
        )
        self.task = self.progress.add_task(printable(name), total=steps, figures="")
        self.last_line = float("-inf")

    def __call__(self, row):
        before = self.rows[-1] if self.rows else {"step": 0, "seconds": 0.0}
        self.rows.append(row)
        spent = max(row["seconds"] - before["seconds"], 1e-9)
        rate = row["rays"] * (row["step"] - before["step"]) / spent
        figures = "{:.2f} dB, {:,.0f} rays/s".format(row["psnr"], rate)
        self.progress.update(self.task, completed=row["step"], figures=figures)
        final = row["step"] == self.steps
        if not self.live and (final or time.monotonic() - self.last_line > 5):
            self.last_line = time.monotonic()
            print(
                "step {step}/{steps}  {seconds:.1f} s  loss {loss:.5f}  train PSNR {figures}".format(
                    steps=self.steps, figures=figures, **{k: row[k] for k in ("step", "seconds", "loss")}
                ),
                flush=True,
            )


def versions():
    return {
        "obj2ngp": obj2ngp.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
    }


def rows_so_far(checkpoint, run, key):
    """Puts `run` where the file `checkpoint` stands, if it can, and says so. Returns the log's rows up to there."""
    try:
        rows = restore_checkpoint(checkpoint, run, key)
    except ModelError as error:
        print("{}; set aside as {}; beginning anew".format(error, set_aside(checkpoint)), flush=True)
        return []
    if rows is None:
        print("{}: belongs to other settings, images or program; beginning anew".format(checkpoint), flush=True)
        return []
    print("going on from step {} of {}".format(int(run.workspace.clock.step), checkpoint), flush=True)
    return rows


@contextlib.contextmanager
def placing(source):
    """Names the file `source` of the views before what is wrong with where they are."""
    try:
        yield
    except PlacementError as error:
        raise PlacementError("{}: {}".format(source, error)) from error


def train_object(name, renders, settings, backend_name, model, log):
    """Train on the pictures in the folder `renders` and write the files `model` and `log`. Raises UserError.

    While it runs it keeps a checkpoint beside the model; run again after an interruption, it goes on from there.
    """
    for output in (model, log):
        make_room(output)
    chosen = read_mapping(settings)
    source = renders / "transforms_train.json"
    images = read_images(source)
    backend = backends.select(backend_name)  # only now: it takes its time to load, and what is wrong is told at once
    height, width = images.rgba.shape[1:3]
    config = resolve(chosen, backend.NAME, len(images), max(width, height), pixel_width(images.rgba))
    print(
        "backend {}: {}, {} views of {}x{}, {} steps".format(
            backend.NAME, backend.describe(), len(images), width, height, config.steps
        ),
        flush=True,
    )
    checkpoint = model.with_name("." + model.stem + ".checkpoint.safetensors")
    reporter = Reporter(config.steps, name)
    if backend.DEVICE == "cpu":  # a graphics card says itself what it has no room for
        needed = max(buffer_bytes(config, backend.DTYPE), carving_bytes(images, config.occupancy.resolution))
        require_memory(needed, "{}: training with these settings".format(source))
    workspace = workspace_for(config, backend)
    if shared():
        with placing(source):
            warm_up(images, config, workspace)
    with turn(), reporter.progress:
        with placing(source):
            run = TrainingRun(images, config, workspace)
        key = run_key(run, images)
        if os.path.lexists(checkpoint):
            reporter.rows = rows_so_far(checkpoint, run, key)
        saved = time.monotonic()
        for row in steps(run):
            reporter(row)
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                save_checkpoint(checkpoint, run, key, reporter.rows)
                saved = time.monotonic()
    header = {
        "backend": backend.NAME,
        "device": backend.describe(),
        "versions": versions(),
        "views": len(images),
        "resolution": [width, height],
    }
    with atomic_path(log) as temporary:
        write_table(temporary, LOG_COLUMNS, reporter.rows)
        save_model(model, run, header)
    remove(checkpoint)
