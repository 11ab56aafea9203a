"""Settings of the trainer: what the `train` section of the workflow's configuration may hold.

Every setting has a concrete value in the dataclasses below. A setting that is absent, or that reads
`auto`, takes the default recipe's value for the backend, the image size and the number of views.

It does not import PyTorch, so that the workflow can read it in its own Python.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass

from obj2ngp.common.settings import LARGEST_SEED, from_mapping, given, setting

METHOD = 8  # raised by hand when the same settings give other models than before, the recipe's settings included


# The modules of `obj2ngp.ngp.networks`.
ENCODINGS = {"hash": "multiresolution hash encoding", "frequencies": "sines and cosines of `levels` octaves, no table"}
HEADS = {
    "mlps": "density MLP and colour MLP, as above",
    "gmnerf": "one MLP of `density_layers` for colour and density, no directions",
}
# Fixed networks, by name: what each gives NetworkConfig.
PRESETS = {
    "gmnerf": {
        "head": "gmnerf",
        "levels": 4,
        "features": 2,
        "table_log2": 12,
        "base_resolution": 16,
        "finest_resolution": 128,
        "density_width": 64,
        "density_layers": 3,
        "sh_degree": 1,
    }
}

_auto = functools.partial(setting, auto=True)  # the recipe chooses it unless it is given


@dataclass(frozen=True)
class NetworkConfig:
    """Multiresolution hash encoding and the two MLPs (Müller et al. 2022, section 3 and 5.4)."""

    levels: int = _auto(16, "resolution levels of the hash encoding", 1, 32)
    features: int = _auto(2, "features an entry of the hash table", 1, 8)
    table_log2: int = _auto(15, "log2 of the entries of a level's hash table", 8, 24)
    base_resolution: int = _auto(16, "vertices along an edge of the coarsest level", 2, 512)
    finest_resolution: int = _auto(1024, "vertices along an edge of the finest level", 2, 65536)
    density_width: int = _auto(64, "width of the density MLP's hidden layers", 8, 256)
    density_layers: int = _auto(1, "hidden layers of the density MLP", 1, 8)
    geometry_features: int = _auto(16, "outputs of the density MLP; the first is log density", 1, 64)
    color_width: int = _auto(64, "width of the colour MLP's hidden layers", 8, 256)
    color_layers: int = _auto(2, "hidden layers of the colour MLP", 1, 8)
    sh_degree: int = _auto(4, "spherical-harmonics bands of the view direction (1: no view dependence)", 1, 4)
    encoding: str = _auto("hash", "encoding of positions, see docs/networks.md", choices=ENCODINGS)
    head: str = _auto("mlps", "what makes density and colour of it", choices=HEADS)
    preset: str = _auto(
        "recipe",
        "what the other keys of the network are unless they are given",
        choices={"recipe": "by picture size and number of views", "gmnerf": "the field of that weight-space research"},
    )

    def __post_init__(self):
        if self.finest_resolution < self.base_resolution:
            raise ValueError(
                "finest_resolution: {} is below base_resolution {}".format(self.finest_resolution, self.base_resolution)
            )


@dataclass(frozen=True)
class OccupancyConfig:
    """Grid of cells that rays may skip (Müller et al. 2022, appendix E.2)."""

    resolution: int = _auto(128, "cells along an edge of the unit cube", 16, 512)
    interval: int = _auto(16, "steps between two updates", 1, 1024)
    cells_per_update: int = _auto(65536, "cells whose density is evaluated in one update", 256, 1 << 24)
    warmup: int = _auto(64, "steps before the first update takes effect", 0, 100000)
    decay: float = _auto(0.95, "factor on a cell's old density at each visit", 0.0, 1.0)
    memory: int = _auto(1000, "steps after which a cell that no ray has reached is dropped", 1, 1 << 30)
    threshold: float = _auto(0.01, "optical thickness of one march step above which a cell is kept", 0.0, 10.0)


def lattice_resolution(wanted, cells):
    """Points along an edge of a lattice: the least multiple of the occupancy grid's `cells` that is not below `wanted`.

    Each cell of the grid then holds equally many.
    """
    return cells * -(-wanted // cells)


# `train.preset`: how many times the recipe's steps each takes.
LENGTHS = {"draft": 0.25, "standard": 1, "high": 4}


@dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    preset: str = setting(
        "standard",
        "how long the recipe trains",
        choices={
            "draft": "a quarter of the steps",
            "standard": "where the gain per second drops",
            "high": "four times",
        },
    )
    seed: int = _auto(0, "seed of initialisation and of every random draw; `auto`: `project.seed`", 0, LARGEST_SEED)
    steps: int = _auto(4000, "optimiser steps", 1, 10_000_000)
    samples_per_step: int = _auto(1 << 16, "samples a step; the ray count adapts to fill it", 256, 1 << 22)
    march_steps: int = _auto(512, "march steps along the unit cube's diagonal", 16, 8192)
    pixel_jitter: float = _auto(
        1.0,
        "width in pixels of the square in which a pixel's rays lie; `auto`: as the pictures' silhouettes tell",
        0,
        2,
    )
    supersampling: int = _auto(2, "its square is a pixel's number of rays; their mean is compared with it", 1, 2)
    learning_rate: float = _auto(1e-2, "Adam's learning rate after warm-up", 1e-6, 1.0)
    warmup_steps: int = _auto(200, "steps of linear learning-rate warm-up", 0, 100000)
    final_rate: float = _auto(0.02, "learning rate at the end, as a fraction of the first", 0.0, 1.0)
    decay_start: float = _auto(0.6, "fraction of the run after which the rate falls exponentially", 0.0, 1.0)
    beta1: float = _auto(0.9, "Adam's decay of the first moment", 0.0, 0.99)
    beta2: float = _auto(0.99, "Adam's decay of the second moment", 0.9, 0.9999)
    weight_decay: float = _auto(0.0, "L2 regularisation of the MLPs' weights", 0.0, 1.0)
    huber: float = _auto(0.05, "residual at which the loss turns from quadratic to linear", 1e-4, 10.0)
    distortion: float = _auto(0.0, "weight of the loss that pulls the samples of a ray together", 0.0, 10.0)
    network: NetworkConfig = NetworkConfig()
    occupancy: OccupancyConfig = OccupancyConfig()

    def __post_init__(self):
        pixel = self.march_steps * self.supersampling**2
        if self.samples_per_step < pixel:
            raise ValueError(
                "samples_per_step: {} is below {}, march_steps * supersampling^2: no room for a pixel's rays".format(
                    self.samples_per_step, pixel
                )
            )


def default_config(backend, views, pixels, preset="standard"):
    """The recipe for `backend` ('cpu', 'cuda', 'tcnn'), `views` training views of `pixels` pixels a side.

    `preset` is one of LENGTHS.
    What it follows is measured in benchmarks/ablation.csv: a table with an entry a level for some thirty to fifty
    training pixels, finest cells and march steps of about half a pixel, and fewer directions to tell apart where
    few views could teach them. Larger than that, it learns the noise.
    """

    def march_steps(to_a_pixel):
        return int(min(1024, max(256, to_a_pixel * pixels)))

    large = pixels > 200
    network = NetworkConfig(
        table_log2=int(min(21, max(12, round(1.3 * math.log2(views * pixels * pixels) - 11.1)))),
        base_resolution=16 if large else 8,
        finest_resolution=int(min(4096, max(128, 2 * pixels))),
        sh_degree=4 if views >= 50 else 3,
    )
    # What there is to learn grows with the pixels: 9,500 steps for 100 views of 400x400, 38,000 for 800x800.
    steps = max(8000, 9500 * views * pixels**2 / 16e6) if large else 2900
    recipe = TrainConfig(
        preset=preset,
        steps=int(steps * LENGTHS[preset]),
        samples_per_step=1 << (18 if large else 17),
        march_steps=march_steps(2 if large else 3),
        learning_rate=1e-2 if large else 1.5e-2,
        huber=0.05 if large else 0.02,
        distortion=0.1,
        network=network,
        occupancy=OccupancyConfig(resolution=128 if large else 64),
    )
    if backend != "cpu":
        return recipe
    # A sixteenth of the samples, what two cores can do in half a minute, are better spent on more pixels than on more
    # rays of each.
    return dataclasses.replace(
        recipe,
        steps=int(3000 * LENGTHS[preset]),
        samples_per_step=8192,
        supersampling=1,
        pixel_jitter=0.5,
        march_steps=march_steps(2),
        learning_rate=1e-2,
        huber=0.05,
        network=dataclasses.replace(network, levels=12),
    )


def resolve(settings, backend, views, pixels, width=1.0):
    """The TrainConfig of a run: the default recipe with `settings` (the `train` section) put in. Raises UserError.

    `width` is the `pixel_width` of its pictures.
    """
    chosen = given(TrainConfig, settings, "train")
    recipe = default_config(backend, views, pixels, chosen.get("preset", "standard"))
    preset = PRESETS.get(chosen.get("network", {}).get("preset"), {})
    network = dataclasses.replace(recipe.network, **preset)
    recipe = dataclasses.replace(recipe, network=network, pixel_jitter=width * recipe.pixel_jitter)
    return from_mapping(TrainConfig, chosen, "train", recipe)


def from_dict(values):
    """The TrainConfig stored in a model file (see `dataclasses.asdict`). Raises UserError."""
    return from_mapping(TrainConfig, values, "config")
