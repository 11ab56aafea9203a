"""The cuda backend: Triton kernels that never wait for the host.

Every shape is fixed and every count stays on the device, so that a step is captured in a CUDA graph once and
then replayed. Backward stages work on the list of samples in front of their ray's termination, which
`composite_loss` makes; row j of samples.d_encoding belongs to sample alive[j].

With TRITON_INTERPRET=1 the kernels run in Triton's interpreter, on the CPU: for tests, not for training.
"""

from __future__ import annotations

import math

import torch
import triton
from triton.runtime.errors import OutOfResources

from .. import SEEN_DEPTH
from . import adam, compositing, encoding, mlp, occupancy, wide
from . import rays as ray_kernels

INTERPRETED = triton.knobs.runtime.interpret
DEVICE = "cpu" if INTERPRETED else "cuda"
DTYPE = torch.float16
# The loss is a mean over rays: its gradient at one sample is about 1e-6, below what fp16 resolves. Scaled by this,
# one of 10^4 rays pulls with up to 0.5 a channel, and all rays together, on one table entry, still stay finite.
LOSS_SCALE = 2.0**14

BLOCK = 256  # of kernels with one element a lane
ENCODING_BLOCK = 128
# Lanes of a program of the encoding's backward stage, and samples that each walks along. With as many lanes as
# threads, a thread holds a whole table entry; with fewer its features would be added one by one.
SCATTER_LANES, SCATTER_RUN = 128, 8
MARCH_RAYS, MARCH_STEPS = 4, 64  # tile of rays and steps of a marching program
TRACE_RAYS, TRACE_STEPS = 4, 32  # tile of rays and samples of a compositing program
RAY_PROGRAMS = 8  # programs a multiprocessor that share out the rays
MLP_BLOCK, MLP_BACKWARD_BLOCK = 128, 64  # samples of a program
MLP_PROGRAMS = 2  # programs a multiprocessor
ADAM_BLOCK = 512


def unavailable():
    """Why no GPU can be used, or None."""
    if INTERPRETED:
        return None
    if not torch.cuda.is_available():
        return "no CUDA device" if torch.version.cuda or torch.version.hip else "this PyTorch is built without CUDA"
    major, minor = torch.cuda.get_device_capability()
    if torch.version.cuda and (major, minor) < (7, 5):
        return "{} has compute capability {}.{}, 7.5 is needed".format(torch.cuda.get_device_name(), major, minor)
    return None


def describe():
    return "Triton's interpreter" if INTERPRETED else torch.cuda.get_device_name()


def capture(stages):
    """A function that does what `stages` does, by replaying a CUDA graph of it.

    Its first call runs `stages` itself, which compiles the kernels; the second records and replays. Every call
    has the effect of exactly one call of `stages`.
    """
    if INTERPRETED:
        return stages
    calls, graph = 0, torch.cuda.CUDAGraph()

    def repeat():
        nonlocal calls
        calls += 1
        if calls == 1:
            stages()
            return
        if calls == 2:
            torch.cuda.synchronize()
            with torch.cuda.stream(torch.cuda.Stream()):  # torch.cuda.graph would also run the garbage collector
                graph.capture_begin()
                stages()
                graph.capture_end()
        graph.replay()

    return repeat


class Scratch:
    """What the stages keep on the device, and how the MLPs are run.

    alive           (S,) int32: the samples in front of their ray's termination    alive_count  (1,) int32
    density_sum, any_kept  (1,): of the occupancy update in progress
    unlimited       (1,) int32: a count that leaves the buffer's capacity as the limit
    """

    def __init__(self, field, capacity):
        zeros = lambda n, dtype=torch.int32: torch.zeros(n, dtype=dtype, device=field.device)  # noqa: E731
        network = field.network
        self.alive, self.alive_count = zeros(capacity), zeros(1)
        self.density_sum, self.any_kept = zeros(1, torch.float32), zeros(1)
        self.unlimited = torch.full_like(self.alive_count, 2**31 - 1)
        device = None if INTERPRETED else torch.cuda.get_device_properties(field.device)
        self.backward_warps = mlp.backward_warps(network)
        # Triton multiplies matrices on the tensor cores from 8.0 on; before that, torch does it better.
        tensor_cores = device is None or not torch.version.cuda or device.major >= 8
        self.fused = self.backward_warps is not None and tensor_cores
        self.processors = 1 if device is None else device.multi_processor_count
        self.network = dict(
            INPUTS=network.levels * network.features,
            WIDTH=network.density_width,
            LAYERS=network.density_layers,
            GEOMETRY=network.geometry_features,
            COLOR_WIDTH=network.color_width,
            COLOR_LAYERS=network.color_layers,
            DEGREE=network.sh_degree,
        )


def prepare(field, samples):
    samples.scratch = Scratch(field, samples.capacity)


def _programs(n, block):
    return (triton.cdiv(n, block),)


def _ray_programs(rays, samples, block):
    return (min(RAY_PROGRAMS * samples.scratch.processors, triton.cdiv(rays.capacity, block)),)


def _mlp_programs(samples, n, block):
    return (min(MLP_PROGRAMS * samples.scratch.processors, triton.cdiv(n, block)),)


def draw_rays(views, rays, samples, clock):
    ray_kernels.adapt_ray_count[(1,)](
        rays.active, samples.count, rays.capacity, samples.capacity, rays.supersampling**2
    )
    ray_kernels.draw_rays[_programs(rays.capacity, BLOCK)](
        rays.active,
        clock.step,
        views.pixels,
        views.rgba,
        views.pose,
        views.offset,
        len(views.pixels),
        clock.seed,
        views.rgba.shape[1],
        views.rgba.shape[2],
        views.focal,
        *views.center,
        views.jitter,
        views.scale,
        rays.origin,
        rays.direction,
        rays.background,
        rays.target,
        rays.jitter,
        rays.supersampling,
        BLOCK,
    )


def march(rays, grid, samples, step_size):
    samples.count.zero_()
    ray_kernels.march[_ray_programs(rays, samples, MARCH_RAYS)](
        rays.active,
        rays.origin,
        rays.direction,
        rays.jitter,
        grid.occupied,
        grid.resolution,
        step_size,
        rays.capacity,
        samples.capacity,
        rays.first,
        rays.count,
        samples.count,
        samples.position,
        samples.t,
        samples.ray,
        MARCH_RAYS,
        MARCH_STEPS,
    )


def _levels(field):
    levels = field.levels
    return levels.scale, levels.resolution, levels.offset, levels.hashed


def _features(field):
    features = field.network.features
    return field.network.levels, features, triton.next_power_of_2(features)


def _encode(field, samples, count, capacity):
    encoding.encode[(triton.cdiv(capacity, ENCODING_BLOCK), field.network.levels)](
        samples.position,
        count,
        field.compute_table,
        *_levels(field),
        samples.encoding,
        capacity,
        *_features(field),
        ENCODING_BLOCK,
    )


def encode(field, samples):
    _encode(field, samples, samples.count, samples.capacity)


def _evaluate(field, rays, samples, count, capacity, color):
    scratch = samples.scratch
    mlp.evaluate[_mlp_programs(samples, capacity, MLP_BLOCK)](
        samples.encoding,
        samples.ray,
        rays.direction if color else samples.position,
        field.compute_weights,
        count,
        capacity,
        samples.density,
        samples.rgb,
        color,
        **scratch.network,
        BLOCK=MLP_BLOCK,
    )


def evaluate(field, rays, samples, step_size):
    if samples.scratch.fused:
        _evaluate(field, rays, samples, samples.count, samples.capacity, True)
    else:
        wide.evaluate(field, rays, samples)


def composite(rays, samples, step_size):
    compositing.composite[_ray_programs(rays, samples, TRACE_RAYS)](
        rays.active,
        rays.first,
        rays.count,
        samples.density,
        samples.rgb,
        samples.t,
        rays.background,
        step_size,
        rays.color,
        rays.transmittance,
        rays.depth,
        TRACE_RAYS,
        TRACE_STEPS,
    )


def composite_loss(rays, samples, step_size, huber):
    scratch = samples.scratch
    scratch.alive_count.zero_()
    compositing.composite_loss[_ray_programs(rays, samples, TRACE_RAYS)](
        rays.active,
        rays.first,
        rays.count,
        samples.density,
        samples.rgb,
        samples.t,
        rays.background,
        rays.target,
        step_size,
        huber,
        LOSS_SCALE,
        rays.color,
        rays.transmittance,
        rays.depth,
        rays.loss,
        samples.d_density,
        samples.d_rgb,
        scratch.alive,
        scratch.alive_count,
        rays.supersampling**2,
        TRACE_RAYS,
        TRACE_STEPS,
    )


def mark_seen(rays, samples, grid, clock, step_size):
    behind = math.ceil(SEEN_DEPTH / grid.resolution / step_size)
    occupancy.mark_seen[_ray_programs(rays, samples, TRACE_RAYS)](
        rays.active,
        rays.first,
        rays.count,
        samples.density,
        samples.position,
        clock.step,
        grid.seen,
        step_size,
        behind,
        grid.resolution,
        TRACE_RAYS,
        TRACE_STEPS,
    )


def evaluate_backward(field, rays, samples):
    scratch = samples.scratch
    if scratch.fused:
        try:
            mlp.evaluate_backward[_mlp_programs(samples, samples.capacity, MLP_BACKWARD_BLOCK)](
                samples.encoding,
                samples.ray,
                rays.direction,
                field.compute_weights,
                scratch.alive,
                scratch.alive_count,
                samples.d_density,
                samples.d_rgb,
                samples.d_encoding,
                field.weight_gradient,
                **scratch.network,
                BLOCK=MLP_BACKWARD_BLOCK,
                num_stages=1,
                num_warps=scratch.backward_warps,
            )
            return
        except OutOfResources:
            scratch.fused = False  # the first launch tells: this GPU has less shared memory than most
    wide.evaluate_backward(field, rays, samples, scratch.alive, scratch.alive_count)


def encode_backward(field, samples):
    scratch = samples.scratch
    blocks = triton.cdiv(samples.capacity, SCATTER_LANES // 2 * SCATTER_RUN)
    encoding.encode_backward[(blocks, field.network.levels)](
        samples.position,
        scratch.alive,
        scratch.alive_count,
        samples.d_encoding,
        *_levels(field),
        field.table_gradient,
        *_features(field),
        SCATTER_LANES,
        SCATTER_RUN,
    )


def optimise(field, moments, clock, config):
    table_size, weight_size = field.table.numel(), field.weights.numel()
    programs = (triton.cdiv(table_size, ADAM_BLOCK) + triton.cdiv(weight_size, ADAM_BLOCK),)
    if moments.scratch is None:
        moments.scratch = torch.zeros_like(moments.skipped)
    bad = moments.scratch  # (1,) int32: whether a gradient of this step is no finite number
    adam.check[programs](field.table_gradient, field.weight_gradient, bad, table_size, weight_size, ADAM_BLOCK)
    log2 = [math.log2(max(beta, 1e-30)) for beta in (config.beta1, config.beta2)]
    adam.adam[programs](
        field.table,
        field.compute_table,
        field.table_gradient,
        *moments.table,
        table_size,
        field.weights,
        field.compute_weights,
        field.weight_gradient,
        *moments.weights,
        weight_size,
        clock.step,
        clock.learning_rate,
        len(clock.learning_rate),
        bad,
        config.beta1,
        config.beta2,
        *log2,
        1 / LOSS_SCALE,
        config.weight_decay,
        ADAM_BLOCK,
    )
    adam.advance[(1,)](clock.step, moments.skipped, bad)


def update_occupancy(field, grid, samples, clock, step_size):
    scratch, settings, total = samples.scratch, grid.config, len(grid.cells)
    n = min(settings.cells_per_update, total, samples.capacity)
    every_cell, threshold = _programs(total, BLOCK), settings.threshold / step_size
    occupancy.visit[_programs(n, BLOCK)](
        grid.cells, grid.cursor, clock.step, total, clock.seed, n, grid.resolution, samples.position, BLOCK
    )
    _encode(field, samples, scratch.unlimited, n)
    if scratch.fused:
        _evaluate(field, None, samples, scratch.unlimited, n, False)
    else:
        wide.density(field, samples, n)
    occupancy.keep_maximum[_programs(n, BLOCK)](
        grid.cells,
        grid.cursor,
        samples.density,
        total,
        n,
        settings.decay,
        grid.density,
        scratch.density_sum,
        scratch.any_kept,
        BLOCK,
    )
    occupancy.total_density[every_cell](grid.cells, grid.density, total, scratch.density_sum, BLOCK)
    occupancy.occupy[every_cell](
        grid.cells,
        grid.density,
        grid.seen,
        clock.step,
        scratch.density_sum,
        total,
        threshold,
        settings.warmup,
        settings.memory,
        grid.occupied,
        scratch.any_kept,
        BLOCK,
    )
    occupancy.finish_update[every_cell](
        grid.cells,
        grid.density,
        clock.step,
        grid.cursor,
        scratch.density_sum,
        scratch.any_kept,
        total,
        n,
        threshold,
        settings.warmup,
        grid.occupied,
        BLOCK,
    )
