"""Benchmark scenes: posed images in `.npz` files, and the protocol by which renders of them are judged."""

import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from obj2ngp.ngp.config import resolve  # noqa: E402
from obj2ngp.ngp.model_file import load_model, save_model  # noqa: E402
from obj2ngp.ngp.rendering import on_white  # noqa: E402
from obj2ngp.views.pictures import pixel_width, psnr, truth_on_white  # noqa: E402
from obj2ngp.views.posed_images import PosedImages  # noqa: E402

# Our renders put the object into the unit box around the origin; the NeRF-synthetic chair is larger.
SCENE_SCALE = {"chair400": 1.5 / 4.03}


def read_scene(path):
    """(training views, test views) of a file with rgba_*, pose_* (OpenGL camera-to-world) and fx (pixels)."""
    content = np.load(path)
    scale = SCENE_SCALE.get(Path(path).stem, 1.0)
    splits = []
    for split in ("train", "test"):
        rgba = content["rgba_" + split]
        height, width = rgba.shape[1:3]
        splits.append(
            PosedImages(
                rgba,
                content["pose_" + split][:, :3].astype(np.float32),
                float(content["fx"]),
                (width / 2, height / 2),
                ["%03d" % i for i in range(len(rgba))],
                scale,
                np.full(3, 0.5, np.float32),
            )
        )
    return splits


def config_for(images, settings, backend):
    """The TrainConfig of a run on PosedImages, as the trainer has it."""
    rgba = images.rgba
    return resolve(settings, backend.NAME, len(rgba), max(rgba.shape[1:3]), pixel_width(rgba))


def model_of(run):
    """The Model of a finished TrainingRun, as its file gives it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        save_model(path, run, {})
        return load_model(path)


def psnr_per_view(renderer, images):
    """PSNR in dB of every view: whole image, on white, both pictures rounded to 8 bits."""
    height, width = images.rgba.shape[1:3]
    views = renderer.render_views(images.pose, width, height, images.focal, images.center)
    pairs = zip(images.rgba, views, strict=True)
    return np.array([psnr(truth_on_white(rgba), on_white(rgb, opacity)) for rgba, (rgb, opacity, _) in pairs])
