"""The preallocated buffers that the stages of a training step read and write.

Counters are one-element tensors on the backend's device, so that no stage has to ask the device for a
number: every shape is fixed, and the counters say how much of a buffer is in use.
"""

from __future__ import annotations

import torch


class Rays:
    """Up to `capacity` rays in the unit cube's coordinates; the capacity is rounded down to whole pixels.

    origin, direction  (R,3) float32; directions have unit length
    background         (R,3) float32, the colour behind the ray
    target             (R,3) float32, the pixel's colour over `background`
    jitter             (R,) float32 in [0,1): where in its first march step the ray's first sample lies
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
        self.first, self.count = zeros(capacity, dtype=torch.int32), zeros(capacity, dtype=torch.int32)
        self.active = zeros(1, dtype=torch.int32)


class Samples:
    """Up to `capacity` samples, those of a ray one after another, front to back.

    position   (S,3) float32 in [0,1]^3        t        (S,) float32, distance from the ray's origin
    ray        (S,) int32                      count    (1,) int32, samples that the rays asked for
    encoding   (S, levels*features)            density  (S,) float32, per unit length of the cube
    rgb        (S,3) float32; meaningless behind the point where a ray has terminated
    d_density, d_rgb, d_encoding: gradients of the loss times the backend's loss scale
    scratch    whatever the backend keeps between the forward and the backward stages
    """

    def __init__(self, capacity, network, dtype=torch.float32, device="cpu", training=True):
        self.capacity = capacity
        zeros = lambda *shape, dtype=torch.float32: torch.zeros(shape, dtype=dtype, device=device)  # noqa: E731
        width = network.levels * network.features
        self.position, self.t, self.ray = zeros(capacity, 3), zeros(capacity), zeros(capacity, dtype=torch.int32)
        self.count = zeros(1, dtype=torch.int32)
        self.encoding = zeros(capacity, width, dtype=dtype)
        self.density, self.rgb = zeros(capacity), zeros(capacity, 3)
        if training:
            self.d_density, self.d_rgb = zeros(capacity), zeros(capacity, 3)
            self.d_encoding = zeros(capacity, width, dtype=dtype)
        self.scratch = None


class Clock:
    """Where the run stands: `step` (1,) int32 on the device, the seed, and the learning rate of every step."""

    def __init__(self, config, device="cpu"):
        self.seed = config.seed
        self.step = torch.zeros(1, dtype=torch.int32, device=device)
        self.learning_rate = learning_rates(config).to(device)


def learning_rates(config):
    """(steps,) float32: linear warm-up, constant, then exponential decay to `final_rate` times the first."""
    step = torch.arange(config.steps, dtype=torch.float64)
    warmup = ((step + 1) / max(1, config.warmup_steps)).clamp(max=1)
    late = ((step / config.steps - config.decay_start) / max(1e-9, 1 - config.decay_start)).clamp(0, 1)
    return (config.learning_rate * warmup * max(config.final_rate, 1e-9) ** late).float()


class Moments:
    """Adam's moments of a Field's parameters, and the number of steps skipped for non-finite gradients.

    scratch  whatever the backend keeps for its `optimise`
    """

    def __init__(self, field):
        self.table = (torch.zeros_like(field.table), torch.zeros_like(field.table))
        self.weights = (torch.zeros_like(field.weights), torch.zeros_like(field.weights))
        self.skipped = torch.zeros(1, dtype=torch.int32, device=field.device)
        self.scratch = None


class OccupancyGrid:
    """Which cells of the unit cube rays must sample. Cell (x,y,z) has the flat index (x*G + y)*G + z.

    density   (G^3,) float32: running maximum of the density seen in the cell
    seen      (G^3,) int32: the last step in which a ray with light left reached the cell
    occupied  (G^3,) uint8: 1 where rays take samples
    cells     (K,) int32: the cells that may be occupied at all (the visual hull), in random order
    cursor    (1,) int32: where in `cells` the next update begins
    """

    def __init__(self, config, hull, device="cpu", seed=0):
        self.config = config
        self.resolution = config.resolution
        generator = torch.Generator().manual_seed(seed)
        cells = hull.reshape(-1).nonzero()[:, 0].cpu()
        cells = cells[torch.randperm(len(cells), generator=generator)]
        self.cells = cells.to(torch.int32).to(device)
        self.occupied = hull.reshape(-1).to(torch.uint8).to(device)
        self.density = torch.zeros(self.resolution**3, dtype=torch.float32, device=device)
        self.seen = torch.zeros(self.resolution**3, dtype=torch.int32, device=device)
        self.cursor = torch.zeros(1, dtype=torch.int32, device=device)


class TrainingViews:
    """The training images as `draw_rays` reads them.

    rgba    (V,H,W,4) uint8, straight alpha     pose    (V,3,4) float32, camera-to-world, OpenGL axes, world units
    pixels  (K,) int32: flat indices into (V,H,W) of the pixels worth drawing
    focal, center (pixels), scale, offset (3,): as in PosedImages
    jitter  width in pixels of the square around a pixel's middle in which its rays lie
    """

    def __init__(self, images, pixels, scale, offset, device="cpu", jitter=1.0):
        self.rgba = torch.as_tensor(images.rgba).contiguous().to(device)
        self.pose = torch.as_tensor(images.pose, dtype=torch.float32).contiguous().to(device)
        self.pixels = pixels.to(device)
        self.focal, self.center = float(images.focal), (float(images.center[0]), float(images.center[1]))
        self.scale, self.jitter = float(scale), float(jitter)
        self.offset = torch.as_tensor(offset, dtype=torch.float32).to(device)
