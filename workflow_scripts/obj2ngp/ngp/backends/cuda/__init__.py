"""The cuda backend: Triton kernels that never wait for the host.

Every shape is fixed and every count stays on the device, so that a step is captured in a CUDA graph once and
then replayed. Backward stages work on the list of samples in front of their ray's termination, which
`composite_loss` makes.

With TRITON_INTERPRET=1 the kernels run in Triton's interpreter, on the CPU: for tests, not for training.
"""

from __future__ import annotations

import contextlib
import gc

import torch
import triton
from triton.runtime.errors import OutOfResources

from ...buffers import empty_encodings
from .. import base
from . import adam, compositing, encoding, loss, mlp, occupancy, wide
from . import rays as ray_kernels

INTERPRETED = triton.knobs.runtime.interpret


class Backend(base.Backend):
    NAME = "cuda"
    DEVICE = "cpu" if INTERPRETED else "cuda"
    DTYPE = torch.float16
    BY_COLUMN = True
    # The loss is a mean over rays: its gradient at one sample is about 1e-6, below what fp16 resolves. Scaled by this,
    # one of 10^4 rays pulls with up to 0.5 a channel, and all rays together, on one table entry, still stay finite.
    LOSS_SCALE = 2.0**14
    if INTERPRETED:
        RENDERED_RAYS, RENDERED_SAMPLES = 1 << 13, 1 << 17

    @classmethod
    def unavailable(cls):
        if INTERPRETED:
            return None
        if not torch.cuda.is_available():
            return "no CUDA device" if torch.version.cuda or torch.version.hip else "this PyTorch is built without CUDA"
        major, minor = torch.cuda.get_device_capability()
        if torch.version.cuda and (major, minor) < (7, 5):
            return "{} has compute capability {}.{}, 7.5 is needed".format(torch.cuda.get_device_name(), major, minor)
        return None

    @classmethod
    def describe(cls):
        return "Triton's interpreter" if INTERPRETED else torch.cuda.get_device_name()

    def __init__(self, field, capacity, training=True):
        super().__init__(field, capacity, training)
        self.capacity = capacity
        scalar = lambda value, dtype: torch.full((1,), value, dtype=dtype, device=field.device)  # noqa: E731
        self.unlimited = scalar(2**31 - 1, torch.int32)  # a count that leaves a buffer's size as the limit
        self.density_sum, self.any_kept = scalar(0, torch.float32), scalar(0, torch.int32)
        self.bad_gradient = scalar(0, torch.int32)
        device = None if INTERPRETED else torch.cuda.get_device_properties(field.device)
        self.processors = 1 if device is None else device.multi_processor_count
        # Triton multiplies matrices on the tensor cores from 8.0 on; before that, torch does it better.
        tensor_cores = device is None or not torch.version.cuda or device.major >= 8
        self.fused = mlp.backward_warps(field.network) is not None and tensor_cores

    def capture(self, stages):
        """A function that does what `stages` does, by replaying a CUDA graph of it.

        Its first call runs `stages` itself, which compiles the kernels; the second records and replays. Every call
        has the effect of exactly one call of `stages`. Where recording fails, it has ended when the error arrives.
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
                    record(graph, stages)
            graph.replay()

        return repeat

    def draw_rays(self, views, rays, samples, clock):
        ray_kernels.draw_rays(views, rays, samples, clock)

    def march(self, rays, grid, samples, step_size):
        ray_kernels.march(rays, grid, samples, step_size, self.processors)

    def encode(self, samples):
        encoding.encode(self.field, samples.position, samples.count, samples.encoding)

    def evaluate(self, rays, samples, step_size):
        if self.fused:
            mlp.evaluate(self.field, rays, samples, self.processors)
        else:
            wide.evaluate(self.field, rays, samples)

    def composite(self, rays, samples, step_size):
        compositing.composite(rays, samples, step_size, self.processors)

    def composite_loss(self, rays, samples, step_size, huber, distortion):
        numbers = huber, distortion, self.faint, self.LOSS_SCALE
        loss.composite_loss(rays, samples, step_size, *numbers, self.processors)

    def mark_seen(self, views, rays, samples, grid, clock, step_size):
        occupancy.mark_seen(views, rays, samples, grid, clock, step_size, self.processors)

    def evaluate_backward(self, rays, samples):
        if self.fused:
            try:
                mlp.evaluate_backward(self.field, rays, samples, self.processors)
                return
            except OutOfResources:
                self.fused = False  # the first launch tells: this GPU has less shared memory than most
        wide.evaluate_backward(self.field, rays, samples)

    def encode_backward(self, samples):
        encoding.encode_backward(self.field, samples)

    def optimise(self, moments, clock, config):
        adam.optimise(self.field, moments, clock, config, self.LOSS_SCALE, self.bad_gradient)

    def density(self, positions):
        return self._density(positions, self.unlimited)

    def _density(self, positions, count):
        """`density` of the first `count` (1,) int32 positions; the others' is undefined."""
        device = positions.device
        rows = empty_encodings(len(positions), self.field.network, self.DTYPE, device, self.BY_COLUMN)
        encoding.encode(self.field, positions, count, rows)
        if not self.fused:
            return wide.density(self.field, rows)
        density = torch.empty(len(positions), device=device)
        mlp.evaluate_density(self.field, rows, count, density, self.processors)
        return density

    def update_occupancy(self, grid, clock, step_size):
        limit = min(grid.config.cells_per_update, len(grid.cells), self.capacity)
        position = torch.empty(limit, 3, device=grid.cells.device)
        occupancy.visit(grid, clock, position)
        density = self._density(position, grid.cell_count)
        occupancy.take(density, grid, clock, step_size, self.density_sum, self.any_kept)


def record(graph, stages):
    """Records `stages` in a CUDA graph; ends the recording even where `stages` fails."""
    collecting = gc.isenabled()
    gc.disable()  # a former graph that went with the garbage in the middle would spoil this one's recording
    graph.capture_begin()
    try:
        stages()
    except BaseException:
        with contextlib.suppress(RuntimeError):  # the error above is what is wrong
            graph.capture_end()
        raise
    finally:
        if collecting:
            gc.enable()
    graph.capture_end()
