"""What the stage tests work on: networks, views, random rays in a random grid."""

import math

import numpy as np
import torch

import reference
from obj2ngp.ngp.buffers import Clock, OccupancyGrid, Rays, Samples, TrainingViews
from obj2ngp.ngp.config import NetworkConfig, OccupancyConfig, TrainConfig
from obj2ngp.ngp.field import Field, GridLevels
from obj2ngp.ngp.placement import Placement
from obj2ngp.views.posed_images import PosedImages

STEP_SIZE = math.sqrt(3) / 48
GRID = 16  # cells along an edge


NETWORKS = {
    "default": NetworkConfig(levels=8, table_log2=10, base_resolution=4, finest_resolution=64),
    "all hashed": NetworkConfig(levels=6, table_log2=8, base_resolution=16, finest_resolution=512, sh_degree=1),
    "one feature": NetworkConfig(
        levels=5,
        features=1,
        table_log2=9,
        base_resolution=3,
        finest_resolution=40,
        density_width=16,
        color_width=32,
        color_layers=1,
        sh_degree=2,
    ),
    "four features": NetworkConfig(
        levels=4,
        features=4,
        table_log2=10,
        base_resolution=4,
        finest_resolution=64,
        density_layers=2,
        density_width=32,
        color_layers=3,
        sh_degree=3,
    ),
    "odd sizes": NetworkConfig(
        levels=3,
        features=3,
        table_log2=8,
        base_resolution=5,
        finest_resolution=33,
        density_width=24,
        geometry_features=5,
        color_width=20,
        color_layers=2,
        sh_degree=3,
    ),
    "one level": NetworkConfig(
        levels=1, table_log2=8, base_resolution=8, finest_resolution=8, geometry_features=1, density_width=16
    ),
    "wide": NetworkConfig(
        levels=8, table_log2=10, base_resolution=4, finest_resolution=64, density_width=128, color_width=128
    ),
    "wider": NetworkConfig(
        levels=8,
        table_log2=10,
        base_resolution=4,
        finest_resolution=64,
        density_width=128,
        density_layers=2,
        color_width=256,
    ),
    "deep": NetworkConfig(
        levels=8,
        table_log2=10,
        base_resolution=4,
        finest_resolution=64,
        density_width=64,
        density_layers=4,
        color_width=64,
        color_layers=4,
    ),
}


def field_of(backend, network, seed=0):
    """The Field before the first step of a run with `seed`."""
    field = Field(network, backend.DTYPE, backend.DEVICE)
    field.start(seed)
    return field


def grid_of(hull, device, seed=0, **settings):
    """The OccupancyGrid before the first step; `settings` are OccupancyConfig's."""
    grid = OccupancyGrid(OccupancyConfig(resolution=len(hull), **settings), device)
    grid.start(hull, seed)
    return grid


def clock_at(step, device, seed=0):
    """The Clock after `step` steps."""
    clock = Clock(TrainConfig(), device)
    clock.start(seed)
    clock.step.fill_(step)
    return clock


def training_views(images, pixels, scale, offset, device):
    """TrainingViews that draw from `pixels`, their rays spread over whole pixels."""
    views = TrainingViews(images.rgba.shape, 1.0, device)
    views.load(images, Placement(scale, torch.tensor(offset), None, pixels))
    return views


class Scene:
    """Random rays through a random grid, and a field that is dense enough to end some rays early."""

    def __init__(self, backend, network=NETWORKS["default"], rays=40, capacity=1280, occupied=0.4, seed=0, faint=0.0):
        device = backend.DEVICE
        generator = torch.Generator().manual_seed(seed)
        random = lambda *shape: torch.rand(shape, generator=generator)  # noqa: E731
        self.network = network
        self.grid = grid_of(random(GRID, GRID, GRID) < occupied, device)
        self.rays = Rays(rays + 16, device)
        self.views = training_views(posed_images(), torch.arange(243, dtype=torch.int32), 1.0, [0.5] * 3, device)
        inside = random(rays, 3)
        direction = torch.nn.functional.normalize(random(rays, 3) - 0.5, dim=1)
        self.fill("direction", direction)
        self.fill("origin", inside - (2.0 * random(rays, 1) - 0.2) * direction)  # some begin inside the cube
        for name in ("background", "target"):
            self.fill(name, random(rays, 3))
        self.fill("jitter", random(rays))
        self.rays.active.fill_(rays)
        self.samples = Samples(capacity, network, backend.DTYPE, device, by_column=backend.BY_COLUMN)
        self.field = field_of(backend, network, seed)
        self.field.load(random(*self.field.table.shape).to(device) * 2 - 1, self.field.weights.clone())
        matrices = self.field.matrices(self.field.weights)[0]
        log_density = reference.mlp(self.encoding(random(500, 3)), [m.cpu().double() for m in matrices])[:, 0]
        matrices[-1][:, 0] *= 3 / log_density.std() * log_density.mean().sign()  # some are opaque, many clear
        self.field.load(self.field.table.clone(), self.field.weights.clone())
        self.stages = backend(self.field, capacity)
        self.stages.faint = faint

    def encoding(self, position):
        levels = GridLevels(self.network)
        return reference.encode(position, self.field.compute_table.cpu().double(), levels)

    def fill(self, name, values):
        getattr(self.rays, name)[: len(values)] = values

    def ray_slices(self):
        """The samples of every active ray."""
        active = int(self.rays.active)
        first, count = self.rays.first[:active].tolist(), self.rays.count[:active].tolist()
        return [slice(f, f + max(n, 0)) for f, n in zip(first, count, strict=True)]

    def forward(self):
        self.stages.march(self.rays, self.grid, self.samples, STEP_SIZE)
        self.stages.encode(self.samples)
        self.stages.evaluate(self.rays, self.samples, STEP_SIZE)

    def backward(self):
        """The loss and the gradients of the field, after `forward`."""
        self.stages.composite_loss(self.rays, self.samples, STEP_SIZE, 0.05, 0.0)
        self.stages.evaluate_backward(self.rays, self.samples)
        self.stages.encode_backward(self.samples)

    def seen(self, slices):
        """Mask (S,) of the samples in front of their ray's termination, by the backend's densities."""
        mask = torch.zeros(self.samples.capacity, dtype=torch.bool)
        for s in slices:
            mask[s] = reference.visible(self.samples.density[s].cpu().double(), STEP_SIZE)
        return mask


def tolerance(backend):
    """Relative error of a stage with the backend's arithmetic."""
    return 1e-5 if backend.DTYPE == torch.float32 else 1e-2


def assert_near(actual, expected, error, what=""):
    """The norm of the difference is at most `error` times the expected values' norm; NaN never passes."""
    actual, expected = (torch.as_tensor(values).detach().cpu().double() for values in (actual, expected))
    assert actual.shape == expected.shape, what
    assert bool(torch.isfinite(expected).all())
    distance = float((actual - expected).norm())
    assert distance <= error * float(expected.norm()) + 1e-12, "{} off by {:.2g} of {:.2g}".format(
        what, distance, float(expected.norm())
    )


def posed_images(views=3, size=9, seed=0):
    generator = np.random.default_rng(seed)
    rotation = [np.linalg.qr(generator.normal(size=(3, 3)))[0] for _ in range(views)]
    pose = np.stack([np.column_stack([r, 1.5 * r[:, 2]]) for r in rotation]).astype(np.float32)
    rgba = generator.integers(0, 256, (views, size, size, 4), dtype=np.uint8)
    return PosedImages(rgba, pose, 11.0, (size / 2 + 0.3, size / 2), [str(i) for i in range(views)])


def samples_by_hand(backend, density, rgb, background):
    """One ray with these samples at t = 1, 2, ..., among 3 active ones."""
    scene = Scene(backend, capacity=64, rays=3)
    n = len(density)
    scene.rays.count.zero_()
    scene.rays.first[1], scene.rays.count[1] = 5, n
    scene.rays.background[1] = torch.tensor(background)
    scene.samples.count.fill_(5 + n)
    scene.samples.density[5 : 5 + n] = torch.tensor(density)
    scene.samples.rgb[5 : 5 + n] = torch.tensor(rgb)
    scene.samples.t[5 : 5 + n] = torch.arange(1.0, n + 1)
    scene.samples.ray[5 : 5 + n] = 1
    return scene
