"""Training: a run of many steps in a workspace."""

from __future__ import annotations

import math
import time

import torch

from obj2ngp.common.files import UserError

from .light import residuals
from .placement import place
from .workspace import Workspace

REPORT_STEPS = 100  # steps between two rows of the log
HIDDEN_STEPS = 1000  # at the end, cells that no light has reached for as long are dropped from the grid


class TrainingError(UserError):
    """Training that cannot go on; the message says why."""


class TrainingRun:
    """One object's training in a workspace, which is this run's until the next one takes it.

    images     PosedImages to train on
    config     TrainConfig
    workspace  Workspace for these settings; ValueError if it is for others
    Raises PlacementError if the views have no point in common.
    """

    def __init__(self, images, config, workspace):
        if not workspace.fits(config):
            raise ValueError("the workspace is for other settings")
        self.config, self.workspace = config, workspace
        self.placement = place(images, config.occupancy.resolution, workspace.backend.DEVICE)
        self.seconds = 0.0
        workspace.start(images, self.placement, config.seed)

    @classmethod
    def alone(cls, images, config, backend):
        """A run in a workspace of its own, on `backend` (a class)."""
        return cls(images, config, Workspace(config, backend))

    def state(self):
        """Every tensor that decides how the run goes on, by name: what a checkpoint holds."""
        space = self.workspace
        return {
            "table": space.field.table,
            "weights": space.field.weights,
            "table_first": space.moments.table_first,
            "table_second": space.moments.table_second,
            "weights_first": space.moments.weights_first,
            "weights_second": space.moments.weights_second,
            "skipped": space.moments.skipped,
            "density": space.grid.density,
            "occupied": space.grid.occupied,
            "seen": space.grid.seen,
            "reach": space.views.reach,
            "cursor": space.grid.cursor,
            "step": space.clock.step,
            "active": space.rays.active,
            "count": space.samples.count,
        }

    def restore(self, state, seconds):
        """Puts the tensors of `state()` back."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
        field = self.workspace.field
        field.load(field.table, field.weights)
        self.seconds = seconds

    def drop_hidden(self):
        """Leaves in the grid only what light has reached lately: rendering needs no more, and is faster for it."""
        grid = self.workspace.grid
        recent = grid.seen > int(self.workspace.clock.step) - HIDDEN_STEPS
        grid.occupied &= recent.to(torch.uint8)

    def record(self):
        """The log's row for the last step. Asks the device, so it is not for every step.

        Raises TrainingError if the loss or a weight is no number.
        """
        rays, clock = self.workspace.rays, self.workspace.clock
        step, active = int(clock.step), int(rays.active)
        pixel_rays = self.config.supersampling**2
        whole = (rays.count[:active].view(-1, pixel_rays) >= 0).all(1)
        loss = float(rays.loss[:active].view(-1, pixel_rays)[whole].mean())
        if not math.isfinite(loss) or not bool(torch.isfinite(self.workspace.field.weights).all()):
            raise TrainingError("the loss is no longer a number after step {}".format(step))
        error = residuals(rays)[whole].pow(2).mean()
        return {
            "step": step,
            "seconds": round(self.seconds, 3),
            "loss": loss,
            "psnr": -10 * math.log10(max(float(error), 1e-10)),
            "samples": int(self.workspace.samples.count),
            "rays": active,
            "learning_rate": float(clock.learning_rate[min(step, self.config.steps) - 1]),
        }


def warm_up(images, config, workspace):
    """Compile the kernels of `workspace` and capture its graphs for PosedImages, where a run would have to begin so."""
    if not workspace.captured_for(images):
        TrainingRun(images, config, workspace)
        for _ in range(2):  # the first compiles, the second captures
            workspace.step()
            workspace.update_occupancy()


def steps(run):
    """Trains `run` until its configured step; yields the log's row every REPORT_STEPS steps and at the end.

    Between two rows the run stands still, and can be saved, judged or left; `seconds` counts only training. Once
    all rows are taken, the field and the grid of its workspace hold the result. Raises TrainingError.
    """
    space, config = run.workspace, run.config
    begin = time.perf_counter()
    for done in range(int(space.clock.step) + 1, config.steps + 1):
        space.step()
        if done % config.occupancy.interval == 0:
            space.update_occupancy()
        if done % REPORT_STEPS == 0 or done == config.steps:
            record = run.record()  # waits for the device
            run.seconds += time.perf_counter() - begin
            yield {**record, "seconds": round(run.seconds, 3)}
            begin = time.perf_counter()
    run.drop_hidden()
