"""A model's field at points of the world, on every backend that runs here, against the plain PyTorch reference."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import reference
from obj2ngp.ngp import load_model
from obj2ngp.ngp.config import OccupancyConfig, TrainConfig
from obj2ngp.ngp.field import Field
from obj2ngp.ngp.model_file import Model
from stage_scene import GRID, NETWORKS, Scene, assert_near, tolerance

SCALE, OFFSET = 0.4, (0.5, 0.45, 0.6)
WORKFLOW_SCRIPTS = Path(__file__).parents[1] / "workflow_scripts"


def model_of(backend):
    """A model of the stage tests' field in a world where the cube is 2.5 wide; cells of even x are occupied."""
    field = Scene(backend).field
    occupied = (torch.arange(GRID) % 2 == 0)[:, None, None].expand(GRID, GRID, GRID)
    config = TrainConfig(network=field.network, occupancy=OccupancyConfig(resolution=GRID))
    return Model(field.table.cpu(), field.weights.cpu(), occupied, config, SCALE, torch.tensor(OFFSET), {})


@pytest.mark.parametrize("count", [0, 1, 700])
def test_query(backend, count):
    model, generator = model_of(backend), torch.Generator().manual_seed(4)
    cube = torch.rand(count, 3, generator=generator) * 1.2 - 0.1  # some outside
    directions = torch.randn(count, 3, generator=generator) * 3
    density, color = model.query((cube - torch.tensor(OFFSET)) / SCALE, directions, backend.NAME)
    field = Field(model.config.network, backend.DTYPE)
    field.load(model.table, model.weights)
    encoding = reference.encode(cube, field.compute_table.double(), field.levels)
    matrices = field.matrices(field.compute_weights.double())
    unit = torch.nn.functional.normalize(directions.double(), dim=1)
    expected, expected_color = reference.evaluate(encoding, unit, *matrices, field.network.sh_degree)
    met = ((cube >= 0) & (cube < 1)).all(1) & ((cube[:, 0] * GRID).long() % 2 == 0)
    assert density.shape == (count,) and color.shape == (count, 3)
    density, color = density.cpu(), color.cpu()
    assert not density[~met].any()
    if count > 1:
        assert 0.2 < met.float().mean() < 0.5
        assert_near((density[met] / SCALE).log(), expected[met].log(), tolerance(backend), "log density")
        assert_near(color[met], expected_color[met], tolerance(backend), "colour")


def test_density_is_a_stage(backend):
    """At any points, any number of them, and without touching the buffers of a step."""
    scene = Scene(backend, NETWORKS["default"], capacity=64)
    for count in (1, 300):
        position = torch.rand(count, 3, generator=torch.Generator().manual_seed(count))
        density = scene.stages.density(position.to(backend.DEVICE))
        matrices = scene.field.matrices(scene.field.compute_weights.cpu().double())[0]
        expected = reference.mlp(scene.encoding(position), matrices)[:, 0]
        assert density.shape == (count,) and density.dtype == torch.float32
        assert_near(density.log(), expected, tolerance(backend))
    assert not scene.samples.encoding.any() and not scene.samples.density.any()


def test_the_room_s_settings_need_no_pytorch_and_its_models_are_one_import_away(tmp_path):
    code = "import obj2ngp.ngp.config, sys; assert 'torch' not in sys.modules; from obj2ngp.ngp import load_model"
    done = subprocess.run([sys.executable, "-c", code], cwd=WORKFLOW_SCRIPTS, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="no attribute nothing"):
        import obj2ngp.ngp

        obj2ngp.ngp.nothing  # noqa: B018
    with pytest.raises(Exception, match="absent"):
        load_model(tmp_path / "absent.safetensors")
