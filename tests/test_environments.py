"""The conda environments: every line parses strictly and pins one version, and the versions fit each other.

Whether the channels can serve them together cannot be known without the channels.
"""

import re
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from rattler import MatchSpec

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "envs").glob("*.yaml"))
PIP_VERSION = re.compile(r"([A-Za-z0-9_.-]+)==([0-9][0-9a-z.]*)")
PIP_COMMIT = re.compile(
    r"([a-z]+) @ git\+https://[\w./-]+@[0-9a-f]{40}(#subdirectory=[\w/]+)?( --global-option=\"--\w+\")*"
)
PIP_WHEEL = re.compile(r"([a-z-]+) @ https://\S+\.whl")


class Environment:
    """A parsed environment file: `conda` and `pip` map a package's name to its MatchSpec or its line."""

    def __init__(self, path):
        content = yaml.safe_load(path.read_text())
        assert set(content) == {"channels", "dependencies"}
        self.channels, self.conda, self.pip = content["channels"], {}, {}
        for line in content["dependencies"]:
            if isinstance(line, dict):
                assert set(line) == {"pip"} and not self.pip
                self.pip = {re.match(r"[\w.-]+", requirement).group(): requirement for requirement in line["pip"]}
                continue
            spec = MatchSpec(line, strict=True)
            name = line.split("=")[0]
            assert name not in self.conda
            self.conda[name] = spec

    def version(self, name):
        if name in self.conda:
            return self.conda[name].version[2:]
        return PIP_VERSION.fullmatch(self.pip[name]).group(2)


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def environment(request):
    return Environment(request.param)


@pytest.fixture(scope="module")
def cu111():
    return Environment(ROOT / "envs/ngp-cu111.yaml")


def requirements(name):
    """The lines of requirements/NAME, parsed, without their hashes."""
    text = re.sub(r" *\\\n *--hash=\S+", "", (ROOT / "requirements" / name).read_text())
    return [Requirement(line) for line in text.splitlines() if line and not line.startswith("#")]


def locked(name, python):
    """Package -> version in requirements/NAME.lock for a version of Python such as "3.11.9"."""
    target = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    fitting = [pin for pin in requirements(name + ".lock") if not pin.marker or pin.marker.evaluate(target)]
    return {pin.name: str(pin.specifier).lstrip("=") for pin in fitting}


def test_the_environments_that_the_rules_name_exist():
    named = set()
    for rules in (ROOT / "rules").glob("*.smk"):
        named |= set(re.findall(r"envs/([\w-]+)\.yaml", rules.read_text()))
    assert {"blender", "report"} <= named
    assert {path.stem for path in FILES} == named | {"ngp", "ngp-cu111"}


def test_every_pin_is_exact(environment):
    assert environment.channels[-1] == "nodefaults" and "conda-forge" in environment.channels
    assert {"python", "pip"} <= set(environment.conda)
    for name, spec in environment.conda.items():
        assert re.fullmatch(r"==\d+(\.\d+)+", spec.version or ""), name
        assert spec.build is None or "*" not in spec.build, name
    for line in environment.pip.values():
        assert PIP_VERSION.fullmatch(line) or PIP_COMMIT.fullmatch(line) or PIP_WHEEL.fullmatch(line), line


@pytest.mark.parametrize(
    "name, lock",
    [
        ("ngp", "workflow"),
        ("export", "workflow"),
        ("report", "workflow"),
        ("views", "workflow"),
        ("blender", "blender"),
    ],
)
def test_conda_and_pip_users_get_the_same_versions(name, lock):
    environment = Environment(ROOT / "envs" / (name + ".yaml"))
    versions = locked(lock, environment.version("python"))
    assert environment.version("python").startswith("3.11.") and environment.pip
    for package in environment.pip:
        assert environment.version(package) == versions[package], package


def test_the_old_environment_is_of_one_piece(cu111):
    """PyTorch 1.9.0, Python 3.8 and CUDA 11.1 in every version, build string and wheel."""
    builds = {name: cu111.conda[name].build for name in ("pytorch", "torchvision")}
    assert cu111.version("pytorch") == "1.9.0" and cu111.version("torchvision") == "0.10.0"
    assert cu111.version("python").rsplit(".", 1)[0] == "3.8"
    assert cu111.version("cudatoolkit") == cu111.version("cudatoolkit-dev") and "11.1." in cu111.version("cudatoolkit")
    assert builds["pytorch"].startswith("py3.8_cuda11.1_") and builds["torchvision"] == "py38_cu111"
    assert "/torch-1.9.0%2Bcu111/torch_scatter-2.0.9-cp38-cp38-linux" in cu111.pip["torch-scatter"]
    assert int(cu111.version("gxx_linux-64").split(".")[0]) <= 10
    assert {"cmake", "ninja"} <= set(cu111.conda)
    # Later ones refuse `setup.py install` with options, or lack what PyTorch 1.9 imports from them.
    assert int(cu111.version("pip").split(".")[0]) <= 22 and int(cu111.version("setuptools").split(".")[0]) < 60


def test_the_old_environment_compiles_the_extensions(cu111):
    assert {name for name, line in cu111.pip.items() if PIP_COMMIT.fullmatch(line)} == {"tinycudann", "vren", "apex"}
    assert "#subdirectory=bindings/torch" in cu111.pip["tinycudann"]
    assert "#subdirectory=models/csrc" in cu111.pip["vren"]
    assert '--global-option="--cuda_ext"' in cu111.pip["apex"]


def test_the_old_environment_says_what_it_needs():
    text = (ROOT / "envs/ngp-cu111.yaml").read_text()
    assert "TCNN_CUDA_ARCHITECTURES=" in text and "Not tried" in text


def test_both_trainer_environments_hold_what_its_programs_import(cu111):
    current = Environment(ROOT / "envs/ngp.yaml")
    shared = {"numpy", "safetensors", "pillow", "imageio-ffmpeg", "rich"}
    assert shared <= set(current.pip) and shared <= {*cu111.conda, *cu111.pip}
