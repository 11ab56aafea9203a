"""Trained models as safetensors files: tensors, and JSON in the header (see common/tensor_files.py)."""

from __future__ import annotations

import dataclasses
import json
import os

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save

from obj2ngp.common.checks import mapping, numbers, whole
from obj2ngp.common.files import UserError, atomic_path, set_aside
from obj2ngp.common.lattice import PLACE
from obj2ngp.common.tensor_files import KEY, read_header

from .buffers import OccupancyGrid
from .config import TrainConfig, from_dict
from .field import Field
from .module import FieldModule
from .networks import encoding_of, head_of
from .rendering import Renderer

TYPES = {np.dtype(name): word for name, word in zip(("f4", "f2", "i4", "u1"), ("F32", "F16", "I32", "U8"))}  # a file's
CONTENT = mapping({"config": mapping({}), **PLACE, "occupancy_shape": numbers(3, whole(1, 512))})


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
        return self._renderer(backend).query(positions, directions)

    def render(self, pose, width, height, focal, center=None, supersampling=2, backend="auto"):
        """A picture of the field.

        pose           (3,4) or (4,4), camera-to-world, OpenGL axes (x right, y up, looking along -z), world units
        width, height  in pixels
        focal          focal length in pixels
        center         principal point (x, y) in pixels from the upper left corner; the middle unless given
        supersampling  rays along each edge of a pixel
        backend        'auto', or a backend's name
        Returns rgb (H,W,3) float32, sRGB in [0,1], premultiplied: over black; opacity (H,W) float32 in [0,1]; depth
        (H,W) float32, the distance along a pixel's rays at which half of the light is left, in world units, 0 where
        more is. Over a background it is rgb + (1 - opacity) * background. Raises BackendError.
        """
        views = self._renderer(backend, supersampling).render_views(
            np.asarray(pose)[None], width, height, focal, center
        )
        return next(views)

    def to_torch(self):
        """The field as a torch.nn.Module of its own, differentiable and in plain PyTorch: ngp.module.FieldModule."""
        return FieldModule(self)

    def _renderer(self, backend, supersampling=2):
        key = backend, supersampling
        if key not in self._renderers:
            self._renderers[key] = Renderer(self, backend, supersampling)
        return self._renderers[key]

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


def model_arrays(config):
    """{name: (type, shape)} of the arrays of a model with the TrainConfig `config`."""
    return {
        "table": (np.dtype(np.float32), encoding_of(config.network).shape),
        "weights": (np.dtype(np.float32), (head_of(config.network).count,)),
        "occupied": (np.dtype(np.uint8), (-(-(config.occupancy.resolution**3) // 8),)),
    }


def load_model(path):
    """The Model in a file. Raises ModelError."""
    header, arrays = read_tensors_header(path, CONTENT)
    try:
        config = from_dict(header["config"])
    except UserError as error:
        raise ModelError("{}: {}".format(path, error)) from error
    shape = (config.occupancy.resolution,) * 3
    if tuple(header["occupancy_shape"]) != shape:
        message = "{}: occupancy_shape: {}, its settings make {}"
        raise ModelError(message.format(path, header["occupancy_shape"], list(shape)))
    tensors = load_tensors(path, arrays, model_arrays(config))
    occupied = np.unpackbits(tensors["occupied"], count=int(np.prod(shape))).reshape(shape).astype(bool)
    return Model(
        table=torch.from_numpy(tensors["table"]),
        weights=torch.from_numpy(tensors["weights"]),
        occupied=torch.from_numpy(occupied),
        config=config,
        scale=float(header["scale"]),
        offset=torch.tensor(header["offset"], dtype=torch.float32),
        header=header,
    )


def load_result(path):
    """`load_model` of a result of the workflow; one that is not usable is set aside, so that a rerun trains it anew."""
    try:
        return load_model(path)
    except ModelError as error:
        if not os.access(path, os.R_OK):
            raise
        raise ModelError("{}; set aside as {}: run again to train it anew".format(error, set_aside(path))) from error


def save_tensors(path, tensors, header):
    """Writes arrays by name, and a JSON-able header. Atomic."""
    with atomic_path(path) as temporary:
        arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
        temporary.write_bytes(save(arrays, {KEY: json.dumps(header)}))


def read_tensors_header(path, content):
    """`read_header` of a file that `save_tensors` wrote. Raises ModelError."""
    try:
        return read_header(path, content)
    except UserError as error:
        raise ModelError(str(error)) from error


def load_tensors(path, arrays, wanted):
    """{name: array} of a file with the `arrays` that its header names: those `wanted`, {name: (numpy type, shape)}.

    Raises ModelError where one is missing, another is there, or one has another type or shape or a number that is
    not finite; all but the last before anything is read.
    """
    for name in sorted(wanted.keys() | arrays.keys()):
        dtype, shape = wanted.get(name, (None, None))
        found = arrays.get(name)
        if found is None:
            raise ModelError("{}: {}: missing".format(path, name))
        if dtype is None:
            raise ModelError("{}: {}: not known here".format(path, name))
        if found != (TYPES[dtype], tuple(shape)):
            message = "{}: {}: {} of shape {}, in this version its settings make {} of shape {}"
            raise ModelError(message.format(path, name, *found, TYPES[dtype], tuple(shape)))
    try:
        with safe_open(str(path), framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in wanted}
    except Exception as error:
        if type(error).__name__ != "SafetensorError":
            raise
        raise ModelError("{}: not a safetensors file: {}".format(path, error)) from error
    for name, tensor in tensors.items():
        if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
            raise ModelError("{}: {}: not all of its numbers are finite".format(path, name))
    return tensors
