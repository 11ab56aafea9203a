"""Drawing rays, on every backend that runs here, against the plain PyTorch reference."""

import math

import numpy as np
import pytest
import torch

import reference
from obj2ngp.common.files import UserError
from obj2ngp.ngp.backends.base import rays_to_draw
from obj2ngp.ngp.buffers import OPEN, Rays, TrainingViews
from stage_scene import Scene, clock_at, posed_images, training_views


@pytest.mark.parametrize("seed, step, edge", [(0, 0, 1), (7, 123456, 2)])
def test_rays(backend, seed, step, edge):
    pixels = torch.arange(0, 3 * 81, 2, dtype=torch.int32)
    views = training_views(posed_images(), pixels, 0.8, [0.4, 0.5, 0.6], backend.DEVICE)
    rays, scene = Rays(300, backend.DEVICE, edge), Scene(backend, capacity=64)
    rays.active.fill_(200)
    views.reach[::3] = torch.arange(81).to(views.reach)
    scene.stages.draw_rays(views, rays, scene.samples, clock_at(step, backend.DEVICE, seed))
    active = int(rays.active)
    names = ("origin", "direction", "background", "target", "jitter", "pixel")
    for name, expected in zip(names, reference.draw_rays(views, active, seed, step, edge), strict=True):
        torch.testing.assert_close(
            getattr(rays, name)[:active].cpu().double(), expected.double(), atol=2e-6, rtol=0, msg=name
        )
    assert torch.equal(rays.far[:active], views.reach[rays.pixel[:active].long()].float())
    assert 0 < (rays.far[:active] < OPEN).sum() < active


@pytest.mark.parametrize(
    "before, asked, edge, after",
    [
        (0, 0, 1, 64),  # start: 1000 samples / 32 = 31, and never fewer than 64 rays
        (100, 0, 1, 100),  # nothing known
        (100, 2000, 1, 72),  # 100 rays asked for 2000: 45 would fill 0.9 of 1000, half-way there is 72.5
        (104, 2080, 2, 72),  # 74.5, in whole pixels
        (100, 10, 1, 200),  # never more than twice as many
        (450, 100, 1, 502),  # never more than the buffer holds
        (450, 100, 2, 500),
        (70, 100000, 1, 64),
    ],
)
def test_ray_count_adapts_to_the_sample_budget(backend, before, asked, edge, after):
    views = training_views(posed_images(), torch.arange(81, dtype=torch.int32), 1.0, [0.5] * 3, backend.DEVICE)
    rays, scene = Rays(502, backend.DEVICE, edge), Scene(backend, capacity=1000)
    rays.active.fill_(before)
    scene.samples.count.fill_(asked)
    scene.stages.draw_rays(views, rays, scene.samples, clock_at(0, backend.DEVICE))
    assert int(rays.active) == after


def test_rays_through_more_than_2_to_the_29_pixels(backend):
    """259 views of 1920x1080, nearly all of which is never written and takes no memory."""
    if backend.DEVICE == "cuda" and torch.cuda.get_device_properties(0).total_memory < 6 << 30:
        pytest.skip("needs 5 GB")
    shape = (259, 1080, 1920)
    views = TrainingViews((*shape, 4), 1.0, backend.DEVICE)
    last = math.prod(shape) - 1
    assert last > 2**29
    views.pixels[0], views.rgba[-1, -1, -1] = last, torch.tensor([255, 0, 51, 255], dtype=torch.uint8)
    views.pixel_count.fill_(1)
    views.camera.copy_(torch.tensor([1000.0, 960.0, 540.0, 1.0], dtype=torch.float64))
    views.offset.fill_(0.5)
    views.pose.copy_(torch.eye(4)[:3])
    rays, scene = Rays(70, backend.DEVICE), Scene(backend, capacity=64)
    scene.stages.draw_rays(views, rays, scene.samples, clock_at(0, backend.DEVICE))
    target = rays.target[: int(rays.active)].cpu()
    torch.testing.assert_close(target, torch.tensor([1.0, 0.0, 0.2]).expand_as(target))


def test_images_of_too_many_pixels_are_refused():
    with pytest.raises(UserError, match="1100 images of 1920x1080: more than 2.31 pixels"):
        TrainingViews((1100, 1080, 1920, 4), 1.0)


@pytest.mark.parametrize("edge", [1, 2])
def test_every_backend_draws_as_many_rays_as_the_rule_says(backend, edge):
    """At random, from all there is; where rounding may decide, one pixel more or less is right."""
    generator, scene = np.random.default_rng(edge), Scene(backend, capacity=4096)
    views = training_views(posed_images(), torch.arange(81, dtype=torch.int32), 1.0, [0.5] * 3, backend.DEVICE)
    rays = Rays(2048, backend.DEVICE, edge)
    for _ in range(20):
        before, asked = int(generator.integers(0, 2048)), int(2 ** generator.uniform(0, 16)) - 1
        rays.active.fill_(before - before % edge**2)
        scene.samples.count.fill_(asked)
        expected = rays_to_draw(rays, scene.samples)
        scene.stages.draw_rays(views, rays, scene.samples, clock_at(0, backend.DEVICE))
        assert abs(int(rays.active) - expected) in (0, edge**2) and int(rays.active) % edge**2 == 0
        assert int(rays.active) == expected or asked > 0
