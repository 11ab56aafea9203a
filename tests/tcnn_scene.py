"""The tcnn backend on its stand-ins, and settings to train it quickly. Valid for Python 3.8."""

import contextlib
import importlib
import sys
from pathlib import Path

import torch

from ball import FOCAL, ball_picture, ball_pose
from obj2ngp.ngp.config import NetworkConfig, OccupancyConfig, TrainConfig
from obj2ngp.ngp.rendering import on_white
from obj2ngp.views.pictures import psnr, truth_on_white

STANDINS = Path(__file__).parent / "tcnn_standins"
MODULES = ("checked", "tinycudann", "vren", "torch_scatter", "apex", "obj2ngp.ngp.backends.tcnn")

TRAINING = TrainConfig(
    steps=100,
    samples_per_step=2048,
    march_steps=64,
    warmup_steps=10,
    supersampling=1,
    pixel_jitter=0.5,
    network=NetworkConfig(levels=4, table_log2=11, finest_resolution=64, sh_degree=2),
    occupancy=OccupancyConfig(resolution=16, warmup=48, cells_per_update=1024),
)


def _forget():
    for name in list(sys.modules):
        if name in MODULES or name.startswith(tuple(module + "." for module in MODULES)):
            del sys.modules[name]


@contextlib.contextmanager
def backend_on_standins(device="cpu"):
    """Yields the backend's class, imported anew on top of the stand-ins; afterwards nothing of it is left."""
    _forget()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # faster for the stand-ins' many small operations
    sys.path.insert(0, str(STANDINS))
    try:
        importlib.import_module("checked").DEVICE = device
        backend = importlib.import_module("obj2ngp.ngp.backends.tcnn").Backend
        backend.DEVICE, backend.describe = device, lambda: "stand-ins on " + device
        yield backend
    finally:
        torch.set_num_threads(threads)
        sys.path.remove(str(STANDINS))
        _forget()


def psnr_on_white(renderer, azimuth=0.5, elevation=0.3, size=32):
    """PSNR in dB of the ball seen from a pose that is none of the training views'."""
    pose = ball_pose(azimuth, elevation)
    rgb, opacity, _ = next(renderer.render_views(pose[None, :3], size, size, FOCAL * size))
    return psnr(truth_on_white(ball_picture(pose, size)), on_white(rgb, opacity))
