"""The tcnn backend on stand-ins for its packages: stages against the reference, training, models, messages."""

import functools
import importlib
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import reference
import test_stages
from ball import ball_images
from obj2ngp.ngp import backends
from obj2ngp.ngp.buffers import Clock, Moments
from obj2ngp.ngp.checkpoint import restore_checkpoint, save_checkpoint
from obj2ngp.ngp.config import NetworkConfig, TrainConfig, default_config
from obj2ngp.ngp.field import GROWTH_SLACK, GridLevels
from obj2ngp.ngp.model_file import load_model, save_model
from obj2ngp.ngp.rendering import Renderer
from obj2ngp.ngp.training import TrainingRun, steps
from obj2ngp.views.nerf_synthetic import write_images
from stage_scene import clock_at, field_of
from tcnn_scene import TRAINING, backend_on_standins, psnr_on_white
from test_occupancy import test_an_occupancy_update_never_empties_the_grid, test_occupancy_update  # noqa: F401
from test_rays import test_ray_count_adapts_to_the_sample_budget, test_rays  # noqa: F401
from test_stages import (  # noqa: F401  (pytest runs them here with the fixture below)
    test_a_step_with_a_weight_s_gradient_that_is_no_number_is_skipped,
    test_a_step_without_samples,
    test_compositing_and_loss_gradients,
    test_compositing_by_hand,
    test_density_and_color,
    test_encoding_of_the_cube_s_corner_and_center,
    test_gradients_of_the_parameters,
    test_marching,
    test_rays_that_find_no_room_are_left_out,
)

pytestmark = pytest.mark.slow

WORKFLOW_SCRIPTS = Path(__file__).parents[1] / "workflow_scripts"


def encode_as_tiny_cuda_nn(encode, position, table, levels):
    """The reference's `encode` with the growth of levels that tiny-cuda-nn is given, and its wrapping."""
    growth = (1 - GROWTH_SLACK) ** torch.arange(len(levels.scale), dtype=torch.float64)
    scale = ((levels.scale + 1) * growth - 1).float()
    described = {name: getattr(levels, name) for name in ("resolution", "offset", "hashed")}
    return encode(position, table, SimpleNamespace(scale=scale, **described), wrap=True)


@pytest.fixture
def backend(monkeypatch):
    with backend_on_standins() as standins:
        monkeypatch.setattr(reference, "encode", functools.partial(encode_as_tiny_cuda_nn, reference.encode))
        yield standins


# Networks of the kinds that tiny-cuda-nn has: 1, 2, 4 or 8 features, widths that are multiples of 8.
@pytest.fixture(params=["default", "all hashed", "one feature", "four features", "cutlass"])
def network(request):
    cutlass = NetworkConfig(
        levels=3,
        features=1,
        table_log2=8,
        base_resolution=5,
        finest_resolution=33,
        density_width=24,
        geometry_features=5,
        color_width=40,
        sh_degree=3,
    )
    return cutlass if request.param == "cutlass" else test_stages.NETWORKS[request.param]


def test_encoding(backend, network):
    """Up to the border, where indices wrap around, and beyond where the other backends' do not differ."""
    scene = test_stages.Scene(backend, network)
    n, position = 300, scene.samples.position
    position.copy_(torch.rand(position.shape, generator=torch.Generator().manual_seed(1)))
    position[:2] = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    scene.samples.count.fill_(n)
    scene.stages.encode(scene.samples)
    test_stages.assert_near(scene.samples.encoding[:n], scene.encoding(position[:n]), 2e-3)
    inside = (position[:n] < 1 - 0.6 / (network.base_resolution - 1)).all(1)
    clamped = reference.encode.args[0](position[:n], scene.field.compute_table.double(), scene.field.levels)
    test_stages.assert_near(scene.samples.encoding[:n][inside], clamped[inside], 4e-3)
    assert 0.1 < inside.float().mean() < 1


@pytest.mark.parametrize("views", [8, 24, 50, 100, 200])
@pytest.mark.parametrize("pixels", [32, 64, 100, 128, 200, 256, 400, 800])
def test_tiny_cuda_nn_s_levels_are_ours(backend, views, pixels):
    """It computes them in single precision: whole numbers of vertices must not depend on the last bit."""
    from obj2ngp.ngp.tiny_cuda_nn import grid_config

    network = default_config("tcnn", views, pixels).network
    levels = GridLevels(network)
    theirs = sys.modules["tinycudann"]._grid_levels(grid_config(network))
    assert [resolution for _, resolution, _ in theirs] == levels.resolution.tolist()
    assert sum(size for _, _, size in theirs) == levels.entries
    assert [scale for scale, _, _ in theirs] == pytest.approx(levels.scale.tolist(), rel=2e-5)
    assert levels.resolution[-1] == network.finest_resolution


def test_weights_in_tiny_cuda_nn_s_layout(backend):
    """A 2-1-3 MLP padded to 4 inputs and 4 outputs, by hand."""
    from obj2ngp.ngp.tiny_cuda_nn import parameter_places

    # Ours: (in,out) matrices [[a], [b]] and [[c, d, e]]. There: (out,in) matrices
    #   [a b . .]  at 0   and   [c] [d] [e] [.]  at 4.
    places, total = parameter_places([(2, 1), (1, 3)], 4)
    assert places.tolist() == [0, 1, 4, 5, 6] and total == 8


def test_weights_reach_the_networks_and_padding_stays_out(backend, network):
    field = field_of(backend, network, seed=3)
    networks = backend(field, 512).networks
    networks.load()
    shapes = (field.density_shapes, field.color_shapes)
    for mlp, matrices, layers in zip(
        (networks.density, networks.color), field.matrices(field.weights), shapes, strict=True
    ):
        x = torch.rand(20, layers[0][0], generator=torch.Generator().manual_seed(0))
        expected = reference.mlp(x.double(), [m.double() for m in matrices])
        expected = expected.sigmoid() if mlp is networks.color else expected
        test_stages.assert_near(mlp(x), expected, 3e-3)
        assert int((mlp.params != 0).sum()) == sum(inputs * outputs for inputs, outputs in layers)


def test_apex_and_torch_step_alike(backend, monkeypatch):
    from obj2ngp.ngp.backends.tcnn import optimiser

    results = []
    for adam in (optimiser.Adam, torch.optim.Adam):
        monkeypatch.setattr(optimiser, "Adam", adam)
        scene = test_stages.Scene(backend)
        field, config = scene.field, TrainConfig(steps=100, warmup_steps=2, weight_decay=1e-2)
        moments, clock = Moments(field), Clock(config)
        before = field.table.double(), field.weights.double()
        expected = [[value, value * 0, value * 0] for value in before]
        generator = torch.Generator().manual_seed(2)
        for step in (1, 2, 3):
            for i, (gradient, decay) in enumerate(((field.table_gradient, 0.0), (field.weight_gradient, 1e-2))):
                gradient.copy_(torch.randn(gradient.shape, generator=generator) * 3)
                unscaled = gradient.double() / backend.LOSS_SCALE
                expected[i] = reference.adam(*expected[i][:1], unscaled, *expected[i][1:], step, config, decay)
            scene.stages.optimise(moments, clock, config)
            assert not field.table_gradient.any() and not field.weight_gradient.any()
        moved = (moments.table_first, moments.table_second, moments.weights_first, moments.weights_second)
        results.append((field.table, field.weights, *moved))
        wanted = (expected[0][0], expected[1][0], *expected[0][1:], *expected[1][1:])
        for actual, value in zip(results[-1], wanted, strict=True):
            test_stages.assert_near(actual, value, 1e-5)
        assert torch.equal(field.compute_table, field.table.half())
    assert optimiser.Adam is torch.optim.Adam and len(results) == 2


def test_torch_s_adam_where_apex_has_no_cuda_extensions(backend, monkeypatch):
    from obj2ngp.ngp.backends.tcnn import optimiser

    assert optimiser.FUSED and optimiser.Adam is not torch.optim.Adam
    monkeypatch.setattr(sys.modules["apex.multi_tensor_apply"].multi_tensor_applier, "available", False)
    importlib.reload(optimiser)
    assert optimiser.Adam is torch.optim.Adam and not optimiser.FUSED


@pytest.mark.parametrize("content", ["raise ImportError", "import torch; torch.distributed._only_in_newer_versions"])
def test_torch_s_adam_where_apex_does_not_load(backend, content, tmp_path, monkeypatch):
    from obj2ngp.ngp.backends.tcnn import optimiser

    (tmp_path / "apex.py").write_text(content)
    for name in [name for name in sys.modules if name.split(".")[0] == "apex"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.reload(optimiser)
    assert optimiser.Adam is torch.optim.Adam and not optimiser.FUSED


def test_cells_that_light_reaches(backend):
    """Two cells behind a ray's end count, and no more."""
    scene = test_stages.Scene(backend, rays=3, capacity=64)
    scene.rays.count.zero_()
    scene.rays.first[1], scene.rays.count[1] = 5, 12
    samples, size = scene.samples, 1 / test_stages.GRID
    samples.count.fill_(17)
    samples.ray[5:17] = 1
    samples.position.fill_(0.99)
    samples.position[5:17, 0] = (torch.arange(12) + 0.5) * size
    samples.density.zero_()
    samples.density[8] = 20 / size  # one sample a cell; the fourth ends the ray
    scene.stages.mark_seen(scene.views, scene.rays, samples, scene.grid, clock_at(9, "cpu"), size)
    last = test_stages.GRID - 1
    seen = scene.grid.seen.view(test_stages.GRID, test_stages.GRID, test_stages.GRID)
    assert seen[:, last, last].tolist() == [9] * 6 + [0] * 10 and int((seen != 0).sum()) == 6


@pytest.mark.parametrize("seed", [0, 1])
def test_cells_that_light_reaches_are_those_of_the_cpu_backend(backend, seed):
    cpu = backends.select("cpu")
    seen = []
    marched = test_stages.Scene(cpu, seed=seed).stages
    for each in (backend, cpu):
        scene = test_stages.Scene(each, seed=seed)
        marched.march(scene.rays, scene.grid, scene.samples, test_stages.STEP_SIZE)
        density = torch.exp(3 * torch.randn(scene.samples.capacity, generator=torch.Generator().manual_seed(seed)))
        scene.samples.density.copy_(density)
        scene.stages.mark_seen(
            scene.views, scene.rays, scene.samples, scene.grid, clock_at(3, "cpu"), test_stages.STEP_SIZE
        )
        seen.append(scene.grid.seen)
    assert torch.equal(*seen) and seen[0].any()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The file of a model trained with the stand-ins."""
    path = tmp_path_factory.mktemp("tcnn") / "model.safetensors"
    with backend_on_standins() as standins:
        run = TrainingRun.alone(ball_images(), TRAINING, standins)
        list(steps(run))
        assert int(run.workspace.moments.skipped) == 0
        save_model(path, run, {"backend": standins.NAME})
    return path


def test_training_and_rendering(backend, trained):
    """What tcnn trained looks right, and the same in the cpu backend."""
    model = load_model(trained)
    here, there = (psnr_on_white(Renderer(model, each)) for each in (backend, "cpu"))
    assert here > 22 and there == pytest.approx(here, abs=0.05)


def test_a_model_of_the_cpu_backend_renders_alike(backend, tmp_path):
    cpu = backends.select("cpu")
    run = TrainingRun.alone(ball_images(), TRAINING, cpu)
    list(steps(run))
    save_model(tmp_path / "model.safetensors", run, {})
    model = load_model(tmp_path / "model.safetensors")
    here, there = (psnr_on_white(Renderer(model, each)) for each in (backend, cpu))
    assert there > 22 and here == pytest.approx(there, abs=0.05)


def test_a_run_goes_on_from_a_checkpoint(backend, tmp_path):
    straight, first, second = (TrainingRun.alone(ball_images(), TRAINING, backend) for _ in range(3))
    for _ in range(6):
        straight.workspace.step()
    for _ in range(3):
        first.workspace.step()
    save_checkpoint(tmp_path / "checkpoint.safetensors", first, "images", [])
    assert restore_checkpoint(tmp_path / "checkpoint.safetensors", second, "images") == []
    for _ in range(3):
        second.workspace.step()
    assert int(second.workspace.clock.step) == 6
    assert torch.equal(second.workspace.field.table, straight.workspace.field.table)
    assert torch.equal(second.workspace.field.weights, straight.workspace.field.weights)


def test_settings_that_tiny_cuda_nn_or_vren_cannot_follow(backend):
    network = NetworkConfig(levels=3, table_log2=8, density_width=20)
    with pytest.raises(backends.BackendError, match="multiples of 8, got 20"):
        backend(field_of(backend, network), 256)
    scene = test_stages.Scene(backend)
    scene.grid.resolution = 20
    with pytest.raises(backends.BackendError, match="power of two, got 20"):
        scene.stages.march(scene.rays, scene.grid, scene.samples, math.sqrt(3) / 48)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_every_tensor_is_on_the_device():
    with backend_on_standins("cuda") as standins:
        run = TrainingRun.alone(ball_images(), TRAINING, standins)
        rows = list(steps(run))
        assert int(run.workspace.moments.skipped) == 0 and rows[-1]["psnr"] > 20


@pytest.mark.parametrize("missing", ["tinycudann", "vren", "torch_scatter"])
def test_a_missing_package_is_named(missing, tmp_path):
    """The other packages are there, as empty files."""
    for name in {"tinycudann", "vren", "torch_scatter"} - {missing}:
        (tmp_path / (name + ".py")).write_text("")
    write_images(ball_images(), tmp_path, "train")
    program = subprocess.run(
        [
            sys.executable,
            WORKFLOW_SCRIPTS / "train.py",
            "--object",
            "ball",
            "--renders",
            tmp_path,
            "--backend",
            "tcnn",
            "--model",
            tmp_path / "m",
            "--log",
            tmp_path / "l",
        ],
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert program.returncode == 1
    assert program.stderr.strip() == (
        "error: object ball: backend tcnn cannot run here (tcnn: the package {} is not installed;"
        " envs/ngp-cu111.yaml has it)".format(missing)
    )


def test_a_package_that_does_not_load_is_named(tmp_path):
    (tmp_path / "tinycudann.py").write_text("raise EnvironmentError('Unknown compute capability.')")
    program = subprocess.run(
        [sys.executable, "-c", "from obj2ngp.ngp import backends; backends.select('tcnn')"],
        env={"PYTHONPATH": "{}:{}".format(tmp_path, WORKFLOW_SCRIPTS), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert (
        "the package tinycudann does not load (Unknown compute capability.); envs/ngp-cu111.yaml builds it"
        in program.stderr
    )
