"""Trained models as safetensors files: tensors, and JSON in the header under `obj2ngp`."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save

from obj2ngp.common.files import UserError, atomic_path

from .buffers import OccupancyGrid
from .config import TrainConfig, from_dict
from .field import Field, GridLevels
from .rendering import Renderer

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
    _renderers: dict = dataclasses.field(default_factory=dict, repr=False, compare=False)

    def query(self, positions, directions, backend="auto"):
        """The field at points of the world, as rendering meets it.

        positions   (N,3), world units; tensor or array
        directions  (N,3), in which one looks; of any length but zero
        backend     'auto', or a backend's name: what evaluates the field
        Returns float32 tensors on the backend's device: density (N,), per world unit, and colour (N,3), sRGB in
        [0,1]. Density is 0 outside the unit cube and in cells that the occupancy grid leaves out; the colour there
        has no meaning. Raises BackendError.
        """
        if backend not in self._renderers:
            self._renderers[backend] = Renderer(self, backend)
        return self._renderers[backend].query(positions, directions)

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
    save_tensors(path, tensors, content)


def load_model(path):
    """The Model in a file. Raises ModelError."""
    tensors, header = load_tensors(path)
    try:
        shape = header["occupancy_shape"]
        occupied = np.unpackbits(tensors["occupied"], count=int(np.prod(shape))).reshape(shape).astype(bool)
        config = from_dict(header["config"])
        wanted = (GridLevels(config.network).entries, config.network.features)
        if tensors["table"].shape != wanted:
            message = "{}: its hash table has shape {}, its settings make {} in this version"
            raise ModelError(message.format(path, tensors["table"].shape, wanted))
        return Model(
            table=torch.from_numpy(tensors["table"]),
            weights=torch.from_numpy(tensors["weights"]),
            occupied=torch.from_numpy(occupied),
            config=config,
            scale=header["scale"],
            offset=torch.tensor(header["offset"]),
            header=header,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError("{}: not a usable model: {!r}".format(path, error)) from error


def save_tensors(path, tensors, header):
    """Writes arrays by name, and a JSON-able header. Atomic."""
    with atomic_path(path) as temporary:
        arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
        temporary.write_bytes(save(arrays, {HEADER: json.dumps(header)}))


def load_tensors(path):
    """(arrays by name, header) that `save_tensors` wrote. Raises ModelError."""
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
