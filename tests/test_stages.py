"""Every stage of every backend that runs here, against the plain PyTorch reference: values and gradients."""

import math

import numpy as np
import pytest
import torch

import reference
from gradients import assert_gradient, assert_table_gradient
from obj2ngp.ngp.buffers import Clock, Moments, Samples
from obj2ngp.ngp.config import NetworkConfig, TrainConfig
from obj2ngp.ngp.field import GridLevels
from stage_scene import GRID, NETWORKS, STEP_SIZE, Scene, assert_near, field_of, samples_by_hand, tolerance


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS.keys())
def network(request):
    return request.param


# Marching


def test_marching(backend):
    scene = Scene(backend, rays=60)
    scene.rays.direction[:3] = torch.eye(3)  # along the axes, through the cube and past it
    scene.rays.origin[:3] = torch.tensor([[-0.5, 0.37, 0.22], [0.41, -0.2, 0.6], [1.2, 0.3, -0.1]])
    scene.rays.origin[3:6] += 3.0  # miss the cube
    scene.rays.far[10:40] = torch.linspace(0.1, 1.5, 30)
    scene.rays.count.fill_(77)
    scene.stages.march(scene.rays, scene.grid, scene.samples, STEP_SIZE)
    occupied = scene.grid.occupied.view(GRID, GRID, GRID).cpu()
    rays, samples, compared = scene.rays, scene.samples, 0
    assert rays.count[2:6].tolist() == [0] * 4 and not rays.count[int(rays.active) :].any()
    assert int(samples.count) == int(rays.count.sum())
    assert sorted(i for s in scene.ray_slices() for i in range(s.start, s.stop)) == list(range(int(samples.count)))
    for i, s in enumerate(scene.ray_slices()):
        origin, direction = rays.origin[i].cpu(), rays.direction[i].cpu()
        t, undecided = reference.march(origin, direction, rays.jitter[i], occupied, STEP_SIZE, rays.far[i])
        if undecided:
            continue
        compared += 1
        torch.testing.assert_close(samples.t[s].cpu().double(), t, atol=1e-5, rtol=0)
        assert (samples.ray[s] == i).all()
        position = (origin + t[:, None] * direction).clamp(0, 1).float()
        torch.testing.assert_close(samples.position[s].cpu(), position, atol=1e-5, rtol=0)
    assert compared > 40


def test_rays_that_find_no_room_are_left_out(backend):
    scene = Scene(backend)
    scene.stages.march(scene.rays, scene.grid, scene.samples, STEP_SIZE)
    wanted, asked = scene.rays.count.clone(), int(scene.samples.count)
    small = Scene(backend, capacity=asked // 2)
    small.stages.march(small.rays, small.grid, small.samples, STEP_SIZE)
    count = small.rays.count
    assert int(small.samples.count) == asked
    placed = count >= 0
    assert torch.equal(count[placed], wanted[placed]) and (count[~placed] == -1).all() and (~placed).any()
    taken = [i for s in small.ray_slices() for i in range(s.start, s.stop)]
    assert len(set(taken)) == len(taken) and max(taken) < asked // 2
    assert asked // 2 - len(taken) < 80  # what is left is less than some ray takes


# Hash encoding


def test_encoding(backend, network):
    scene = Scene(backend, network)
    n = 300
    scene.samples.position.copy_(torch.rand(scene.samples.position.shape, generator=torch.Generator().manual_seed(1)))
    scene.samples.position[:2] = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    scene.samples.count.fill_(n)
    scene.stages.encode(scene.samples)
    assert_near(scene.samples.encoding[:n], scene.encoding(scene.samples.position[:n].cpu()), tolerance(backend) / 4)


def test_encoding_of_the_cube_s_corner_and_center(backend):
    """One level of 2 x 2 x 2 vertices: vertex coordinate = position * 1 + 0.5, so the corner is amid all eight."""
    network = NetworkConfig(levels=1, features=1, table_log2=8, base_resolution=2, finest_resolution=2)
    field = field_of(backend, network)
    field.load(torch.arange(8.0)[:, None], field.weights.clone())
    samples = Samples(16, network, backend.DTYPE, backend.DEVICE)
    samples.position[:3] = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, 0.0, 0.25]])
    samples.count.fill_(3)
    backend(field, 16).encode(samples)
    # Vertex (x,y,z) holds x + 2y + 4z: mean 3.5; vertex (1,1,1) holds 7; (1, 0.5, 0.75) gives 1 + 1 + 3.
    assert samples.encoding[:3, 0].tolist() == [3.5, 7.0, 5.0]


# MLPs


def test_spherical_harmonics_of_the_reference_are_orthonormal():
    z, w = np.polynomial.legendre.leggauss(8)
    azimuth = torch.arange(16, dtype=torch.float64) * math.pi / 8
    z, w = torch.tensor(z)[:, None].expand(-1, 16), torch.tensor(w)[:, None].expand(-1, 16) * math.pi / 8
    r = (1 - z * z).sqrt()
    y = reference.spherical_harmonics(torch.stack([r * azimuth.cos(), r * azimuth.sin(), z], -1).view(-1, 3), 4)
    torch.testing.assert_close(y.t() @ (w.reshape(-1, 1) * y), torch.eye(16, dtype=torch.float64))


def test_density_and_color(backend, network):
    scene = Scene(backend, network)
    scene.forward()
    n, slices = int(scene.samples.count), scene.ray_slices()
    encoding = scene.samples.encoding[:n].cpu().double()
    direction = scene.rays.direction.cpu().double()[scene.samples.ray[:n].cpu().long()]
    density, color = scene.field.matrices(scene.field.compute_weights.cpu().double())
    density, rgb = reference.evaluate(encoding, direction, density, color, network.sh_degree)
    assert_near(scene.samples.density[:n].log(), density.log(), tolerance(backend), "log density")
    seen = scene.seen(slices)[:n]
    assert 0.02 < seen.float().mean() < 1.0
    assert_near(scene.samples.rgb[:n].cpu()[seen], rgb[seen], tolerance(backend), "colour")


# Compositing and loss


def test_compositing_by_hand(backend):
    half = math.log(2) / STEP_SIZE  # a sample that lets half of the light through
    scene = samples_by_hand(backend, [half, half], [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [0.0, 0.0, 1.0])
    scene.stages.composite(scene.rays, scene.samples, STEP_SIZE)
    # Weights 1/2 and 1/4, and 1/4 of the background; depth 1/2 * 1 + 1/4 * 2.
    assert scene.rays.color[1].tolist() == pytest.approx([0.5, 0.25, 0.25], abs=1e-6)
    assert float(scene.rays.transmittance[1]) == pytest.approx(0.25, abs=1e-6)
    assert float(scene.rays.depth[1]) == pytest.approx(1.0, abs=1e-6)
    assert scene.rays.color[0].tolist() == scene.rays.background[0].tolist()  # no samples
    assert float(scene.rays.transmittance[0]) == 1.0


def test_gradients_stop_behind_termination(backend):
    opaque = 20 / STEP_SIZE  # exp(-20) is below 1e-4
    density, rgb = [0.1, opaque, 1.0, 1.0], [[0.5, 0.5, 0.5]] * 4
    scene = samples_by_hand(backend, density, rgb, [1.0, 0.0, 0.0])
    scene.samples.d_density.fill_(7.0), scene.samples.d_rgb.fill_(7.0)
    scene.stages.composite_loss(scene.rays, scene.samples, STEP_SIZE, 0.05, 0.0)
    assert (scene.samples.d_density[5:7] != 0).all() and (scene.samples.d_rgb[5:7] != 0).all()
    assert not scene.samples.d_density[7:9].any() and not scene.samples.d_rgb[7:9].any()
    assert float(scene.rays.transmittance[1]) < 1e-4


@pytest.mark.parametrize("edge, distortion", [(1, 0.0), (1, 2.0), (2, 0.5)])
@pytest.mark.parametrize("capacity", [1280, 300], ids=["fits", "overflows"])
def test_compositing_and_loss_gradients(backend, capacity, edge, distortion):
    scene = Scene(backend, capacity=capacity)
    scene.rays.supersampling = edge
    for values in (scene.rays.background, scene.rays.target):  # those of a pixel, for all its rays
        whole = len(values) - len(values) % edge**2
        values[:whole] = values[:whole].view(-1, edge**2, 3)[:, :1].expand(-1, edge**2, -1).reshape(-1, 3)
    scene.stages.march(scene.rays, scene.grid, scene.samples, STEP_SIZE)
    generator = torch.Generator().manual_seed(5)
    scene.samples.density.copy_(torch.exp(3 * torch.randn(capacity, generator=generator)))
    scene.samples.rgb.copy_(torch.rand(capacity, 3, generator=generator))
    scene.stages.composite_loss(scene.rays, scene.samples, STEP_SIZE, 0.05, distortion)
    rays, samples, slices = scene.rays, scene.samples, scene.ray_slices()
    active = int(rays.active)
    density = samples.density.cpu().double().requires_grad_()
    rgb = samples.rgb.cpu().double().requires_grad_()
    background, target, t = rays.background.cpu().double(), rays.target.cpu().double(), samples.t.cpu().double()
    results = [
        reference.composite(density[s], rgb[s], t[s], b, STEP_SIZE)
        for s, b in zip(slices, background[:active], strict=True)
    ]
    color, left, depth = (torch.stack(values) for values in zip(*results, strict=True))
    loss = reference.pixel_loss(color, left, background, target, rays.count.cpu(), edge, 0.05)
    whole = rays.count[:active].cpu().view(-1, edge**2).ge(0).all(1).repeat_interleave(edge**2)
    spread = torch.stack([reference.distortion(density[s], t[s], STEP_SIZE) for s in slices]) * whole
    ((loss.sum() + distortion * spread.sum()) / active * backend.LOSS_SCALE).backward()
    assert_near(rays.color[:active], color, 1e-5, "colour")
    assert_near(rays.transmittance[:active], left, 1e-4, "transmittance")
    assert_near(rays.depth[:active], depth, 1e-5, "depth")
    assert_near(rays.loss[:active], loss, 1e-5, "loss")
    used = torch.cat([torch.arange(s.start, s.stop) for s in slices])
    assert_near(samples.d_density.cpu()[used], density.grad[used], 1e-3, "d_density")
    assert_near(samples.d_rgb.cpu()[used], rgb.grad[used], 1e-3, "d_rgb")
    terminated = ~scene.seen(slices)[used]
    assert terminated.any() and not samples.d_density.cpu()[used][terminated].any()


# Backward through the network


def test_gradients_of_the_parameters(backend, network):
    compare_gradients(backend, network, 1280)


def test_gradients_where_some_rays_find_no_room(backend):
    compare_gradients(backend, NETWORKS["default"], 300)
    compare_gradients(backend, NETWORKS["wider"], 300)


def test_a_gpu_with_too_little_shared_memory_for_the_fused_kernel(backend, monkeypatch):
    if backend.NAME != "cuda":
        pytest.skip("only the cuda backend has one")
    from triton.runtime.errors import OutOfResources

    from obj2ngp.ngp.backends.cuda import mlp

    class TooLarge:
        def __getitem__(self, grid):
            raise OutOfResources(200_000, 100_000, "shared memory")

    monkeypatch.setattr(mlp, "evaluate_backward_kernel", TooLarge())
    compare_gradients(backend, NETWORKS["default"], 1280)


def gradient_error(backend):
    """Error of gradients with the backend's arithmetic; half precision's rounding is 3 % of the coarsest level's."""
    return 2e-3 if backend.DTYPE == torch.float32 else 8e-2


def compare_gradients(backend, network, capacity):
    scene = Scene(backend, network, capacity=capacity)
    scene.samples.d_rgb.fill_(float("nan")), scene.samples.d_density.fill_(float("nan"))
    scene.forward()
    scene.backward()

    field, rays, samples, slices = scene.field, scene.rays, scene.samples, scene.ray_slices()
    active = int(rays.active)
    n = max(s.stop for s in slices)
    table = field.compute_table.detach().cpu().double().clone().requires_grad_()
    weights = field.compute_weights.detach().cpu().double().clone().requires_grad_()
    direction = rays.direction.cpu().double()[samples.ray[:n].cpu().long()]
    encoding = reference.encode(samples.position[:n].cpu(), table, GridLevels(network))
    density, rgb = reference.evaluate(encoding, direction, *field.matrices(weights), network.sh_degree)
    background, target, t = rays.background.cpu().double(), rays.target.cpu().double(), samples.t.cpu().double()
    results = [
        reference.composite(density[s], rgb[s], t[s], b, STEP_SIZE)
        for s, b in zip(slices, background[:active], strict=True)
    ]
    color, left = (torch.stack(values) for values in list(zip(*results, strict=True))[:2])
    loss = reference.pixel_loss(color, left, background, target, rays.count.cpu(), 1, 0.05)
    (loss.sum() / active * backend.LOSS_SCALE).backward()
    error = gradient_error(backend)
    actual, expected = field.matrices(field.weight_gradient), field.matrices(weights.grad)
    for i, (a, b) in enumerate(zip(actual[0] + actual[1], expected[0] + expected[1], strict=True)):
        assert_gradient(a, b, error, "matrix {}".format(i))
    assert_table_gradient(field.table_gradient, table.grad, field.levels, error)
    return scene


def test_gradients_of_the_encoding_s_rows(backend):
    """Row j of d_encoding belongs to the sample alive[j], which lists all that light reaches, each once."""
    scene = compare_gradients(backend, NETWORKS["default"], 1280)
    samples, slices = scene.samples, scene.ray_slices()
    alive = samples.alive[: int(samples.alive_count)].cpu().long()
    assert len(set(alive.tolist())) == len(alive)
    assert set(scene.seen(slices).nonzero()[:, 0].tolist()) <= set(alive.tolist())
    encoding = samples.encoding[alive.to(samples.encoding.device)].cpu().double().requires_grad_()
    direction = scene.rays.direction.cpu().double()[samples.ray.cpu().long()[alive]]
    matrices = scene.field.matrices(scene.field.compute_weights.cpu().double())
    density, rgb = reference.evaluate(encoding, direction, *matrices, scene.network.sh_degree)
    d_density, d_rgb = samples.d_density.cpu().double()[alive], samples.d_rgb.cpu().double()[alive]
    (expected,) = torch.autograd.grad([density, rgb], encoding, [d_density, d_rgb])
    error = gradient_error(backend)
    assert_gradient(samples.d_encoding[: len(alive)], expected, error, "d_encoding")


def test_a_step_without_samples(backend):
    """An empty grid leaves the field as it is, and nothing becomes NaN."""
    scene = Scene(backend, occupied=-1.0)
    scene.forward()
    scene.backward()
    config = TrainConfig(steps=3, network=scene.network)
    moments, before = Moments(scene.field), scene.field.table.clone()
    scene.stages.optimise(moments, Clock(config, backend.DEVICE), config)
    active = int(scene.rays.active)
    assert int(scene.samples.count) == 0
    assert torch.equal(scene.rays.color[:active], scene.rays.background[:active])
    assert torch.equal(scene.field.table, before) and torch.isfinite(scene.field.weights).all()
    assert int(moments.skipped) == 0


# Adam


def test_adam(backend):
    scene = Scene(backend)
    field, config = scene.field, TrainConfig(steps=100, warmup_steps=2, decay_start=0.9, weight_decay=1e-2)
    moments, clock = Moments(field), Clock(config, backend.DEVICE)
    generator = torch.Generator().manual_seed(2)
    expected = {
        name: [value.cpu().double(), torch.zeros(value.shape).double(), torch.zeros(value.shape).double()]
        for name, value in (("table", field.table), ("weights", field.weights))
    }
    for step in (1, 2, 3):
        for name, gradient, decay in (
            ("table", field.table_gradient, 0.0),
            ("weights", field.weight_gradient, config.weight_decay),
        ):
            values = torch.randn(gradient.shape, generator=generator) * 3
            values *= torch.rand(gradient.shape, generator=generator) < 0.5
            gradient.copy_(values)
            unscaled = gradient.cpu().double() / backend.LOSS_SCALE
            expected[name] = reference.adam(expected[name][0], unscaled, *expected[name][1:], step, config, decay)
        scene.stages.optimise(moments, clock, config)
        assert int(clock.step) == step
        assert not field.table_gradient.any() and not field.weight_gradient.any()
    for name in ("table", "weights"):
        values = (getattr(field, name), getattr(moments, name + "_first"), getattr(moments, name + "_second"))
        for actual, wanted in zip(values, expected[name], strict=True):
            assert_near(actual, wanted, 1e-5, name)
    assert torch.equal(field.compute_table, field.table.to(field.dtype))
    assert torch.equal(field.compute_weights, field.weights.to(field.dtype))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_step_with_a_weight_s_gradient_that_is_no_number_is_skipped(backend, value):
    scene = Scene(backend)
    field, config = scene.field, TrainConfig(steps=10)
    moments, clock = Moments(field), Clock(config, backend.DEVICE)
    before = field.table.clone(), field.weights.clone()
    field.table_gradient.fill_(1.0), field.weight_gradient.fill_(1.0)
    field.weight_gradient[-3] = value
    scene.stages.optimise(moments, clock, config)
    assert int(moments.skipped) == 1 and int(clock.step) == 1
    assert torch.equal(field.table, before[0]) and torch.equal(field.weights, before[1])
    assert not field.table_gradient.any() and not field.weight_gradient.any()
    assert not moments.table_first.any() and not moments.weights_second.any()
    field.table_gradient.fill_(1.0)
    scene.stages.optimise(moments, clock, config)
    assert int(moments.skipped) == 1 and not torch.equal(field.table, before[0])


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_table_entry_whose_gradient_is_no_number_stays(backend, value):
    scene = Scene(backend)
    field, config = scene.field, TrainConfig(steps=10)
    moments, clock = Moments(field), Clock(config, backend.DEVICE)
    before = float(field.table.view(-1)[-3])
    field.table_gradient.fill_(1.0), field.weight_gradient.fill_(1.0)
    field.table_gradient.view(-1)[-3] = value
    scene.stages.optimise(moments, clock, config)
    assert float(field.table.view(-1)[-3]) == before and int(clock.step) == 1
    assert torch.isfinite(field.table).all() and torch.isfinite(field.compute_table).all()
    assert torch.isfinite(moments.table_first).all() and torch.isfinite(moments.table_second).all()
    assert not field.table_gradient.any() and not field.weight_gradient.any()
