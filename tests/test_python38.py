"""The trainer's programs and the tcnn backend on Python 3.8 and PyTorch 1.9.0, as the environment ngp-cu111 has them.

The other packages have that environment's versions too. They are installed from PyPI, once, into .cache/python38:
about 1.7 GB.
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ball import ball_images
from obj2ngp.views.nerf_synthetic import write_images
from pythons import find_python
from test_environments import Environment

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache/python38"
PACKAGES = ("numpy", "safetensors", "pillow", "imageio-ffmpeg", "rich")


@pytest.fixture(scope="module")
def python38():
    """Python of the cached virtual environment, made anew where the environment file asks for other versions."""
    environment = Environment(ROOT / "envs/ngp-cu111.yaml")
    wanted = ["torch==" + environment.version("pytorch")]
    wanted += ["{}=={}".format(name, environment.version(name)) for name in PACKAGES]
    installed, python = CACHE / "installed", CACHE / "bin/python"
    if installed.exists() and installed.read_text().split() == wanted:
        return python
    base = find_python("3.8")
    if base is None:
        pytest.skip("no Python 3.8 found on PATH or in pyenv")
    shutil.rmtree(CACHE, ignore_errors=True)
    subprocess.run([base, "-m", "venv", CACHE], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted], check=True)
    installed.write_text(" ".join(wanted))
    return python


def test_the_programs_run(python38, tmp_path):
    """Trains, renders a test view and a turntable, on stand-ins for the CUDA extensions."""
    program = subprocess.run([python38, ROOT / "tests/python38_training.py", tmp_path], capture_output=True, text=True)
    assert program.returncode == 0, program.stderr
    result = json.loads(program.stdout.splitlines()[-1])
    assert result["python"].startswith("3.8.") and result["torch"].startswith("1.9.0")
    assert result["psnr"] > 22
    assert (tmp_path / "orbit.gif").stat().st_size > 0 and (tmp_path / "orbit.mp4").stat().st_size > 0


def test_a_missing_package_is_named(python38, tmp_path):
    write_images(ball_images(), tmp_path, "train")
    program = subprocess.run(
        [
            python38,
            ROOT / "workflow_scripts/train.py",
            "--object",
            "ball",
            "--renders",
            tmp_path,
            "--backend",
            "tcnn",
            "--model",
            tmp_path / "model",
            "--log",
            tmp_path / "log",
        ],
        capture_output=True,
        text=True,
    )
    assert program.returncode == 1
    assert program.stderr.strip() == (
        "error: object ball: backend tcnn cannot run here (tcnn: the package tinycudann is not"
        " installed; envs/ngp-cu111.yaml has it)"
    )
