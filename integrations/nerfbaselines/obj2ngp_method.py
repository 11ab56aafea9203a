"""The trainer as a method of nerfbaselines: one object, from pinhole pictures of one size."""

import contextlib
import dataclasses
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

from obj2ngp.common.files import UserError
from obj2ngp.ngp import backends, load_model
from obj2ngp.ngp.config import resolve
from obj2ngp.ngp.model_file import save_model
from obj2ngp.ngp.rendering import Renderer
from obj2ngp.ngp.training import TrainingRun
from obj2ngp.views.pictures import pixel_width
from obj2ngp.views.posed_images import PosedImages

MODEL = "model.safetensors"  # in the folder of a checkpoint
FROM_OPENCV = np.array([1, -1, -1, 1], np.float32)  # behind a pose: its axes as OpenGL has them, and back


class Obj2ngp:
    """What nerfbaselines asks of a method (`nerfbaselines.Method`).

    config_overrides  settings of the section `train`, with dots for sections: `network.levels`; `backend`, too
    """

    def __init__(self, *, checkpoint=None, train_dataset=None, config_overrides=None):
        settings = _nested(config_overrides or {})
        self._backend = backends.select(settings.pop("backend", "auto"))
        self._checkpoint, self._run, self._renderer = checkpoint, None, None
        if checkpoint is not None:
            self._model = load_model(Path(checkpoint) / MODEL)
            self._step = self._model.header["steps"]
            self._config = self._model.config
            return
        images = _posed_images(train_dataset)
        self._config = resolve(
            settings, self._backend.NAME, len(images), max(images.rgba.shape[1:3]), pixel_width(images.rgba)
        )
        self._run, self._step = TrainingRun.alone(images, self._config, self._backend), 0

    @classmethod
    def get_method_info(cls):
        """What the method needs, and gives."""
        return {
            "method_id": "obj2ngp",
            "required_features": frozenset(("color",)),
            "supported_camera_models": frozenset(("pinhole",)),
            "supported_outputs": ("color", "depth", "accumulation"),
            "can_resume_training": False,
        }

    def get_info(self):
        """The same, and where this run stands."""
        return {
            **self.get_method_info(),
            "num_iterations": self._config.steps,
            "loaded_step": None if self._checkpoint is None else self._step,
            "loaded_checkpoint": self._checkpoint,
            "hparams": _flat(dataclasses.asdict(self._config)),
        }

    def train_iteration(self, step):
        """One step of the optimiser; the loss and PSNR of its rays."""
        if self._run is None:
            raise UserError("a loaded model cannot be trained on")
        space, self._renderer = self._run.workspace, None
        space.step()
        self._step = step + 1
        if self._step % self._config.occupancy.interval == 0:
            space.update_occupancy()
        if self._step == self._config.steps:
            self._run.drop_hidden()
        record = self._run.record()
        return {"loss": record["loss"], "psnr": record["psnr"]}

    def save(self, path):
        """Write the model into the folder `path`."""
        Path(path).mkdir(parents=True, exist_ok=True)
        if self._run is None:
            shutil.copyfile(Path(self._checkpoint) / MODEL, Path(path) / MODEL)
        else:
            save_model(Path(path) / MODEL, self._run, {"backend": self._backend.NAME})

    def render(self, camera, *, options=None):
        """Colour on white, opacity, and depth along the rays in world units, as a camera sees them."""
        del options
        camera = camera.item()
        width, height = map(int, camera.image_sizes)
        focal, center = _pinhole(camera.intrinsics[None])
        if self._renderer is None:
            if self._run is not None:  # as it would be loaded, so that a restored model is the same
                with tempfile.TemporaryDirectory() as folder:
                    self.save(folder)
                    self._model = load_model(Path(folder) / MODEL)
            self._renderer = Renderer(self._model, self._backend)
        pose = camera.poses[None] * FROM_OPENCV
        [(rgb, opacity, depth)] = self._renderer.render_views(pose, width, height, focal, center)
        return {"color": np.clip(rgb + (1 - opacity[..., None]), 0, 1), "accumulation": opacity, "depth": depth}


def _posed_images(dataset):
    """PosedImages of a dataset of nerfbaselines; opaque pictures are the object's."""
    cameras, images = dataset["cameras"], list(dataset["images"])
    if len({image.shape[:2] for image in images}) > 1:
        raise UserError("obj2ngp: the pictures differ in size; bring them in with import_views.py")
    rgba = np.full((len(images), *images[0].shape[:2], 4), 255, np.uint8)
    for target, image in zip(rgba, images, strict=True):
        target[..., : image.shape[-1]] = image
    focal, center = _pinhole(cameras.intrinsics)
    pose = (cameras.poses[:, :3, :4] * FROM_OPENCV).astype(np.float32)
    return PosedImages(rgba, pose, focal, center, [Path(path).stem for path in dataset["image_paths"]])


def _pinhole(intrinsics):
    """(focal, (cx, cy)) of intrinsics (N,4), which have to be one pinhole's with square pixels."""
    x, y, *center = map(float, intrinsics[0])
    if not np.allclose(intrinsics, [x, x, *center], rtol=1e-4):
        raise UserError("obj2ngp: the cameras differ or have no square pixels; bring them in with import_views.py")
    return x, tuple(center)


def _nested(overrides):
    """A mapping with sections for the dots in its keys, and texts of the command line as the numbers that they are."""
    settings = {}
    for key, value in overrides.items():
        *path, last = key.split(".")
        section = settings
        for part in path:
            section = section.setdefault(part, {})
        section[last] = value
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                section[last] = json.loads(value)
    return settings


def _flat(settings, prefix=""):
    """The reverse of `_nested`."""
    result = {}
    for key, value in settings.items():
        result.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return result
