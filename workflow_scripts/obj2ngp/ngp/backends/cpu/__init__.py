"""The cpu backend: numba kernels, and torch's matrix products for the MLPs.

Every kernel is parallel over something that no two threads write, so results do not depend on timing.
"""

from __future__ import annotations

import torch

from .. import base
from . import adam, compositing, encoding, mlp, occupancy
from . import rays as ray_kernels


class Backend(base.Backend):
    NAME = "cpu"
    DEVICE = "cpu"
    DTYPE = torch.float32
    LOSS_SCALE = 1.0

    @classmethod
    def unavailable(cls):
        return None  # every machine has a CPU, and numba was imported above

    @classmethod
    def describe(cls):
        return "{} threads".format(torch.get_num_threads())

    def __init__(self, field, capacity, training=True):
        super().__init__(field, capacity, training)
        self.capacity, self.activations = capacity, mlp.Activations(field, capacity, training)

    def draw_rays(self, views, rays, samples, clock):
        ray_kernels.draw_rays(views, rays, samples, clock)

    def march(self, rays, grid, samples, step_size):
        ray_kernels.march(rays, grid, samples, step_size)

    def encode(self, samples):
        encoding.encode(self.field, samples.position, samples.encoding[: samples.used()])

    def evaluate(self, rays, samples, step_size):
        raw = mlp.evaluate_density(self.field, samples, self.activations)
        compositing.list_alive(rays, samples, step_size)
        mlp.evaluate_color(self.field, rays, samples, raw, self.activations)

    def composite(self, rays, samples, step_size):
        compositing.composite(rays, samples, step_size)

    def composite_loss(self, rays, samples, step_size, huber):
        compositing.composite_loss(rays, samples, step_size, huber)

    def mark_seen(self, rays, samples, grid, clock, step_size):
        occupancy.mark_seen(rays, samples, grid, clock, step_size)

    def evaluate_backward(self, rays, samples):
        mlp.evaluate_backward(self.field, samples, self.activations)

    def encode_backward(self, samples):
        encoding.encode_backward(self.field, samples)

    def optimise(self, moments, clock, config):
        adam.optimise(self.field, moments, clock, config)

    def density(self, positions):
        field = self.field
        rows = torch.empty(len(positions), field.network.levels * field.network.features)
        encoding.encode(field, positions, rows)
        outputs = [torch.empty(len(positions), width) for _, width in field.density_shapes]
        return mlp.density_of(mlp.run(rows, field.matrices(field.weights)[0], outputs))

    def update_occupancy(self, grid, clock, step_size):
        limit = min(grid.config.cells_per_update, self.capacity)
        occupancy.update(self.density, limit, grid, clock, step_size)
