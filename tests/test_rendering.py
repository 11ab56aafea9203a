"""Pictures of a field: what `render` makes of rays, on every backend that runs here, and which pixels get more rays."""

import math
import threading

import pytest
import torch

from ball import around
from obj2ngp.ngp import rendering
from obj2ngp.ngp.backends import base
from obj2ngp.ngp.backends.cpu import rendering as rounds
from obj2ngp.ngp.backends.cpu.threads import share_out
from obj2ngp.ngp.buffers import Samples
from obj2ngp.ngp.rendering import Renderer, uneven
from stage_scene import NETWORKS, STEP_SIZE, Scene, assert_near, tolerance
from test_query import model_of


@pytest.mark.parametrize("network", ["default", "one feature", "odd sizes"])
def test_rays_are_traced_as_stage_by_stage(backend, network, monkeypatch):
    """Behind some of them nothing is left, in front of some nothing is met, and some are nearly clear."""
    monkeypatch.setattr(rounds, "MIN_WEIGHT", 0.0)
    scene = Scene(backend, NETWORKS[network], rays=200, capacity=8192)
    rays, active = scene.rays, int(scene.rays.active)
    rays.color.fill_(7), rays.transmittance.fill_(7), rays.depth.fill_(7)
    assert scene.stages.render(rays, scene.grid, scene.samples, STEP_SIZE)
    traced = [values[:active].clone() for values in (rays.color, rays.transmittance, rays.depth)]
    assert base.Backend.render(scene.stages, rays, scene.grid, scene.samples, STEP_SIZE)
    assert (rays.transmittance[:active] < base.MIN_TRANSMITTANCE).any() and (rays.count[:active] == 0).any()
    for actual, expected in zip(traced, (rays.color, rays.transmittance, rays.depth), strict=True):
        expected, finite = expected[:active], torch.isfinite(actual)
        assert torch.equal(finite, torch.isfinite(expected)) and finite.float().mean() > 0.5
        assert_near(actual[finite], expected[finite], tolerance(backend))


def test_samples_that_weigh_little_lend_their_weight(monkeypatch):
    """A ray's weights sum up to its opacity whichever samples are coloured: where all is grey nothing changes."""
    from obj2ngp.ngp.backends.cpu import Backend

    scene = Scene(Backend, rays=200)
    scene.field.matrices(scene.field.weights)[1][-1].zero_()  # grey everywhere
    results = []
    for weight in (0.0, 0.3):
        monkeypatch.setattr(rounds, "MIN_WEIGHT", weight)
        scene.stages.render(scene.rays, scene.grid, scene.samples, STEP_SIZE)
        results.append(scene.rays.color.clone())
    torch.testing.assert_close(*results, atol=1e-5, rtol=0)


def test_rays_that_do_not_fit_are_told(backend):
    scene = Scene(backend)
    few = Samples(20, scene.network, backend.DTYPE, backend.DEVICE)
    assert scene.stages.render(scene.rays, scene.grid, few, STEP_SIZE) == (backend.NAME == "cpu")


def test_only_uneven_pixels_are_supersampled(backend, monkeypatch):
    """Elsewhere the picture stays what one ray a pixel makes it, and there it is what full supersampling gives."""
    if backend.NAME == "cuda" and backend.DEVICE == "cpu":
        pytest.skip("Triton's interpreter takes minutes")
    model = model_of(backend)
    camera = ([around(5)[2]], 32, 24, 40.0)
    (one,) = Renderer(model, backend, 1).render_views(*camera)
    (some,) = Renderer(model, backend, 3).render_views(*camera)
    monkeypatch.setattr(rendering, "UNEVEN", -1.0)
    (all_,) = Renderer(model, backend, 3).render_views(*camera)
    joined = torch.cat([torch.from_numpy(one[0]), torch.from_numpy(one[1])[..., None]], -1)
    even = (uneven(joined[None])[0] * model.config.pixel_jitter <= 0.1).numpy()
    assert 0.05 < even.mean() < 0.95
    for once, adaptive, full in zip(one, some, all_, strict=True):
        assert (adaptive[even] == once[even]).all()
        assert abs(adaptive[~even] - full[~even]).max() < 2e-3


def test_unevenness_by_hand():
    images = torch.zeros(1, 5, 6, 5)
    images[0, 2, 4] = torch.tensor(
        [0.25, 0.0, 0.0, 0.5, 9.0]
    )  # over black: on white 0.75, 0.5, 0.5; depth tells nothing
    expected = torch.zeros(5, 6)
    expected[1:4, 3:6] = 0.5
    torch.testing.assert_close(uneven(images)[0], expected)


def test_parts_are_shared_out_once_each_and_errors_are_raised():
    before, done, lock = torch.get_num_threads(), [], threading.Lock()
    torch.set_num_threads(3)
    try:

        def part(begin, end):
            assert torch.get_num_threads() == 1
            share_out(lambda *inner: None, 5, 2)  # within a part: one after another
            with lock:
                done.append((begin, end))

        share_out(part, 1003, 10)
        assert sorted(done) == [(begin, min(begin + 10, 1003)) for begin in range(0, 1003, 10)]
        assert torch.get_num_threads() == 3
        share_out(part, 0, 10)
        with pytest.raises(ZeroDivisionError):
            share_out(lambda begin, end: 1 // (begin - 500), 1000, 10)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_results_do_not_depend_on_the_threads():
    from obj2ngp.ngp.backends.cpu import Backend

    results, before = [], torch.get_num_threads()
    for threads in (1, 3):
        torch.set_num_threads(threads)
        scene = Scene(Backend, NETWORKS["default"], rays=3000, capacity=1 << 16)
        scene.forward(), scene.backward()
        results.append((scene.field.weight_gradient, scene.field.table_gradient, scene.rays.color))
    torch.set_num_threads(before)
    for one, three in zip(*results, strict=True):
        assert torch.equal(one, three)
        assert math.isfinite(float(one.sum())) and one.any()
