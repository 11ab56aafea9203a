"""The tcnn backend on its stand-ins, and a tiny scene to train it on. Valid for Python 3.8."""

import contextlib
import importlib
import math
import sys
from pathlib import Path

import numpy as np
import torch

from obj2ngp.ngp.config import NetworkConfig, OccupancyConfig, TrainConfig
from obj2ngp.views.posed_images import PosedImages

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


def look_at_center(azimuth, elevation, radius):
    """(3,4) camera-to-world pose, OpenGL axes, angles in radians."""
    back = np.array(
        [math.cos(elevation) * math.sin(azimuth), math.sin(elevation), math.cos(elevation) * math.cos(azimuth)]
    )
    right = np.cross([0.0, 1.0, 0.0], back)
    right /= np.linalg.norm(right)
    return np.column_stack([right, np.cross(back, right), back, radius * back])


def ball(size, azimuth, elevation, supersampling=3):
    """(pose, (H,W,4) uint8) of a ball of radius 0.35 around the origin, coloured by its normal."""
    pose, focal = look_at_center(azimuth, elevation, 1.5), 1.1 * size
    n = size * supersampling
    y, x = (np.mgrid[:n, :n] + 0.5) / supersampling
    direction = np.stack([(x - size / 2) / focal, (size / 2 - y) / focal, -np.ones_like(x)], -1) @ pose[:, :3].T
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    middle = -(direction @ pose[:, 3])
    inside = 0.35**2 - (pose[:, 3] @ pose[:, 3] - middle**2)
    hit = inside > 0
    normal = (pose[:, 3] + (middle - np.sqrt(np.maximum(inside, 0)))[..., None] * direction) / 0.35
    rgba = np.concatenate([(0.5 + 0.4 * normal) * hit[..., None], hit[..., None]], -1)
    rgba = rgba.reshape(size, supersampling, size, supersampling, 4).mean((1, 3))
    rgba[..., :3] /= np.maximum(rgba[..., 3:], 1e-9)
    return pose, (rgba * 255 + 0.5).astype(np.uint8)


def ball_images(views=12, size=32):
    """PosedImages of the ball from all sides."""
    angles = [(2.4 * i, math.asin((2 * i + 1) / views - 1) * 0.9) for i in range(views)]
    poses, images = zip(*(ball(size, *angle) for angle in angles))
    names = [str(i) for i in range(views)]
    return PosedImages(
        np.stack(images),
        np.stack(poses).astype(np.float32),
        1.1 * size,
        (size / 2, size / 2),
        names,
        1.0,
        np.full(3, 0.5, np.float32),
    )


def psnr_on_white(renderer, azimuth=0.5, elevation=0.3, size=32):
    """PSNR in dB of the ball seen from a pose that is none of the training views'."""
    pose, rgba = ball(size, azimuth, elevation)
    rgb, opacity, _ = next(renderer.render_views(pose[None], size, size, 1.1 * size))
    alpha = rgba[..., 3:] / 255
    error = rgb + 1 - opacity[..., None] - (rgba[..., :3] / 255 * alpha + 1 - alpha)
    return -10 * math.log10(float((error**2).mean()))
