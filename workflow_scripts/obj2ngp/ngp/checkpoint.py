"""Checkpoints: files from which an interrupted run goes on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math

import torch

import obj2ngp
from obj2ngp.common.checks import items, mapping, number, text

from .config import METHOD
from .model_file import ModelError, load_tensors, read_tensors_header, save_tensors

LOG_COLUMNS = ("step", "seconds", "loss", "psnr", "samples", "rays", "learning_rate")
ROW = mapping({column: number() for column in LOG_COLUMNS}, more=False)
CONTENT = mapping({"key": text(), "seconds": number(-1), "rows": items(ROW, "rows", least=0)})


def run_key(run, images):
    """A hash of all that decides what a TrainingRun on PosedImages becomes."""
    settings = {
        "config": dataclasses.asdict(run.config),
        "backend": run.workspace.backend.NAME,
        "method": METHOD,
        "version": obj2ngp.__version__,
        "focal": float(images.focal),
        "center": [float(x) for x in images.center],
        "scale": run.placement.scale,
        "offset": [float(x) for x in run.placement.offset],
    }
    content = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    content.update(images.rgba.tobytes() + images.pose.tobytes())
    return content.hexdigest()


def save_checkpoint(path, run, key, rows):
    """Writes all that the run needs to go on, and its log's `rows` so far; `key` is its `run_key`. Atomic."""
    tensors = {name: tensor.cpu().numpy() for name, tensor in run.state().items()}
    save_tensors(path, tensors, {"key": key, "seconds": run.seconds, "rows": rows})


def restore_checkpoint(path, run, key):
    """Puts `run` where the checkpoint at `path` stands and returns the log's rows up to there; None if it is another's.

    Raises ModelError, and leaves the run as it is, if the file is none of a run like this.
    """
    header, arrays = read_tensors_header(path, CONTENT)
    if header["key"] != key:
        return None
    state = {name: tensor.cpu() for name, tensor in run.state().items()}
    tensors = load_tensors(path, arrays, {name: (each.numpy().dtype, each.shape) for name, each in state.items()})
    for name, (low, high) in _bounds(run).items():
        if tensors[name].size and not low <= tensors[name].min() <= tensors[name].max() <= high:
            raise ModelError("{}: {}: not all of its numbers are between {} and {:g}".format(path, name, low, high))
    run.restore({name: torch.from_numpy(tensor) for name, tensor in tensors.items()}, header["seconds"])
    return header["rows"]


def _bounds(run):
    """{name: (least, greatest)} of those tensors of a run's state that index others, or that it takes the root of."""
    return {
        "step": (0, run.config.steps),
        "seen": (0, run.config.steps),
        "skipped": (0, run.config.steps),
        "cursor": (0, max(0, int(run.workspace.grid.cell_count) - 1)),
        "active": (0, run.workspace.rays.capacity),
        "count": (0, math.inf),
        "occupied": (0, 1),
        "density": (0, math.inf),
        "reach": (0, math.inf),
        "table_second": (0, math.inf),
        "weights_second": (0, math.inf),
    }
