"""Backends: modules that implement the stages of a training step over the buffers of `ngp.buffers`.

A backend module has

    DEVICE, DTYPE, LOSS_SCALE          torch device type, arithmetic type of encoding and MLPs, gradient scale
    unavailable() -> str or None       why it cannot run on this machine
    describe() -> str                  the device, for the log
    prepare(field, samples)            allocates the backend's scratch buffers, before the first stage
    capture(stages) -> callable        makes the function `stages` cheap to repeat (a CUDA graph)

and the stages, in the order of a step; each writes the fields named and returns nothing:

    draw_rays(views, rays, samples, clock)          rays.origin .. rays.jitter, rays.active
    march(rays, grid, samples, step_size)           samples.position, t, ray, count; rays.first, count
    encode(field, samples)                          samples.encoding
    evaluate(field, rays, samples, step_size)       samples.density, rgb
    composite(rays, samples, step_size)             rays.color, transmittance, depth
    composite_loss(rays, samples, step_size, huber) the same and rays.loss, samples.d_density, d_rgb
    mark_seen(rays, samples, grid, clock, step_size) grid.seen of the cells that light reaches
    evaluate_backward(field, rays, samples)         samples.d_encoding, field.weight_gradient
    encode_backward(field, samples)                 field.table_gradient
    optimise(field, moments, clock, config)         field's parameters; clears gradients, advances the clock
    update_occupancy(field, grid, samples, clock, step_size)

Random numbers are drawn by hashing (seed, step, index) with `pcg4d` of Jarzynski & Olano, "Hash Functions
for GPU Rendering", JCGT 2020: every backend draws the same rays, and a resumed run goes on where it stopped.
"""

from __future__ import annotations

import importlib

import torch

from obj2ngp.common.files import UserError
from obj2ngp.ngp.settings import BACKENDS

NAMES = tuple(BACKENDS)

# Streams of random numbers: the fourth word that is hashed.
STREAM_PIXEL, STREAM_BACKGROUND, STREAM_CELL = 0, 1, 2

SEEN_DEPTH = 2  # cells behind a ray's end that still count as seen, so that surfaces can move inwards
MIN_TRANSMITTANCE = 1e-4  # a ray ends where less light than this is left
RAYS_PER_SAMPLE_START = 1 / 32  # before the first step tells how many samples a ray takes
BUDGET_FILL = 0.9  # aim below the sample budget, so that few rays find it full


class BackendError(UserError):
    """The backend asked for cannot run here; the message says why."""


def select(name):
    """The module of backend `name`, or the best that runs here for 'auto'. Raises BackendError."""
    if name not in NAMES + ("auto",):
        raise BackendError("unknown backend {!r}; known: auto, {}".format(name, ", ".join(NAMES)))
    reasons = []
    for candidate in NAMES if name == "auto" else (name,):
        try:
            module = importlib.import_module("obj2ngp.ngp.backends." + candidate)
            reason = module.unavailable()
        except ImportError as error:
            reason = str(error)
        if reason is None:
            return module
        reasons.append("{}: {}".format(candidate, reason))
    raise BackendError("backend {} cannot run here ({})".format(name, "; ".join(reasons)))


def name_of(module):
    """The backend's name, as given to `select`."""
    return module.__name__.rsplit(".", 1)[-1]


def rays_to_draw(rays, samples):
    """How many rays, of whole pixels, fill the sample budget, by what those of the last step asked for."""
    active, asked = int(rays.active), int(samples.count)
    if asked > 0:
        wanted = active * BUDGET_FILL * samples.capacity / asked
        wanted = min(2 * active, 0.5 * (active + wanted))
    else:
        wanted = active or samples.capacity * RAYS_PER_SAMPLE_START
    chosen = int(min(rays.capacity, max(64, wanted)))
    return chosen - chosen % rays.supersampling**2


def keep_dense_cells(grid, clock, step_size):
    """Leaves those cells occupied that are dense and that light has reached lately, once the warm-up is over."""
    step = int(clock.step)
    if step < grid.config.warmup:
        return
    index = grid.cells.long()
    density = grid.density[index]
    # At least the densest cell is dense enough: its density is no less than the mean.
    dense = density >= min(grid.config.threshold / step_size, float(density.mean()))
    keep = dense & (grid.seen[index] >= step - grid.config.memory)
    grid.occupied[index] = (keep if bool(keep.any()) else dense).to(torch.uint8)
