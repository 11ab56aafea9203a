"""Published programs of other people open our image sets and drive our trainer: nerfstudio and nerfbaselines.

They are installed without what they depend on, most of which these parts of them do not use.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from image_set_scene import write_ball
from obj2ngp.views.writing import WRITERS, read_views

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = [
    "nerfbaselines==1.2.12",
    "nerfstudio==1.1.5",
    *("jaxtyping==0.3.11", "tensorboard==2.21.0", "protobuf==7.36.2", "absl-py==2.5.1"),
]
# Stands in for nerfbaselines' LPIPS, whose weights and torchvision are not there.
LPIPS = """
import torch


class LPIPS(torch.nn.Module):
    def __init__(self, **_):
        super().__init__()

    def forward(self, one, other):
        return (one - other).abs().mean((1, 2, 3))
"""
PARSE = """
import sys
from pathlib import Path
import numpy as np
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig

folder, kind, out = sys.argv[1:]
config = (
    BlenderDataParserConfig(data=Path(folder))
    if kind == "nerf-synthetic"
    else NerfstudioDataParserConfig(data=Path(folder), center_method="none", auto_scale_poses=False)
)
found = {}
for split in ("train", "test"):
    outputs = config.setup().get_dataparser_outputs(split=split)
    cameras = outputs.cameras
    found[split + "_files"] = np.array(list(map(str, outputs.image_filenames)))
    found[split + "_pose"] = cameras.camera_to_worlds.numpy()
    found[split + "_camera"] = np.stack([getattr(cameras, name).flatten().numpy() for name in ("fx", "fy", "cx", "cy")])
np.savez(out, **found)
"""

pytestmark = [pytest.mark.slow, pytest.mark.network]


@pytest.fixture(scope="module")
def installed():
    """The environment in which Python finds the programs; they are installed once."""
    folder = ROOT / ".cache/other_programs"
    stamp = folder / "installed.json"
    if not stamp.exists() or json.loads(stamp.read_text()) != PACKAGES:
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--upgrade",
            "--target",
            folder,
            *PACKAGES,
        ]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            pytest.skip(f"cannot be installed: {run.stderr.strip().splitlines()[-1]}")
        (folder / "nerfbaselines/_metrics_lpips.py").write_text(LPIPS)
        stamp.write_text(json.dumps(PACKAGES))
    # Behind our own packages, so that these keep their versions.
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'workflow_scripts'}{os.pathsep}{folder}", "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("layout", ["nerf-synthetic", "nerfstudio"])
def test_nerfstudio_opens_our_views(tmp_path, installed, layout):
    splits = write_ball(tmp_path / "renders")
    (tmp_path / "set").mkdir()
    WRITERS[layout](read_views(tmp_path / "renders"), tmp_path / "set", "ball")
    command = [sys.executable, "-c", PARSE, tmp_path / "set", layout, tmp_path / "found.npz"]
    run = subprocess.run(command, env=installed, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    found = np.load(tmp_path / "found.npz")
    for split, views in splits.items():
        names = [Path(file).stem for file in found[f"{split}_files"]]
        assert names == views.names and all(map(os.path.exists, found[f"{split}_files"]))
        np.testing.assert_allclose(found[f"{split}_pose"], views.pose, atol=1e-6)
        camera = np.array([views.focal, views.focal, *views.center])[:, None]
        np.testing.assert_allclose(
            found[f"{split}_camera"], camera.repeat(found[f"{split}_camera"].shape[1], 1), rtol=1e-6
        )


def test_our_trainer_is_a_method_of_nerfbaselines(tmp_path, installed):
    """Its own checks pass: those of `nerfbaselines test-method`."""
    write_ball(tmp_path / "set", placed=True)
    loader = "nerfbaselines.datasets.blender:load_blender_dataset"
    info = {"loader": loader, "type": "object-centric", "evaluation_protocol": "nerf", "id": None, "scene": None}
    (tmp_path / "set/nb-info.json").write_text(json.dumps(info))
    settings = {
        "backend": "cpu",
        "steps": 20,
        "samples_per_step": 1024,
        "network.levels": 4,
        "occupancy.resolution": 16,
    }
    command = [sys.executable, "-m", "nerfbaselines", "test-method", "--method", "obj2ngp", "--data", "set"]
    command += ["--backend", "python", "--steps", "5", *(f"--set={key}={value}" for key, value in settings.items())]
    spec = ROOT / "integrations/nerfbaselines/obj2ngp_spec.py"
    environment = {**installed, "NERFBASELINES_REGISTER": str(spec)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    said = re.sub(r"\x1b\[[\d;]*m", "", run.stdout + run.stderr)
    assert run.returncode == 0 and "All tests passed:" in said, said[-3000:]
    summary = said.partition("All tests passed:")[2]
    assert summary.count("✓") == 19 and "✗" not in summary
