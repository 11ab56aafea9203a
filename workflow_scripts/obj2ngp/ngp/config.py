"""Settings of the trainer: what the `train` section of the workflow's configuration may hold.

Every setting has a concrete value in the dataclasses below. A setting that is absent, or that reads
`auto`, takes the default recipe's value for the backend, the image size and the number of views.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

from obj2ngp.common.files import UserError

METHOD = 3  # raised by hand when the same settings give other models than before, the recipe's settings included


class ConfigError(UserError):
    """A setting that is unknown, of the wrong type, or out of range; the message names its path."""


def setting(default, low, high, doc):
    """A dataclass field whose value must lie in [low, high]; `doc` is its one-line meaning."""
    return field(default=default, metadata={"low": low, "high": high, "doc": doc})


@dataclass(frozen=True)
class NetworkConfig:
    """Multiresolution hash encoding and the two MLPs (Müller et al. 2022, section 3 and 5.4)."""

    levels: int = setting(16, 1, 32, "resolution levels of the hash encoding")
    features: int = setting(2, 1, 8, "features an entry of the hash table")
    table_log2: int = setting(15, 8, 24, "log2 of the entries of a level's hash table")
    base_resolution: int = setting(16, 2, 512, "vertices along an edge of the coarsest level")
    finest_resolution: int = setting(1024, 2, 65536, "vertices along an edge of the finest level")
    density_width: int = setting(64, 8, 256, "width of the density MLP's hidden layers")
    density_layers: int = setting(1, 1, 8, "hidden layers of the density MLP")
    geometry_features: int = setting(16, 1, 64, "outputs of the density MLP; the first is log density")
    color_width: int = setting(64, 8, 256, "width of the colour MLP's hidden layers")
    color_layers: int = setting(2, 1, 8, "hidden layers of the colour MLP")
    sh_degree: int = setting(4, 1, 4, "spherical-harmonics bands of the view direction (1: no view dependence)")


@dataclass(frozen=True)
class OccupancyConfig:
    """Grid of cells that rays may skip (Müller et al. 2022, appendix E.2)."""

    resolution: int = setting(128, 16, 512, "cells along an edge of the unit cube")
    interval: int = setting(16, 1, 1024, "steps between two updates")
    cells_per_update: int = setting(65536, 256, 1 << 24, "cells whose density is evaluated in one update")
    warmup: int = setting(64, 0, 100000, "steps before the first update takes effect")
    decay: float = setting(0.95, 0.0, 1.0, "factor on a cell's old density at each visit")
    memory: int = setting(256, 1, 1 << 30, "steps after which a cell that no ray has reached is dropped")
    threshold: float = setting(0.01, 0.0, 10.0, "optical thickness of one march step above which a cell is kept")


@dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    seed: int = setting(0, 0, 2**31 - 1, "seed of initialisation and of every random draw")
    steps: int = setting(4000, 1, 10_000_000, "optimiser steps")
    samples_per_step: int = setting(1 << 16, 256, 1 << 22, "samples a step; the ray count adapts to fill it")
    march_steps: int = setting(512, 16, 8192, "march steps along the unit cube's diagonal")
    pixel_jitter: float = setting(1.0, 0.0, 2.0, "width in pixels of the square in which a pixel's rays lie")
    supersampling: int = setting(2, 1, 2, "rays along each edge of that square; their mean is compared with the pixel")
    learning_rate: float = setting(1e-2, 1e-6, 1.0, "Adam's learning rate after warm-up")
    warmup_steps: int = setting(200, 0, 100000, "steps of linear learning-rate warm-up")
    final_rate: float = setting(0.02, 0.0, 1.0, "learning rate at the end, as a fraction of the first")
    decay_start: float = setting(0.6, 0.0, 1.0, "fraction of the run after which the rate falls exponentially")
    beta1: float = setting(0.9, 0.0, 1.0, "Adam's decay of the first moment")
    beta2: float = setting(0.99, 0.0, 1.0, "Adam's decay of the second moment")
    weight_decay: float = setting(0.0, 0.0, 1.0, "L2 regularisation of the MLPs' weights")
    huber: float = setting(0.05, 1e-4, 10.0, "residual at which the loss turns from quadratic to linear")
    network: NetworkConfig = NetworkConfig()
    occupancy: OccupancyConfig = OccupancyConfig()


def default_config(backend, views, pixels):
    """The recipe for `backend` ('cpu', 'cuda', 'tcnn'), `views` training views of `pixels` pixels a side.

    What it follows is measured in benchmarks/ablation.csv: a table with an entry a level for some thirty to fifty
    training pixels, finest cells and march steps of about half a pixel, and fewer directions to tell apart where
    few views could teach them. Larger than that, it learns the noise.
    """
    large = pixels > 200
    network = NetworkConfig(
        table_log2=int(min(21, max(12, round(1.3 * math.log2(views * pixels * pixels) - 11.1)))),
        base_resolution=16 if large else 8,
        finest_resolution=int(min(4096, max(128, 2 * pixels))),
        sh_degree=4 if views >= 50 else 3,
    )
    recipe = TrainConfig(
        steps=10000 if large else 3000,
        samples_per_step=1 << (18 if large else 17),
        march_steps=int(min(1024, max(256, 2 * pixels))),
        network=network,
        occupancy=OccupancyConfig(resolution=128 if large else 64),
    )
    if backend != "cpu":
        return recipe
    # A tenth of the samples, what two cores can do in a minute, are better spent on more pixels than on more rays
    # of each.
    return dataclasses.replace(
        recipe,
        steps=1500,
        samples_per_step=24576,
        supersampling=1,
        pixel_jitter=0.5,
        network=dataclasses.replace(network, levels=12),
    )


def apply_settings(defaults, settings, path="train"):
    """`defaults` (a dataclass) with the values of the mapping `settings` put in.

    Raises ConfigError naming the setting's path if it is unknown, ill-typed or out of range.
    """
    fields = {f.name: f for f in dataclasses.fields(defaults)}
    changes = {}
    for key, value in settings.items():
        where = path + "." + key
        if key not in fields:
            raise ConfigError("{}: unknown setting; known here: {}".format(where, ", ".join(fields)))
        default = getattr(defaults, key)
        if dataclasses.is_dataclass(default):
            if not isinstance(value, dict):
                raise ConfigError("{}: expected a mapping, got {!r}".format(where, value))
            changes[key] = apply_settings(default, value, where)
        elif value != "auto":
            changes[key] = _checked(where, value, type(default), fields[key].metadata)
    return dataclasses.replace(defaults, **changes)


def resolve(settings, backend, views, pixels):
    """The TrainConfig of a run: the default recipe with `settings` (the `train` section) put in."""
    config = apply_settings(default_config(backend, views, pixels), settings)
    net = config.network
    if net.finest_resolution < net.base_resolution:
        raise ConfigError(
            "train.network.finest_resolution: {} is below base_resolution {}".format(
                net.finest_resolution, net.base_resolution
            )
        )
    return config


def from_dict(values):
    """The TrainConfig stored in a model file (see `dataclasses.asdict`)."""
    return apply_settings(TrainConfig(), values, "model file")


def _checked(where, value, kind, limits):
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or (kind is int and value != int(value)):
        raise ConfigError("{}: expected {}, got {!r}".format(where, "an integer" if kind is int else "a number", value))
    if not limits["low"] <= value <= limits["high"]:
        raise ConfigError("{}: {} is outside [{}, {}]".format(where, value, limits["low"], limits["high"]))
    return kind(value)
