"""Trained models and checkpoints as safetensors files: tensors, and JSON in the header under `obj2ngp`."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save

from obj2ngp.common.files import UserError, atomic_path

from .buffers import OccupancyGrid
from .config import TrainConfig, from_dict
from .field import Field

HEADER = "obj2ngp"


class ModelError(UserError):
    """A file that is not a model of ours; the message names it and the reason."""


@dataclasses.dataclass
class Model:
    """A trained field: enough to render without anything else.

    table (entries, features) and weights (n,): float32 master parameters, as in ngp.field.Field
    occupied (G,G,G) bool
    scale, offset (3,): the unit cube's position of a world point is point * scale + offset
    header: config, backend, steps, training_seconds, versions, ... as JSON-able values
    """

    table: torch.Tensor
    weights: torch.Tensor
    occupied: torch.Tensor
    config: TrainConfig
    scale: float
    offset: torch.Tensor
    header: dict

    def field(self, backend):
        """A Field with these parameters, for `backend`."""
        field = Field(self.config.network, backend.DTYPE, backend.DEVICE)
        field.load(self.table, self.weights)
        return field

    def grid(self, device):
        """An OccupancyGrid to march through."""
        grid = OccupancyGrid(self.config.occupancy, device)
        grid.occupied.copy_(self.occupied.reshape(-1))
        return grid


def save_model(path, run, header):
    """Writes the result of a TrainingRun; `header` adds to what the run itself says. Atomic."""
    field, grid, placement = run.workspace.field, run.workspace.grid, run.placement
    bits = np.packbits(grid.occupied.cpu().numpy())
    tensors = {"table": field.table.cpu().numpy(), "weights": field.weights.cpu().numpy(), "occupied": bits}
    content = {
        "config": dataclasses.asdict(run.config),
        "scale": placement.scale,
        "offset": [float(x) for x in placement.offset],
        "occupancy_shape": (grid.resolution,) * 3,
        "steps": int(run.workspace.clock.step),
        "skipped_steps": int(run.workspace.moments.skipped),
        "training_seconds": run.seconds,
        **header,
    }
    _save(path, tensors, content)


def load_model(path):
    """The Model in a file. Raises ModelError."""
    tensors, header = _load(path)
    try:
        shape = header["occupancy_shape"]
        occupied = np.unpackbits(tensors["occupied"], count=int(np.prod(shape))).reshape(shape).astype(bool)
        return Model(
            table=torch.from_numpy(tensors["table"]),
            weights=torch.from_numpy(tensors["weights"]),
            occupied=torch.from_numpy(occupied),
            config=from_dict(header["config"]),
            scale=header["scale"],
            offset=torch.tensor(header["offset"]),
            header=header,
        )
    except (KeyError, ValueError) as error:
        raise ModelError("{}: not a usable model: {!r}".format(path, error)) from error


def save_checkpoint(path, run, data_key, rows):
    """Writes all that an interrupted run needs to go on, and its log's `rows` so far. Atomic."""
    tensors = {name: tensor.cpu().numpy() for name, tensor in run.state().items()}
    _save(path, tensors, {"key": _run_key(run, data_key), "seconds": run.seconds, "rows": rows})


def restore_checkpoint(path, run, data_key):
    """Puts `run` where the checkpoint at `path` stands and returns the log's rows up to there.

    None if the checkpoint belongs to other settings or data. Raises ModelError.
    """
    tensors, header = _load(path)
    if header.get("key") != _run_key(run, data_key):
        return None
    run.restore({name: torch.from_numpy(tensor) for name, tensor in tensors.items()}, header["seconds"])
    return header["rows"]


def _run_key(run, data_key):
    content = json.dumps([dataclasses.asdict(run.config), run.workspace.backend.NAME, data_key], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _save(path, tensors, header):
    with atomic_path(path) as temporary:
        arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
        temporary.write_bytes(save(arrays, {HEADER: json.dumps(header)}))


def _load(path):
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(metadata[HEADER])
    except (OSError, KeyError, ValueError) as error:
        raise ModelError("{}: not a file of ours: {!r}".format(path, error)) from error
    except Exception as error:
        if type(error).__name__ != "SafetensorError":
            raise
        raise ModelError("{}: not a safetensors file: {}".format(path, error)) from error
