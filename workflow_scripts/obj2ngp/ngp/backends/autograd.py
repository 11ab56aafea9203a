"""Stages of a step for networks that a backend has no stages for: PyTorch's autograd supplies the backward pass.

Slower than stages written by hand, and never captured; rays, compositing and the optimiser stay the backend's own.
"""

from __future__ import annotations

import functools

import torch

from obj2ngp.ngp.config import NetworkConfig
from obj2ngp.ngp.field import MAX_LOG_DENSITY, Field
from obj2ngp.ngp.networks import HASH, written_by_hand

from .base import Backend

# What the backend is told that its field is, so that it allocates next to nothing for networks of its own.
LEAST = NetworkConfig(
    levels=1,
    features=1,
    table_log2=8,
    base_resolution=2,
    finest_resolution=2,
    density_width=16,
    geometry_features=1,
    color_width=16,
    color_layers=1,
    sh_degree=1,
)


def stages_of(backend, field, capacity, training=True):
    """The stages of `backend` (a class) for a Field: its own if it has them for the network, else autograd's.

    The arguments are those of the class. Raises BackendError for a network that the backend cannot run.
    """
    kind = backend if written_by_hand(field.network) else with_autograd(backend)
    return kind(field, capacity, training)


@functools.lru_cache(maxsize=None)
def with_autograd(backend):
    """A subclass of `backend` with these stages."""
    return type("Autograd", (AutogradStages, backend), {})


class AutogradStages:
    """The stages that evaluate a field, for a subclass of a backend; see `base.Backend`."""

    def __init__(self, field, capacity, training=True):
        super().__init__(Field(LEAST, field.dtype, field.device), capacity, training)
        self.field, self.training = field, training
        self.encodes_itself = field.network.encoding == HASH and self.ENCODES_ANY_TABLE
        self.encoded = self.evaluated = None

    def capture(self, stages):
        return stages  # shapes follow the number of samples

    def encode(self, samples):
        if self.encodes_itself:
            super().encode(samples)
            return
        n = samples.used()
        with torch.set_grad_enabled(self.training):
            table = self.field.table.detach().requires_grad_(self.training)
            encoding = self.field.encoding(table, samples.position[:n])
        samples.encoding[:n] = encoding.detach()
        self.encoded = table, encoding

    def evaluate(self, rays, samples, step_size):
        n = samples.used()
        with torch.set_grad_enabled(self.training):
            weights = self.field.weights.detach().requires_grad_(self.training)
            encoding = samples.encoding[:n].float().detach().requires_grad_(self.training)
            log_density, rgb = self.field.head(weights, encoding, rays.direction[samples.ray[:n].long()])
        samples.density[:n] = log_density.detach().clamp(max=MAX_LOG_DENSITY).exp()
        samples.rgb[:n] = rgb.detach()
        samples.alive[:n] = torch.arange(n, dtype=torch.int32, device=samples.alive.device)
        samples.alive_count.fill_(n)
        self.evaluated = weights, encoding, log_density, rgb

    def render(self, rays, grid, samples, step_size):
        return Backend.render(self, rays, grid, samples, step_size)

    def evaluate_backward(self, rays, samples):
        weights, encoding, log_density, rgb = self.evaluated
        alive = samples.alive[: int(samples.alive_count)].long()
        d_density, d_rgb = torch.zeros_like(log_density), torch.zeros_like(rgb)
        d_density[alive] = (samples.d_density * samples.density)[alive]
        d_rgb[alive] = samples.d_rgb[alive]
        gradients = torch.autograd.grad([log_density, rgb], [weights, encoding], [d_density, d_rgb])
        self.field.weight_gradient += gradients[0]
        samples.d_encoding[: len(alive)] = gradients[1][alive].to(samples.d_encoding.dtype)
        self.evaluated = None

    def encode_backward(self, samples):
        if self.encodes_itself:
            super().encode_backward(samples)
            return
        table, encoding = self.encoded
        if encoding.requires_grad:
            count = int(samples.alive_count)
            d_encoding = torch.zeros_like(encoding)
            d_encoding[samples.alive[:count].long()] = samples.d_encoding[:count].float()
            (gradient,) = torch.autograd.grad(encoding, table, d_encoding)
            self.field.table_gradient += gradient.to(self.field.table_gradient.dtype)
        self.encoded = None

    def density(self, positions):
        field = self.field
        with torch.no_grad():
            directions = torch.zeros_like(positions)
            log_density, _ = field.head(field.weights, field.encoding(field.table, positions), directions)
        return log_density.clamp(max=MAX_LOG_DENSITY).exp()

    def _density(self, positions, count):
        density = positions.new_zeros(len(positions))
        known = density[: int(count)]
        known[:] = self.density(positions[: len(known)])
        return density
