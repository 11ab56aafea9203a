"""`pip install .`: a wheel with every room, its data and its dependencies, that works outside the clone."""

import functools
import importlib.metadata
import re
import shutil
import site
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from test_rooms import BLENDER, NAMES, PACKAGE, ROOMS, ROOT, TCNN, imports, packages, room_of

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CODE = """
import importlib, importlib.metadata, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
import obj2ngp
from obj2ngp.ngp import load_model
assert importlib.metadata.version("obj2ngp") == obj2ngp.__version__
print(obj2ngp.__file__)
"""


VIEWS = {"cv2"}  # only to bring other programs' views in
distributions = functools.cache(importlib.metadata.packages_distributions)


def imported_by(rooms):
    """The packages that the modules of these rooms import, as PyPI names them."""
    names = set().union(*(packages(imports(path, True)) for name, path in NAMES.items() if room_of(name) in rooms))
    optional = BLENDER | TCNN | {"lpips", *VIEWS}
    return {re.sub("[_.]", "-", distributions().get(name, [name])[0].lower()) for name in names - optional}


def declared(lines):
    return {Requirement(line).name for line in lines}


def test_what_is_imported_is_declared_and_nothing_else():
    extras = {name: declared(lines) for name, lines in PROJECT["optional-dependencies"].items()}
    library = declared(PROJECT["dependencies"])
    assert library == imported_by({"common", "views", "ngp"})
    assert extras["views"] == {distributions()[name][0] for name in VIEWS}
    assert extras["view"] == imported_by({"viewer"}) - library
    assert extras["export"] == imported_by({"exports", "surface"}) - library
    assert extras["report"] == imported_by({"evaluation", "report", "surface"}) - library
    assert extras["workflow"] == imported_by({"workflow"}) | {"snakemake"}


def test_the_version_stands_in_one_place():
    version = importlib.import_module("obj2ngp").__version__
    assert "version" not in PROJECT
    for name in ("pyproject.toml", "CITATION.cff", "README.md"):
        assert version not in (ROOT / name).read_text().split(), name
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.network
def test_pip_installs_the_library(tmp_path):
    """In a fresh environment that sees the packages of this one, but not its path to our modules."""
    source = tmp_path / "source"
    shutil.copytree(PACKAGE, source / "workflow_scripts/obj2ngp", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, source)
    python = tmp_path / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    found = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[0])"], capture_output=True, text=True
    )
    Path(found.stdout.strip(), "others.pth").write_text("\n".join(site.getsitepackages()))
    subprocess.run([python, "-m", "pip", "install", "--quiet", source], check=True)

    names = [name for name in NAMES if room_of(name) and not packages(imports(NAMES[name])) & (BLENDER | TCNN)]
    names = [name for name in names if ".tcnn" not in name]
    assert {room_of(name) for name in names} == set(ROOMS)
    run = subprocess.run([python, "-c", CODE, *names], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    installed = Path(run.stdout.strip()).parent
    assert tmp_path / "venv" in installed.parents
    files = {
        path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert files <= {path.relative_to(installed) for path in installed.rglob("*")}
