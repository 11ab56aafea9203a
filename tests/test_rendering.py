"""Pictures of a field: what `render` makes of rays, on every backend that runs here, and which pixels get more rays."""

import math

import numba
import pytest
import torch

from ball import around
from obj2ngp.ngp import rendering
from obj2ngp.ngp.backends import base
from obj2ngp.ngp.backends.cpu import rendering as rounds
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


def test_results_do_not_depend_on_the_threads():
    from obj2ngp.ngp.backends.cpu import Backend

    results, before = [], numba.get_num_threads()
    assert numba.config.NUMBA_NUM_THREADS > 1, "one core has nothing to compare"
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        scene = Scene(Backend, NETWORKS["default"], rays=3000, capacity=1 << 16)
        scene.forward(), scene.backward()
        gradients = scene.field.weight_gradient.clone(), scene.field.table_gradient.clone()
        scene.stages.render(scene.rays, scene.grid, scene.samples, STEP_SIZE)
        results.append((*gradients, scene.rays.color))
    numba.set_num_threads(before)
    for one, many in zip(*results, strict=True):
        assert torch.equal(one, many)
        assert math.isfinite(float(one.sum())) and one.any()
