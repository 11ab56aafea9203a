"""An object's results as its other programs leave them, with a field drawn at random: made in milliseconds."""

import csv
import dataclasses
import json

import imageio.v3 as iio
import numpy as np
import torch

from obj2ngp.ngp.config import NetworkConfig, OccupancyConfig, TrainConfig
from obj2ngp.ngp.field import Field
from obj2ngp.ngp.model_file import save_tensors
from obj2ngp.views.nerf_synthetic import transforms

GRID = 16
NETWORK = NetworkConfig(levels=4, table_log2=10, base_resolution=8, finest_resolution=32, sh_degree=3)
HEADER = {"backend": "cpu", "device": "2 threads", "versions": {"torch": "2.13.0"}, "resolution": [20, 16]}


def ball(resolution):
    """(G,G,G) bool: the cells whose middle lies within 0.4 of the cube's."""
    middles = (np.indices((resolution,) * 3) + 0.5) / resolution
    return np.linalg.norm(middles - 0.5, axis=0) < 0.4


def write_model(path, network=NETWORK, scale=1.0, offset=(0.5, 0.5, 0.5), occupied=None, march_steps=256):
    """A model file with a field at random, in which density lies between nothing and opaque."""
    config = TrainConfig(network=network, occupancy=OccupancyConfig(resolution=GRID), march_steps=march_steps)
    field = Field(network)
    field.start(3)
    occupied = ball(GRID) if occupied is None else occupied
    tensors = {
        "table": (field.table * 2e4).numpy(),  # to about +-2
        "weights": (field.weights * 2.5).numpy(),
        "occupied": np.packbits(occupied),
    }
    content = {
        "config": dataclasses.asdict(config),
        "scale": scale,
        "offset": list(offset),
        "occupancy_shape": [GRID] * 3,
        "steps": config.steps,
        "training_seconds": 1.5,
        **HEADER,
    }
    save_tensors(path, tensors, content)
    return path


def write_results(folder, views=3, size=(16, 20), **model):
    """All that an export may need, in the folder of an object's results."""
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        images = folder / "renders" / split
        images.mkdir(parents=True)
        (images / "record.json").write_text(json.dumps({"object": folder.name, "split": split, "model": "a.obj"}))
        poses = np.tile(np.eye(4), (views, 1, 1))
        poses[:, 2, 3] = 1.5
        for index in range(views):
            iio.imwrite(images / f"{index:03d}.png", random.integers(0, 256, (*size, 4), dtype=np.uint8))
        content = transforms(poses, [f"./{split}/{index:03d}" for index in range(views)], size[::-1], 0.8)
        (folder / "renders" / f"transforms_{split}.json").write_text(json.dumps(content))
    with open(folder / "metrics.csv", "w", newline="") as file:
        rows = [
            ["object", "view", "psnr", "ssim"],
            *([folder.name, f"{index:03d}", 30 + index, 0.9] for index in range(views)),
        ]
        csv.writer(file).writerows(rows)
    write_model(folder / "model.safetensors", **model)
    return folder


def cube_points(count, seed=0):
    """(N,3) positions in the unit cube, its border included, and (N,3) unit directions."""
    generator = torch.Generator().manual_seed(seed)
    positions = torch.rand(count, 3, generator=generator)
    positions[::7, 0], positions[::11, 1] = 1.0, 0.0
    return positions, torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
