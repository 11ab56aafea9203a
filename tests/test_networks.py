"""Networks other than the default: stages by autograd, the field as a PyTorch module, presets, the head of gmnerf."""

import dataclasses
import json

import numpy as np
import pytest
import torch

import reference
from ball import ball_images
from export_scene import NETWORK, cube_points, write_model
from obj2ngp.common.files import UserError
from obj2ngp.ngp import load_model
from obj2ngp.ngp.backends.autograd import stages_of, with_autograd
from obj2ngp.ngp.config import ENCODINGS, HEADS, PRESETS, NetworkConfig, resolve
from obj2ngp.ngp.field import Field
from obj2ngp.ngp.model_file import save_model
from obj2ngp.ngp.networks import encoding_of, head_of
from obj2ngp.ngp.training import TrainingRun, steps
from stage_scene import NETWORKS, STEP_SIZE, Scene, assert_near, tolerance

SMALL = dataclasses.replace(NETWORK, levels=3, table_log2=9)
OTHERS = {
    "gmnerf": dataclasses.replace(NETWORK, **PRESETS["gmnerf"], preset="gmnerf"),
    "frequencies": dataclasses.replace(SMALL, encoding="frequencies"),
    "both": dataclasses.replace(SMALL, encoding="frequencies", head="gmnerf"),
}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # faster for many small operations
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name, encodes_itself", [("default", False), ("odd sizes", True)])
def test_autograd_s_stages_do_what_those_by_hand_do(backend, name, encodes_itself):
    by_hand, scene = (Scene(backend, NETWORKS[name]) for _ in range(2))
    scene.stages = with_autograd(backend)(scene.field, scene.samples.capacity)
    scene.stages.faint = by_hand.stages.faint
    scene.stages.encodes_itself = encodes_itself and backend.ENCODES_ANY_TABLE
    by_hand.forward()
    for name in ("first", "count"):
        getattr(scene.rays, name).copy_(getattr(by_hand.rays, name))
    for name in ("position", "t", "ray", "count"):  # a GPU places rays as they come
        getattr(scene.samples, name).copy_(getattr(by_hand.samples, name))
    scene.stages.encode(scene.samples)
    scene.stages.evaluate(scene.rays, scene.samples, STEP_SIZE)
    n, error = scene.samples.used(), tolerance(backend)
    seen = by_hand.seen(by_hand.ray_slices())
    assert_near(scene.samples.density[:n].log(), by_hand.samples.density[:n].log(), error, "log density")
    assert_near(scene.samples.rgb[seen], by_hand.samples.rgb[seen], error, "colour")
    for each in (by_hand, scene):
        each.backward()
    for name in ("weight_gradient", "table_gradient"):
        assert_near(getattr(scene.field, name).float(), getattr(by_hand.field, name).float(), 10 * error, name)
    position = torch.rand(50, 3, generator=torch.Generator().manual_seed(5)).to(backend.DEVICE)
    assert_near(scene.stages.density(position).log(), by_hand.stages.density(position).log(), error, "density")


def test_only_so_many_positions_are_looked_at(backend):
    """An update of the occupancy grid has room for more than there are cells; what lies behind them is no position."""
    if backend.NAME != "cuda":
        pytest.skip("its occupancy grid is updated for as many positions as there are cells")
    scene = Scene(backend, NETWORKS["default"])
    stages = with_autograd(backend)(scene.field, scene.samples.capacity)
    position = torch.rand(50, 3, generator=torch.Generator().manual_seed(5)).to(backend.DEVICE)
    expected, count = stages.density(position)[:20], torch.full((1,), 20, dtype=torch.int32, device=backend.DEVICE)
    position[20:] = 1e30
    assert torch.equal(stages._density(position, count)[:20], expected)


@pytest.mark.parametrize("network", [NETWORK, *OTHERS.values()], ids=["default", *OTHERS])
def test_the_module_has_the_values_of_query(tmp_path, network):
    model = load_model(write_model(tmp_path / "model.safetensors", network, scale=0.8, offset=(0.5, 0.45, 0.6)))
    module = model.to_torch()
    positions, directions = cube_points(300)
    positions = ((positions * 1.2 - 0.1) - model.offset) / model.scale
    density, color = model.query(positions, directions * 3, "cpu")
    ours, our_color = module(positions.view(3, 100, 3), directions.view(3, 100, 3))
    assert 0.1 < (density > 0).float().mean() < 0.9
    torch.testing.assert_close(ours.detach().view(-1), density, rtol=1e-3, atol=1e-5)
    met = density > 0
    torch.testing.assert_close(our_color.detach().view(-1, 3)[met], color[met], rtol=1e-3, atol=1e-4)


def test_the_module_s_gradients(tmp_path):
    """Of parameters and positions, against differences, in double precision."""
    module = load_model(write_model(tmp_path / "model.safetensors", SMALL)).to_torch().double()
    positions, directions = (x[:4].double() for x in cube_points(20, seed=1))
    positions = (positions * 0.2 - 0.1).requires_grad_()
    assert torch.autograd.gradcheck(module, (positions, directions), eps=1e-7, atol=1e-3, rtol=1e-3)
    density, rgb = module(positions, directions)
    (density.log().sum() + rgb.sum()).backward()
    assert all(p.grad.abs().sum() > 0 for p in module.parameters())
    assert set(module.state_dict()) == {"table", "weights", "occupied", "scale", "offset"}


def test_a_picture_from_python(tmp_path):
    model = load_model(write_model(tmp_path / "model.safetensors"))
    pose = np.eye(4)
    pose[2, 3] = 1.6
    rgb, opacity, depth = model.render(pose, 12, 8, 9.0, supersampling=1, backend="cpu")
    assert rgb.shape == (8, 12, 3) and opacity.shape == depth.shape == (8, 12)
    assert opacity[4, 6] > 0.1 and opacity[0, 0] == 0 and 1.1 < depth[4, 6] < 2.1
    assert not np.array_equal(model.render(pose, 12, 8, 9.0, (4, 4), 1, "cpu")[1], opacity)


@pytest.mark.parametrize("name", ["gmnerf", "frequencies"])
def test_other_networks_train(backend, name, tmp_path):
    """From their first step on, with the gradients that autograd gives, and their models are models."""
    images, network = ball_images(size=16), OTHERS[name]
    settings = {
        **{"steps": 40, "samples_per_step": 1024, "march_steps": 64, "learning_rate": 0.01, "warmup_steps": 10},
        "network": dataclasses.asdict(network),
        "occupancy": {"resolution": 16},
    }
    run = TrainingRun.alone(images, resolve(settings, backend.NAME, len(images), 16), backend)
    before = {name: value.clone() for name, value in run.state().items()}
    row = list(steps(run))[-1]
    assert row["psnr"] > 17 and not torch.equal(before["weights"], run.workspace.field.weights)
    save_model(tmp_path / "model.safetensors", run, {})
    model = load_model(tmp_path / "model.safetensors")
    assert model.config.network == network
    assert model.query(torch.zeros(1, 3), torch.ones(1, 3), backend.NAME)[0] > 0.5


def test_gmnerf_s_head_by_hand():
    network = OTHERS["gmnerf"]
    field = Field(network)
    field.start(1)
    first, *hidden, last = (m.double() for m in torch.split(field.weights, [16 * 64, 64 * 64, 64 * 64, 64 * 4]))
    positions, directions = cube_points(40)
    rows = reference.encode(positions, (field.table * 1e4).double(), field.levels)
    rows = torch.cat([rows, torch.ones(40, 8).double()], 1)
    out = reference.mlp(rows, [first.view(16, 64), *(m.view(64, 64) for m in hidden), last.view(64, 4)])
    log_density, rgb = field.head(field.weights, field.encoding(field.table * 1e4, positions), directions)
    assert_near(log_density, (1.4 * (out[:, 3] - 1).exp()).log(), 1e-5)
    assert_near(rgb, out[:, :3].sigmoid(), 1e-5)


def test_parts_say_what_they_hold():
    generator = np.random.default_rng(0)
    for name in ENCODINGS:
        encoding = encoding_of(NetworkConfig(encoding=name))
        assert encoding.start(generator).shape == encoding.shape
        assert encoding(torch.zeros(encoding.shape), torch.rand(5, 3)).shape == (5, encoding.width)
    for name in HEADS:
        head = head_of(NetworkConfig(head=name))
        assert head.start(generator).shape == (head.count,)
        log_density, rgb = head(torch.zeros(head.count), torch.rand(5, 32), torch.rand(5, 3))
        assert log_density.shape == (5,) and rgb.shape == (5, 3)


def test_a_preset_gives_what_is_not_given():
    recipe = resolve({}, "cpu", 24, 128)
    config = resolve({"network": {"preset": "gmnerf", "levels": 5}}, "cpu", 24, 128)
    assert (config.network.levels, config.network.table_log2, config.network.head) == (5, 12, "gmnerf")
    assert dataclasses.replace(config, network=recipe.network) == recipe
    assert recipe.network.preset == "recipe" and resolve({"network": {"preset": "auto"}}, "cpu", 24, 128) == recipe
    with pytest.raises(UserError, match="train.network.preset: must be one of recipe, gmnerf"):
        resolve(json.loads('{"network": {"preset": "nerf"}}'), "cpu", 24, 128)


def test_the_default_network_has_its_own_stages(backend):
    scene = Scene(backend)
    assert type(stages_of(backend, scene.field, 64)) is backend
