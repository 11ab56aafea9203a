"""What a step spares itself: samples behind known surfaces, and gradients that lots leave out. Every backend."""

import pytest
import torch

from obj2ngp.ngp.backends.base import COLOR_PULL, ROULETTE, SEEN_DEPTH
from obj2ngp.ngp.backends.cpu.compositing import list_alive
from obj2ngp.ngp.buffers import OPEN
from stage_scene import GRID, STEP_SIZE, Scene, assert_near, clock_at, samples_by_hand

OPAQUE = 20 / STEP_SIZE


@pytest.mark.parametrize("densities, ends", [([0.1, OPAQUE, 1.0], True), ([0.1, 0.2, 0.3], False)])
def test_reach_of_a_pixel(backend, densities, ends):
    """The last sample that light reaches, here at t = 2, and SEEN_DEPTH cells and a march step behind."""
    scene = samples_by_hand(backend, densities, [[0.5] * 3] * 3, [1.0, 0.0, 0.0])
    scene.rays.pixel[:3] = torch.tensor([3, 7, 11], dtype=torch.int32)
    scene.views.reach.fill_(0.25)
    scene.stages.composite_loss(scene.rays, scene.samples, STEP_SIZE, 0.05, 0.0)
    scene.stages.mark_seen(scene.views, scene.rays, scene.samples, scene.grid, clock_at(1, backend.DEVICE), STEP_SIZE)
    reach = scene.views.reach.float().cpu()
    expected = 2 + SEEN_DEPTH / GRID + STEP_SIZE if ends else OPEN
    assert float(reach[7]) == pytest.approx(expected, rel=1e-3)
    assert reach[3] == reach[11] == OPEN  # rays without samples
    assert (reach == 0.25).sum() == len(reach) - 3


def test_reach_of_a_pixel_of_several_rays(backend):
    """The farthest of them counts, and one that light passes leaves it open."""
    scene = Scene(backend, capacity=64, rays=12)
    rays, samples = scene.rays, scene.samples
    rays.supersampling = 2
    rays.first[:12] = torch.arange(12, dtype=torch.int32)
    rays.count.zero_()
    rays.count[:12] = 1
    rays.pixel[:12] = torch.arange(3, dtype=torch.int32).repeat_interleave(4)
    samples.count.fill_(12)
    samples.ray[:12] = torch.arange(12, dtype=torch.int32)
    samples.t[:12] = torch.tensor([1.0, 2, 4, 3, 2, 2, 2, 2, 1, 1, 1, 1])
    samples.density[:12] = torch.tensor([OPAQUE] * 6 + [1.0] + [OPAQUE] * 5)
    samples.rgb.fill_(0.5)
    scene.stages.composite_loss(rays, samples, STEP_SIZE, 0.05, 0.0)
    scene.stages.mark_seen(scene.views, rays, samples, scene.grid, clock_at(1, backend.DEVICE), STEP_SIZE)
    behind = SEEN_DEPTH / GRID + STEP_SIZE
    assert scene.views.reach[:3].float().tolist() == pytest.approx([4 + behind, OPEN, 1 + behind], rel=1e-3)


@pytest.mark.parametrize("density, counts", [(OPAQUE, True), (1.0, False)])
def test_a_pixel_whose_surface_has_moved_has_no_loss(backend, density, counts):
    scene = samples_by_hand(backend, [density], [[0.5] * 3], [1.0, 0.0, 0.0])
    scene.rays.far[1] = 1.5
    scene.stages.composite_loss(scene.rays, scene.samples, STEP_SIZE, 0.05, 0.0)
    assert (float(scene.rays.loss[1]) > 0) == counts
    assert bool(scene.samples.d_rgb[5].any()) == counts


def kept_gradients(scene, faint, jitter):
    """(mask (S,) of the samples with a gradient, their d_density and d_rgb (S,4), 0 for the others)."""
    samples = scene.samples
    scene.stages.faint = faint
    scene.rays.jitter.fill_(jitter)
    if scene.stages.NAME == "cpu":  # which lists what light reaches where it evaluates colours
        list_alive(scene.rays, samples, STEP_SIZE)
    scene.stages.composite_loss(scene.rays, samples, STEP_SIZE, 0.05, 0.1)
    alive = samples.alive[: int(samples.alive_count)].long().cpu()
    assert len(alive.unique()) == len(alive)
    mask, gradients = torch.zeros(samples.capacity, dtype=torch.bool), torch.zeros(samples.capacity, 4).double()
    mask[alive] = True
    gradients[alive] = torch.cat([samples.d_density[:, None], samples.d_rgb], 1).cpu().double()[alive]
    return mask, gradients


def test_lots_leave_out_weak_gradients_and_their_mean_is_right(backend):
    """Over offsets that are spread evenly, each sample is kept as often as it should, and the mean is the gradient."""
    if backend.NAME == "tcnn":
        pytest.skip("it keeps all")
    faint, trials = 0.1, 64
    scene = Scene(backend)
    scene.stages.march(scene.rays, scene.grid, scene.samples, STEP_SIZE)
    generator = torch.Generator().manual_seed(5)
    scene.samples.density.copy_(torch.exp(3 * torch.randn(1280, generator=generator)))
    scene.samples.rgb.copy_(torch.rand(1280, 3, generator=generator))
    mask, gradients = kept_gradients(scene, 0.0, 0.0)
    assert torch.equal(mask, scene.seen(scene.ray_slices()))
    pull = gradients[:, 0].abs() * scene.samples.density.cpu() + COLOR_PULL * gradients[:, 1:].abs().sum(1)
    chance = (pull * 3 * int(scene.rays.active) / backend.LOSS_SCALE / faint).clamp(max=1)
    often, mean = torch.zeros(1280), torch.zeros(1280, 4).double()
    for trial in range(trials):
        kept, values = kept_gradients(scene, faint, (trial + 0.5) / trials / ROULETTE)
        assert bool((mask | ~kept).all()) and bool(kept[chance > 1 - 1e-6].all())
        often += kept
        mean += values / trials
    assert float((often / trials - chance)[mask].abs().max()) <= 1.5 / trials
    weak = mask & (chance < 0.9)
    assert int(weak.sum()) > 100 and int(often[weak].sum()) < 0.5 * trials * int(weak.sum())
    likely = mask & (chance > 0.2)
    assert_near(mean[likely], gradients[likely], 0.05)
