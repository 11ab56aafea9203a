"""Checkpoints: files from which an interrupted run goes on."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import torch

import obj2ngp

from .config import METHOD
from .model_file import ModelError, load_tensors, read_tensors_header, save_tensors


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
    """Puts `run` where the checkpoint at `path` stands and returns the log's rows up to there.

    Raises ModelError, and leaves the run as it is, if the file cannot be read or is another run's.
    """
    tensors, header = load_tensors(path)
    if not isinstance(header, dict) or header.get("key") != key:
        raise ModelError("{}: belongs to other settings, images or program".format(path))
    run.restore({name: torch.from_numpy(tensor) for name, tensor in tensors.items()}, header["seconds"])
    return header["rows"]
