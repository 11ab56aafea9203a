"""The tcnn backend: the CUDA extensions of ngp_pl behind the stages of `ngp.backends.base`.

The hash grid is a tiny-cuda-nn Encoding that shares the field's table, the MLPs are Networks whose padded,
transposed parameters are copied from the field's weights before each evaluation. `encode` and `evaluate` each
leave an autograd graph, which `encode_backward` and `evaluate_backward` run with the gradients in `samples`; no
graph spans two stages. vren finds the samples and composites them, torch-scatter sums the optical thickness of a
ray, and apex's FusedAdam, or torch's Adam, steps the field's own parameters. Models are therefore the same as
those of the other backends. The one difference: at the cube's border, where vertices are clamped there,
tiny-cuda-nn's indices wrap around.

tiny-cuda-nn casts its own half-precision copies of the parameters at every call.
"""

from __future__ import annotations

import importlib
import importlib.util

import torch

from .. import base

ENVIRONMENT = "envs/ngp-cu111.yaml"


def _require(name):
    """Imports a package. Raises ImportError saying how to get it."""
    if importlib.util.find_spec(name) is None:
        raise ImportError("the package {} is not installed; {} has it".format(name, ENVIRONMENT))
    try:
        importlib.import_module(name)
    except (ImportError, OSError, NameError) as error:  # NameError: tiny-cuda-nn built for another GPU
        message = "the package {} does not load ({}); {} builds it".format(name, error, ENVIRONMENT)
        raise ImportError(message) from error


for package in ("tinycudann", "vren", "torch_scatter"):  # apex may be missing
    _require(package)

from . import optimiser  # noqa: E402
from . import rays as ray_stages  # noqa: E402
from .networks import Networks  # noqa: E402
from .occupancy import update as update_grid  # noqa: E402


class Backend(base.Backend):
    NAME = "tcnn"
    DEVICE = "cuda"
    DTYPE = torch.float16
    ENCODES_ANY_TABLE = False
    LOSS_SCALE = 4096.0  # half precision holds gradients of single samples times this, and their sums over a batch

    @classmethod
    def unavailable(cls):
        if cls.DEVICE == "cuda" and not torch.cuda.is_available():
            return "torch {} finds no CUDA device".format(torch.__version__)
        return None

    @classmethod
    def describe(cls):
        return "{}, {} Adam".format(torch.cuda.get_device_name(), "apex's" if optimiser.FUSED else "torch's")

    def __init__(self, field, capacity, training=True):
        super().__init__(field, capacity, training)
        self.capacity, self.networks = capacity, Networks(field, training)
        self.every_sample = torch.arange(capacity, dtype=torch.int32, device=field.device)

    def draw_rays(self, views, rays, samples, clock):
        ray_stages.draw_rays(views, rays, samples, clock)

    def march(self, rays, grid, samples, step_size):
        ray_stages.march(rays, grid, samples, step_size)

    def encode(self, samples):
        self.networks.encode(samples)

    def evaluate(self, rays, samples, step_size):
        self.networks.evaluate(rays, samples)

    def composite(self, rays, samples, step_size):
        ray_stages.composite(rays, samples, step_size)

    def composite_loss(self, rays, samples, step_size, huber, distortion):
        ray_stages.composite_loss(rays, samples, step_size, huber, distortion, self.LOSS_SCALE)
        # The graphs span all samples; those behind a ray's end have no gradient.
        samples.alive.copy_(self.every_sample)
        samples.alive_count.copy_(samples.count.clamp(max=samples.capacity))

    def mark_seen(self, views, rays, samples, grid, clock, step_size):
        ray_stages.mark_seen(views, rays, samples, grid, clock, step_size)

    def evaluate_backward(self, rays, samples):
        self.networks.evaluate_backward(samples)

    def encode_backward(self, samples):
        self.networks.encode_backward(samples)

    def optimise(self, moments, clock, config):
        optimiser.optimise(self.field, moments, clock, config, self.LOSS_SCALE)

    def density(self, positions):
        return self.networks.density_at(positions)

    def update_occupancy(self, grid, clock, step_size):
        limit = min(grid.config.cells_per_update, self.capacity)
        update_grid(self.density, limit, grid, clock, step_size)
