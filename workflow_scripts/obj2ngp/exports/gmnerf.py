"""A field of the preset `gmnerf` as the published code of gmnerf reads it (github.com/CVLAB-Unibo/gmnerf, ae74807).

Its world is the unit cube, stretched to its box from -0.7 to 0.7. Read from `nf2vec/nerf/hash.py`,
`nf2vec/nerf/loader.py`, `nf2vec/config.py`, `datasets/single_arch.py`, and nerfacc 0.3's OccupancyGrid.
"""

import json

import numpy as np
import torch

from obj2ngp.common.files import UserError
from obj2ngp.ngp.config import PRESETS
from obj2ngp.ngp.networks import HASH, head_of
from obj2ngp.ngp.networks.gmnerf import BOX
from obj2ngp.ngp.networks.mlps import matrices
from obj2ngp.ngp.tiny_cuda_nn import mlp_parameters
from obj2ngp.views.reading import read_cameras

from .occupancy import resampled

PRESET = "gmnerf"
GRID = 96  # cells along an edge of its occupancy grid


def parameters(model):
    """What torch.load gives of nerf_weights.pth: tiny-cuda-nn's parameters, flat float32, in its order."""
    layers = matrices(model.weights, head_of(model.config.network).shapes)
    return {"encoding.params": model.table.reshape(-1), "mlp_base.params": mlp_parameters(layers)}


def occupancy(model):
    """What torch.load gives of grid.pth: the state of an OccupancyGrid, its cells indexed [x,y,z]."""
    occupied = torch.from_numpy(resampled(model.occupied.numpy(), GRID))
    return {
        "_roi_aabb": torch.tensor([-BOX / 2] * 3 + [BOX / 2] * 3),
        "_binary": occupied.to_sparse(),
        "resolution": torch.tensor([GRID] * 3, dtype=torch.int32),
    }


def cameras(model, path):
    """The content of a transforms file in its world, of the views in the transforms file `path`. Raises UserError."""
    views = read_cameras(path)
    width, height = views.intrinsics["w"], views.intrinsics["h"]
    focal, _ = views.pinhole(width, height)
    poses = np.tile(np.eye(4), (len(views.pose), 1, 1))
    poses[:, :3] = views.pose[:, :3]
    poses[:, :3, 3] = (poses[:, :3, 3] * model.scale + model.offset.numpy() - 0.5) * BOX
    frames = [{"transform_matrix": pose.tolist()} for pose in poses]
    return {"camera_angle_x": 2 * float(np.arctan(width / 2 / focal)), "frames": frames}


def write(source, folder):
    """Write the files of an object's folder into `folder`. Raises UserError for a field of another network."""
    model = source.model()
    network, fixed = model.config.network, {"encoding": HASH, **PRESETS[PRESET]}
    others = [name for name, value in fixed.items() if getattr(network, name) != value]
    if others:
        raise UserError(
            f"gmnerf reads fields of the preset {PRESET} alone: train with train.network.preset: {PRESET}"
            f" (here differ: {', '.join(others)})"
        )
    torch.save(parameters(model), folder / "nerf_weights.pth")
    torch.save(occupancy(model), folder / "grid.pth")
    content = cameras(model, source.transforms("train"))
    (folder / "transforms_train_compressed.json").write_text(json.dumps(content), encoding="utf-8")
