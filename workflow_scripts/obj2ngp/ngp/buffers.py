"""The preallocated buffers that the stages of a training step read and write.

Counters, and numbers that differ from object to object, are small tensors on the backend's device, so that no stage
has to ask the device for a number, and a captured stage serves the next object too: every shape is fixed, and the
counters say how much of a buffer is in use.
"""

from __future__ import annotations

import functools

import torch

from obj2ngp.common.files import UserError

from .networks import encoding_of

OPEN = 65504.0  # distance, the greatest of half precision, of a pixel's rays that may have samples anywhere


class Buffers:
    """Tensors as attributes."""

    def clear(self):
        """Fills every tensor with zeros."""
        for value in vars(self).values():
            if isinstance(value, torch.Tensor):
                value.zero_()


class Rays(Buffers):
    """Up to `capacity` rays in the unit cube's coordinates; the capacity is rounded down to whole pixels.

    origin, direction  (R,3) float32; directions have unit length
    background         (R,3) float32, the colour behind the ray
    target             (R,3) float32, the pixel's colour over `background`
    jitter             (R,) float32 in [0,1): where in its first march step the ray's first sample lies
    pixel              (R,) int32: the ray's pixel, a flat index into the training views' (V,H,W)
    far                (R,) float32: the ray has no samples farther than this from its origin
    first, count       (R,) int32: the ray's samples; count is -1 for a ray that found no room in the sample buffer
    color              (R,3) float32, composited colour, `background` included
    transmittance      (R,) float32, what is left of the light behind the last sample
    depth              (R,) float32, expected distance from the origin, sum of weight * t
    loss               (R,) float32, the Huber loss of the ray's pixel, mean over channels
    active             (1,) int32: rays in use, whole pixels; the others have count 0
    supersampling      rays along each edge of a pixel: rays with the same index // supersampling^2 share a pixel
    """

    def __init__(self, capacity, device="cpu", supersampling=1):
        capacity -= capacity % supersampling**2
        self.capacity, self.supersampling = capacity, supersampling
        zeros = lambda *shape, dtype=torch.float32: torch.zeros(shape, dtype=dtype, device=device)  # noqa: E731
        self.origin, self.direction = zeros(capacity, 3), zeros(capacity, 3)
        self.background, self.target, self.color = zeros(capacity, 3), zeros(capacity, 3), zeros(capacity, 3)
        self.jitter, self.transmittance = zeros(capacity), zeros(capacity)
        self.depth, self.loss = zeros(capacity), zeros(capacity)
        self.pixel, self.far = zeros(capacity, dtype=torch.int32), zeros(capacity).fill_(OPEN)
        self.first, self.count = zeros(capacity, dtype=torch.int32), zeros(capacity, dtype=torch.int32)
        self.active = zeros(1, dtype=torch.int32)


class Samples(Buffers):
    """Up to `capacity` samples, those of a ray one after another, front to back.

    position   (S,3) float32 in [0,1]^3        t        (S,) float32, distance from the ray's origin
    ray        (S,) int32                      count    (1,) int32, samples that the rays asked for
    encoding   (S, features)                   density  (S,) float32, per edge of the unit cube
    rgb        (S,3) float32; meaningless behind the point where a ray has terminated
    alive      (S,) int32: the samples that gradients flow through; alive_count (1,) int32, how many these are
    d_density (S,), d_rgb (S,3), d_encoding (S, features): for training; gradients of the loss times the
               backend's loss scale. Row j of d_encoding belongs to the sample alive[j], the others' row j to sample j

    by_column  whether encodings lie in memory column by column: threads with a sample each then touch neighbours
    """

    def __init__(self, capacity, network, dtype=torch.float32, device="cpu", training=True, by_column=False):
        self.capacity = capacity
        zeros = lambda *shape, dtype=torch.float32: torch.zeros(shape, dtype=dtype, device=device)  # noqa: E731
        encodings = functools.partial(empty_encodings, capacity, network, dtype, device, by_column)
        self.position, self.t, self.ray = zeros(capacity, 3), zeros(capacity), zeros(capacity, dtype=torch.int32)
        self.count = zeros(1, dtype=torch.int32)
        self.encoding = encodings().zero_()
        self.density, self.rgb = zeros(capacity), zeros(capacity, 3)
        self.alive, self.alive_count = zeros(capacity, dtype=torch.int32), zeros(1, dtype=torch.int32)
        if training:
            self.d_density, self.d_rgb = zeros(capacity), zeros(capacity, 3)
            self.d_encoding = encodings().zero_()

    def used(self):
        """How many samples found room. Asks the device."""
        return min(int(self.count), self.capacity)


def empty_encodings(n, network, dtype, device, by_column):
    """(n, features of an encoding), unwritten; see Samples for `by_column`."""
    width = encoding_of(network).width
    if by_column:
        return torch.empty(width, n, dtype=dtype, device=device).t()
    return torch.empty(n, width, dtype=dtype, device=device)


class Clock:
    """Where the run stands.

    step           (1,) int32: steps done
    seed           (1,) int32: of every random draw
    learning_rate  (steps,) float32: of every step
    """

    def __init__(self, config, device="cpu"):
        self.step = torch.zeros(1, dtype=torch.int32, device=device)
        self.seed = torch.full((1,), config.seed, dtype=torch.int32, device=device)
        self.learning_rate = learning_rates(config).to(device)

    def start(self, seed):
        """Back to the first step of a run with `seed`."""
        self.step.zero_()
        self.seed.fill_(seed)


def learning_rates(config):
    """(steps,) float32: linear warm-up, constant, then exponential decay to `final_rate` times the first."""
    step = torch.arange(config.steps, dtype=torch.float64)
    warmup = ((step + 1) / max(1, config.warmup_steps)).clamp(max=1)
    late = ((step / config.steps - config.decay_start) / max(1e-9, 1 - config.decay_start)).clamp(0, 1)
    return (config.learning_rate * warmup * max(config.final_rate, 1e-9) ** late).float()


class Moments(Buffers):
    """Adam's moments of a Field's parameters, shaped as these, and the steps skipped for non-finite gradients."""

    def __init__(self, field):
        self.table_first, self.table_second = torch.zeros_like(field.table), torch.zeros_like(field.table)
        self.weights_first, self.weights_second = torch.zeros_like(field.weights), torch.zeros_like(field.weights)
        self.skipped = torch.zeros(1, dtype=torch.int32, device=field.device)


class OccupancyGrid(Buffers):
    """Which cells of the unit cube rays must sample. Cell (x,y,z) has the flat index (x*G + y)*G + z.

    density     (G^3,) float32: running maximum of the density seen in the cell
    seen        (G^3,) int32: the last step in which a ray with light left reached the cell
    occupied    (G^3,) uint8: 1 where rays take samples
    cells       (G^3,) int32: first the cells that may be occupied at all (the visual hull), in random order
    cell_count  (1,) int32: how many these are
    cursor      (1,) int32: where in `cells` the next update begins
    """

    def __init__(self, config, device="cpu"):
        self.config, self.resolution = config, config.resolution
        zeros = lambda n, dtype: torch.zeros(n, dtype=dtype, device=device)  # noqa: E731
        total = config.resolution**3
        self.density, self.seen = zeros(total, torch.float32), zeros(total, torch.int32)
        self.occupied, self.cells = zeros(total, torch.uint8), zeros(total, torch.int32)
        self.cell_count, self.cursor = zeros(1, torch.int32), zeros(1, torch.int32)

    def start(self, hull, seed):
        """As before the first step of a run: all of `hull` (G,G,G) bool is occupied; `seed` orders its cells."""
        self.clear()
        self.occupied.copy_(hull.reshape(-1))
        cells = hull.reshape(-1).nonzero()[:, 0].cpu()
        cells = cells[torch.randperm(len(cells), generator=torch.Generator().manual_seed(seed))]
        self.cells[: len(cells)] = cells.to(self.cells)
        self.cell_count.fill_(len(cells))


class TrainingViews(Buffers):
    """The training images as `draw_rays` reads them; holds any images of the given shape.

    rgba         (V,H,W,4) uint8, straight alpha
    pose         (V,3,4) float32, camera-to-world, OpenGL axes, world units
    pixels       (V*H*W,) int32: first the flat indices into (V,H,W) of the pixels worth drawing
    pixel_count  (1,) int32: how many these are
    camera       (4,) float64: focal length and principal point (x, y) in pixels, edges of the unit cube a world unit
    offset       (3,) float32: the unit cube's position of a world point is point * scale + offset
    jitter       width in pixels of the square around a pixel's middle in which its rays lie
    reach        (V*H*W,) float16: how far from the camera, in the unit cube's edges, a pixel's rays need samples, as
                 they were last seen to; OPEN where that is not known, or where they see the background
    Raises UserError if the pixels are too many to be numbered in 32 bits.
    """

    def __init__(self, shape, jitter, device="cpu"):
        views, height, width, _ = shape
        if views * height * width >= 2**31:
            raise UserError("{} images of {}x{}: more than 2^31 pixels".format(views, width, height))
        empty = lambda *size, dtype: torch.empty(size, dtype=dtype, device=device)  # noqa: E731
        self.jitter = float(jitter)
        self.rgba, self.pose = empty(*shape, dtype=torch.uint8), empty(views, 3, 4, dtype=torch.float32)
        self.pixels = empty(views * height * width, dtype=torch.int32)
        self.pixel_count = empty(1, dtype=torch.int32)
        self.reach = empty(views * height * width, dtype=torch.float16)
        self.camera, self.offset = empty(4, dtype=torch.float64), empty(3, dtype=torch.float32)

    def load(self, images, placement):
        """Takes PosedImages of this shape, and where they are (ngp.placement.Placement)."""
        self.rgba.copy_(torch.as_tensor(images.rgba))
        self.reach.fill_(OPEN)
        self.pose.copy_(torch.as_tensor(images.pose))
        self.pixels[: len(placement.pixels)] = placement.pixels.to(self.pixels)
        self.pixel_count.fill_(len(placement.pixels))
        self.camera.copy_(torch.tensor([images.focal, *images.center, placement.scale], dtype=torch.float64))
        self.offset.copy_(torch.as_tensor(placement.offset))
