"""Compiles the kernels of the cpu backend, so that no object waits for them: python -m obj2ngp.ngp.install"""

import tempfile
from pathlib import Path

import numpy as np

from obj2ngp.common.cameras import orbit_pose
from obj2ngp.views.posed_images import PosedImages

from .backends.cpu import Backend
from .config import resolve
from .model_file import load_model, save_model
from .rendering import Renderer
from .training import TrainingRun, steps


def main():
    """Train for a few steps on three small grey pictures with the recipe's network, and render one."""
    poses = np.stack([orbit_pose(azimuth, 0.3, 1.5) for azimuth in (0.0, 2.0, 4.0)])[:, :3].astype(np.float32)
    grey = np.full((len(poses), 16, 16, 4), 128, np.uint8)
    offset = np.full(3, 0.5, np.float32)
    images = PosedImages(grey, poses, 20.0, (8.0, 8.0), ["a", "b", "c"], 1.0, offset)
    config = resolve({"steps": 16, "samples_per_step": 4096}, Backend.NAME, len(poses), 128)
    run = TrainingRun.alone(images, config, Backend)
    list(steps(run))
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder, "model.safetensors"), run, {})
        model = load_model(Path(folder, "model.safetensors"))
    list(Renderer(model, Backend).render_views(poses[:1], 16, 16, 20.0))


if __name__ == "__main__":
    main()
