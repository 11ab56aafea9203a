"""The training step and the training loop, one for all backends."""

from __future__ import annotations

import math
import time

import torch

from obj2ngp.common.files import UserError

from .buffers import Clock, Moments, OccupancyGrid, Rays, Samples, TrainingViews
from .field import Field
from .hull import drawable_pixels, fit_unit_cube, visual_hull

RAYS_PER_SAMPLE = 1 / 2  # ray buffer's size; more rays than this a sample never pay
REPORT_STEPS = 100  # steps between two rows of the log
HIDDEN_STEPS = 1000  # at the end, cells that no light has reached for as long are dropped from the grid


class TrainingError(UserError):
    """Training that cannot go on; the message says why."""


def train_step(backend, run):
    """One optimiser step: every stage, in order, over the buffers of `run`. No autograd."""
    backend.draw_rays(run.views, run.rays, run.samples, run.clock)
    backend.march(run.rays, run.grid, run.samples, run.step_size)
    backend.encode(run.field, run.samples)
    backend.evaluate(run.field, run.rays, run.samples, run.step_size)
    backend.composite_loss(run.rays, run.samples, run.step_size, run.config.huber)
    backend.mark_seen(run.rays, run.samples, run.grid, run.clock, run.step_size)
    backend.evaluate_backward(run.field, run.rays, run.samples)
    backend.encode_backward(run.field, run.samples)
    backend.optimise(run.field, run.moments, run.clock, run.config)


class TrainingRun:
    """All that one run holds: the field, the grid, the buffers and the clock.

    images   PosedImages to train on
    config   TrainConfig
    backend  a backend module
    """

    def __init__(self, images, config, backend):
        device = backend.DEVICE
        self.config, self.backend = config, backend
        if images.scale is None:
            self.scale, self.offset = fit_unit_cube(images)
        else:
            self.scale = images.scale
            self.offset = torch.full((3,), 0.5) if images.offset is None else torch.as_tensor(images.offset)
        hull = visual_hull(images, config.occupancy.resolution, self.scale, self.offset, device)
        if not bool(hull.any()):
            raise TrainingError("no point of space is inside every view's silhouette: wrong poses, or empty images")
        distance = (torch.as_tensor(images.pose[:, :, 3]) * self.scale + self.offset - 0.5).norm(dim=1).min()
        cell_pixels = images.focal * math.sqrt(3) / config.occupancy.resolution / max(0.5, float(distance) - 0.5)
        pixels = drawable_pixels(images, cell_pixels + 1)
        self.views = TrainingViews(images, pixels, self.scale, self.offset, device, config.pixel_jitter)
        self.step_size = math.sqrt(3) / config.march_steps
        self.field = Field(config.network, config.seed, backend.DTYPE, device)
        self.grid = OccupancyGrid(config.occupancy, hull, device, config.seed)
        self.rays = Rays(int(config.samples_per_step * RAYS_PER_SAMPLE), device, config.supersampling)
        self.samples = Samples(config.samples_per_step, config.network, backend.DTYPE, device)
        self.moments = Moments(self.field)
        self.clock = Clock(config, device)
        self.seconds = 0.0
        backend.prepare(self.field, self.samples)

    def state(self):
        """Every tensor that decides how the run goes on, by name: what a checkpoint holds."""
        return {
            "table": self.field.table,
            "weights": self.field.weights,
            "table_first": self.moments.table[0],
            "table_second": self.moments.table[1],
            "weights_first": self.moments.weights[0],
            "weights_second": self.moments.weights[1],
            "skipped": self.moments.skipped,
            "density": self.grid.density,
            "occupied": self.grid.occupied,
            "seen": self.grid.seen,
            "cursor": self.grid.cursor,
            "step": self.clock.step,
            "active": self.rays.active,
            "count": self.samples.count,
        }

    def restore(self, state, seconds):
        """Puts the tensors of `state()` back."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
        self.field.load(self.field.table, self.field.weights)
        self.seconds = seconds

    def drop_hidden(self):
        """Leaves in the grid only what light has reached lately: rendering needs no more, and is faster for it."""
        recent = self.grid.seen > int(self.clock.step) - HIDDEN_STEPS
        self.grid.occupied &= recent.to(torch.uint8)

    def record(self):
        """The log's row for the last step. Asks the device, so it is not for every step."""
        step, active = int(self.clock.step), int(self.rays.active)
        pixel_rays = self.config.supersampling**2
        whole = (self.rays.count[:active].view(-1, pixel_rays) >= 0).all(1)
        loss = float(self.rays.loss[:active].view(-1, pixel_rays)[whole].mean())
        residual = (self.rays.color - self.rays.target)[:active].view(-1, pixel_rays, 3).mean(1)
        error = residual[whole].pow(2).mean()
        rate = float(self.clock.learning_rate[min(step, self.config.steps) - 1])
        psnr = -10 * math.log10(max(float(error), 1e-10))
        return {
            "step": step,
            "seconds": round(self.seconds, 3),
            "loss": loss,
            "psnr": psnr,
            "samples": int(self.samples.count),
            "rays": active,
            "learning_rate": rate,
        }


def train(run, report=lambda record: None, checkpoint=lambda run: None):
    """Trains until the configured step; the field and the grid of `run` hold the result.

    report      called with a row of the log every REPORT_STEPS steps and at the end
    checkpoint  called as often, to save the run if it is time
    Raises TrainingError if the loss is no longer a number.
    """
    config, backend = run.config, run.backend
    step = backend.capture(lambda: train_step(backend, run))
    update = backend.capture(
        lambda: backend.update_occupancy(run.field, run.grid, run.samples, run.clock, run.step_size)
    )
    begin = time.perf_counter() - run.seconds
    for done in range(int(run.clock.step) + 1, config.steps + 1):
        step()
        if done % config.occupancy.interval == 0:
            update()
        if done % REPORT_STEPS == 0 or done == config.steps:
            record = run.record()
            run.seconds = record["seconds"] = round(time.perf_counter() - begin, 3)
            if not math.isfinite(record["loss"]) or not bool(torch.isfinite(run.field.weights).all()):
                raise TrainingError("the loss is no longer a number after step {}".format(done))
            report(record)
            checkpoint(run)
    run.drop_hidden()
