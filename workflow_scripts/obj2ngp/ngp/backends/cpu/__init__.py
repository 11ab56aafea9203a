"""The cpu backend: kernels in numba, with BLAS for the MLPs' matrix products.

Threads share out the loops over rays, parts of the samples, or levels; no two turns of a loop write the same, so
results depend neither on timing nor on how many threads there are.
"""

from __future__ import annotations

from . import room  # noqa: F401

# isort: split
import numba
import torch

from ...threads import give_blas_one_thread
from .. import base
from . import adam, compositing, encoding, mlp, occupancy, rendering
from . import rays as ray_kernels
from .compiling import openmp

give_blas_one_thread()  # numba has not loaded SciPy's yet


class Backend(base.Backend):
    NAME = "cpu"
    DEVICE = "cpu"
    DTYPE = torch.float32
    LOSS_SCALE = 1.0
    RENDERED_RAYS = 1 << 16
    RENDERED_SAMPLES = 1 << 13  # of a round: as many as a core's cache holds what the MLPs make of

    @classmethod
    def unavailable(cls):
        return None  # every machine has a CPU, and numba was imported above

    @classmethod
    def describe(cls):
        count = numba.get_num_threads() if openmp() else 1
        return "1 thread" if count == 1 else "{} threads".format(count)

    def __init__(self, field, capacity, training=True):
        super().__init__(field, capacity, training)
        self.capacity, self.activations = capacity, mlp.Activations(field, capacity, training)

    def draw_rays(self, views, rays, samples, clock):
        ray_kernels.draw_rays(views, rays, samples, clock)

    def march(self, rays, grid, samples, step_size):
        ray_kernels.march(rays, grid, samples, step_size)

    def encode(self, samples):
        encoding.encode(self.field, samples)

    def evaluate(self, rays, samples, step_size):
        mlp.evaluate_density(samples, self.activations)
        compositing.list_alive(rays, samples, step_size)
        mlp.evaluate_color(self.field, rays.direction, samples, self.activations)

    def composite(self, rays, samples, step_size):
        compositing.composite(rays, samples, step_size)

    def render(self, rays, grid, samples, step_size):
        rendering.render(self.field, rays, grid, step_size)
        return True

    def composite_loss(self, rays, samples, step_size, huber, distortion):
        compositing.composite_loss(rays, samples, step_size, huber, distortion)
        compositing.draw_lots(rays, samples, self.faint, self.activations.row)

    def mark_seen(self, views, rays, samples, grid, clock, step_size):
        occupancy.mark_seen(views, rays, samples, grid, clock, step_size)

    def evaluate_backward(self, rays, samples):
        mlp.evaluate_backward(self.field, samples, self.activations)

    def encode_backward(self, samples):
        encoding.encode_backward(self.field, samples)

    def optimise(self, moments, clock, config):
        adam.optimise(self.field, moments, clock, config)

    def density(self, positions):
        return mlp.density_at(self.field, positions)

    def update_occupancy(self, grid, clock, step_size):
        limit = min(grid.config.cells_per_update, self.capacity)
        occupancy.update(self.density, limit, grid, clock, step_size)
