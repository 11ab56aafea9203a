"""The buffers and captured graphs of a training step, which one run after another can use."""

from __future__ import annotations

import dataclasses
import gc
import math

import torch

from .backends.autograd import stages_of
from .buffers import Clock, Moments, OccupancyGrid, Rays, Samples, TrainingViews
from .field import Field, GridLevels

RAYS_PER_SAMPLE = 1 / 2  # ray buffer's size; more rays than this a sample never pay


class Workspace:
    """What runs with the settings of `config`, on `backend` (a class), read and write.

    The shapes follow from the settings; all that differs from object to object is in tensors, so that the next run
    can use the graphs captured for this one. Only images of another shape have them captured anew.
    """

    def __init__(self, config, backend):
        device, dtype = backend.DEVICE, backend.DTYPE
        self.config = config
        self.step_size = math.sqrt(3) / config.march_steps
        self.field = Field(config.network, dtype, device)
        self.grid = OccupancyGrid(config.occupancy, device)
        self.rays = Rays(int(config.samples_per_step * RAYS_PER_SAMPLE), device, config.supersampling)
        self.samples = Samples(config.samples_per_step, config.network, dtype, device, by_column=backend.BY_COLUMN)
        self.moments, self.clock = Moments(self.field), Clock(config, device)
        self.views = None
        self.backend = stages_of(backend, self.field, config.samples_per_step)

    def fits(self, config):
        """Whether a run with the settings `config` can use this workspace: only the seed may differ."""
        return dataclasses.replace(config, seed=0) == dataclasses.replace(self.config, seed=0)

    def captured_for(self, images):
        """Whether the graphs are for PosedImages of this shape."""
        return self.views is not None and self.views.rgba.shape == images.rgba.shape

    def start(self, images, placement, seed):
        """As before the first step of a run on PosedImages at a Placement: nothing of a former run is left."""
        if not self.captured_for(images):
            self.views = TrainingViews(images.rgba.shape, self.config.pixel_jitter, self.backend.DEVICE)
            self.step = self.backend.capture(self._step)
            self.update_occupancy = self.backend.capture(self._update_occupancy)
        self.views.load(images, placement)
        self.field.start(seed)
        self.grid.start(placement.hull, seed)
        self.clock.start(seed)
        for buffers in (self.rays, self.samples, self.moments):
            buffers.clear()

    def _step(self):
        """One optimiser step: every stage, in order. No autograd."""
        backend, rays, samples, step_size = self.backend, self.rays, self.samples, self.step_size
        backend.draw_rays(self.views, rays, samples, self.clock)
        backend.march(rays, self.grid, samples, step_size)
        backend.encode(samples)
        backend.evaluate(rays, samples, step_size)
        backend.composite_loss(rays, samples, step_size, self.config.huber, self.config.distortion)
        backend.mark_seen(self.views, rays, samples, self.grid, self.clock, step_size)
        backend.evaluate_backward(rays, samples)
        backend.encode_backward(samples)
        backend.optimise(self.moments, self.clock, self.config)

    def _update_occupancy(self):
        """One update of the occupancy grid."""
        self.backend.update_occupancy(self.grid, self.clock, self.step_size)


def buffer_bytes(config, dtype):
    """Bytes of the buffers that training with `config` allocates, the images and the carving of the grid apart."""
    network, pixel = config.network, config.supersampling**2
    table = GridLevels(network).entries * network.features * 16  # parameter, gradient and two moments in float32
    samples = config.samples_per_step * _bytes(Samples(1, network, dtype))
    rays = config.samples_per_step * RAYS_PER_SAMPLE / pixel * _bytes(Rays(pixel, supersampling=config.supersampling))
    cells = config.occupancy.resolution**3 * _bytes(OccupancyGrid(dataclasses.replace(config.occupancy, resolution=1)))
    return int(table + samples + rays + cells)


def _bytes(buffers):
    tensors = [value for value in vars(buffers).values() if isinstance(value, torch.Tensor)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


_kept = None  # the Workspace of the last `workspace_for`


def workspace_for(config, backend):
    """The Workspace of the former call if it fits, else a new one in its place.

    A process that trains one object after another, most of them with the same settings, captures its graphs once.
    The run that used the workspace before has lost it.
    """
    global _kept
    if _kept is None or not isinstance(_kept.backend, backend) or not _kept.fits(config):
        _kept = None
        gc.collect()  # its graphs refer to it: it goes now, since a graphics card may have no room for both
        _kept = Workspace(config, backend)
    return _kept
