"""A trained field as a snapshot that instant-ngp opens without any pictures.

The format is documented nowhere; this follows instant-ngp abe236e (`src/testbed.cu`, `json_binding.h`,
`nerf_network.h`) and tiny-cuda-nn 6ee3546. The unit cube is instant-ngp's own, with our axes: `up_dir` says that z is
up, and `from_mitsuba` keeps instant-ngp from taking camera poses for ones with its own axes.
"""

import math
import zlib

import msgpack
import numpy as np
import torch

from obj2ngp.common.cameras import orbit_pose
from obj2ngp.common.files import UserError
from obj2ngp.common.lattice import spread_bits
from obj2ngp.ngp.field import GridLevels, mlp_shapes
from obj2ngp.ngp.networks import written_by_hand
from obj2ngp.ngp.networks.mlps import matrices
from obj2ngp.ngp.tiny_cuda_nn import (
    FULLY_FUSED_ALIGNMENT,
    FULLY_FUSED_WIDTHS,
    GRID_FEATURES,
    grid_config,
    grid_resolutions,
    mlp_config,
    mlp_parameters,
    padded,
)

from .occupancy import resampled

VERSION = 1  # SNAPSHOT_FORMAT_VERSION
GRID = 128  # NERF_GRIDSIZE: cells along an edge of its occupancy grid
THRESHOLD = 0.01  # NERF_MIN_OPTICAL_THICKNESS: denser cells are sampled
SH_DEGREE = 4  # of its direction encoding; fewer bands have weights of 0 behind them
AZIMUTH, ELEVATION, DISTANCE, FOV = 55.0, 20.0, 1.5, 49.13  # of the first camera: the turntable's


def refusal(network):
    """Why instant-ngp cannot hold the field of a NetworkConfig, or None."""
    if not written_by_hand(network):
        return f"it has no networks with the encoding {network.encoding} and the head {network.head}"
    for name in ("density_width", "color_width"):
        if getattr(network, name) not in FULLY_FUSED_WIDTHS:
            widths = ", ".join(map(str, FULLY_FUSED_WIDTHS))
            return f"train.network.{name}: its MLPs are {widths} wide, not {getattr(network, name)}"
    if network.features not in GRID_FEATURES:
        counts = ", ".join(map(str, GRID_FEATURES))
        return f"train.network.features: its hash grid has {counts} features a level, not {network.features}"
    resolutions = GridLevels(network).resolution.numpy()
    if not np.array_equal(grid_resolutions(network), resolutions):
        return "train.network: rounding gives a level of its hash grid another size; another finest_resolution may fit"
    return None


def parameters(model):
    """(n,) float16 in its order: density MLP, colour MLP, hash grid."""
    network = model.config.network
    shapes, more = mlp_shapes(network)
    layers = matrices(model.weights, shapes + more)
    density, color = layers[: len(shapes)], layers[len(shapes) :]
    # The colour MLP's inputs: as many density outputs as an MLP is padded to, then all bands.
    geometry = padded(network.geometry_features, FULLY_FUSED_ALIGNMENT)
    first = torch.zeros(geometry + SH_DEGREE**2, color[0].shape[1])
    first[: network.geometry_features] = color[0][: network.geometry_features]
    first[geometry : geometry + network.sh_degree**2] = color[0][network.geometry_features :]
    flat = [mlp_parameters(density), mlp_parameters([first, *color[1:]]), model.table.reshape(-1)]
    return torch.cat(flat).numpy().astype(np.float16)


def morton_codes(size):
    """(G,G,G) int64: the Morton codes of a grid's cells, indexed [x,y,z]: the bits of x, y and z in turn, x lowest."""
    spread = spread_bits(np.arange(size), size.bit_length())
    return spread[:, None, None] | spread[:, None] << 1 | spread << 2


def density_grid(occupied):
    """(128^3,) float16, in Morton order: above the threshold where a cell overlaps one of `occupied` (G,G,G) bool.

    instant-ngp makes bits of it, against the threshold or the mean, whichever is smaller.
    """
    values = np.zeros(GRID**3, np.float16)
    values[morton_codes(GRID)] = resampled(occupied, GRID) * 2 * THRESHOLD
    return values


def first_camera():
    """What `snapshot.camera` says: a camera of the turntable, in the unit cube; x right, y down, z ahead."""
    pose = orbit_pose(math.radians(AZIMUTH), math.radians(ELEVATION), DISTANCE)
    matrix = pose[:3] * [1, -1, -1, 1]
    matrix[:, 3] += 0.5
    return {
        "matrix": matrix.tolist(),
        "fov_axis": 1,
        "relative_focal_length": [0.5 / math.tan(math.radians(FOV) / 2)] * 2,
        "screen_center": [0.5, 0.5],
        "zoom": 1.0,
        "scale": DISTANCE,
    }


def snapshot(model):
    """The content of a snapshot, a dict that msgpack can write, of a Model. Raises UserError if it cannot hold it."""
    network = model.config.network
    reason = refusal(network)
    if reason:
        raise UserError(f"instant-ngp cannot hold this field: {reason}")
    flat, box = parameters(model), {"min": [0.0] * 3, "max": [1.0] * 3}
    geometry = padded(network.geometry_features, FULLY_FUSED_ALIGNMENT)
    dataset = {
        "n_images": 0,
        "paths": [],
        "render_aabb": box,
        "render_aabb_to_local": np.eye(3).tolist(),
        "up": [0.0, 0.0, 1.0],
        "offset": model.offset.tolist(),
        "scale": float(model.scale),
        "aabb_scale": 1,
        "envmap_resolution": [0, 0],
        "from_mitsuba": True,
        "is_hdr": False,
        "wants_importance_sampling": True,
        "n_extra_learnable_dims": 0,
    }
    counters = {"rays_per_batch": 4096, "measured_batch_size": 0, "measured_batch_size_before_compaction": 0}
    return {
        "encoding": grid_config(network),
        "network": {**mlp_config(network.density_width, network.density_layers, "None"), "n_output_dims": geometry},
        "dir_encoding": {
            "otype": "Composite",
            "nested": [
                {"otype": "SphericalHarmonics", "degree": SH_DEGREE, "n_dims_to_encode": 3},
                {"otype": "Identity"},
            ],
        },
        "rgb_network": mlp_config(network.color_width, network.color_layers, "None"),
        "loss": {"otype": "Huber"},
        "optimizer": optimizer(model.config),
        "snapshot": {
            "version": VERSION,
            "mode": "nerf",
            "n_params": len(flat),
            "params_type": "__half",
            "params_binary": flat.tobytes(),
            "density_grid_size": GRID,
            "density_grid_binary": density_grid(model.occupied.numpy()).tobytes(),
            "training_step": model.header["steps"],
            "loss": 0.0,
            "aabb": box,
            "render_aabb": box,
            "bounding_radius": math.sqrt(3) / 2,
            "up_dir": [0.0, 0.0, 1.0],
            "background_color": [1.0] * 4,
            "camera": first_camera(),
            "nerf": {"aabb_scale": 1, "rgb": counters, "dataset": dataset},
        },
    }


def optimizer(config):
    """How instant-ngp would train on; its own defaults (`configs/nerf/base.json`) with the rates of a TrainConfig."""
    adam = {
        "otype": "Adam",
        "learning_rate": config.learning_rate,
        "beta1": config.beta1,
        "beta2": config.beta2,
        "epsilon": 1e-15,
        "l2_reg": 1e-6,
    }
    decay = {"otype": "ExponentialDecay", "decay_start": 20000, "decay_interval": 10000, "decay_base": 0.33}
    return {"otype": "Ema", "decay": 0.95, "nested": {**decay, "nested": adam}}


def write(source, folder):
    """Write NAME.ingp of a Source into `folder`. Raises UserError for a field that instant-ngp cannot hold."""
    content = msgpack.packb(snapshot(source.model()))
    (folder / f"{source.name}.ingp").write_bytes(zlib.compress(content))
