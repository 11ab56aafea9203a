"""The code that docs/python.md and docs/networks.md show, run as it stands there."""

import re
import sys
import textwrap
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from ball import ball_images
from export_scene import write_model
from obj2ngp.ngp import backends
from obj2ngp.ngp.config import NetworkConfig, OccupancyConfig, TrainConfig
from obj2ngp.ngp.training import TrainingRun, steps

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "networks.md").read_text()


def test_a_model_from_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_model(Path("model.safetensors"))
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "python.md").read_text(), re.DOTALL)
    names = {}
    exec(code, names)  # noqa: S102
    assert names["on_white"].shape == (48, 64, 3) and np.isfinite(names["on_white"]).all()
    assert names["normals"].norm(dim=1).min() > 0.99


@pytest.mark.parametrize("kind", ["Encoding", "Head"])
def test_a_part_of_one_s_own_trains(kind, monkeypatch):
    """In a file of its own, named in the settings; autograd does the rest."""
    blocks = [textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n|^\n)+", PAGE, re.MULTILINE)]
    (code,) = [block for block in blocks if f"class {kind}:" in block]
    module = types.ModuleType("obj2ngp.ngp.networks.mine")
    exec(code, vars(module))  # noqa: S102
    monkeypatch.setitem(sys.modules, module.__name__, module)
    network = NetworkConfig(levels=2, table_log2=9, base_resolution=8, finest_resolution=16, **{kind.lower(): "mine"})
    config = TrainConfig(
        steps=40,
        samples_per_step=1024,
        march_steps=64,
        warmup_steps=10,
        network=network,
        occupancy=OccupancyConfig(resolution=16),
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run = TrainingRun.alone(ball_images(size=16), config, backends.select("cpu"))
    before = run.workspace.field.table.clone()
    assert list(steps(run))[-1]["psnr"] > 17
    assert not torch.equal(before, run.workspace.field.table)
    torch.set_num_threads(threads)
