"""The versions of Blender that are tested beside the project's own, each in an environment of its own."""

import os
import shutil
import subprocess

import pytest

from pythons import find_python
from scene_helpers import ROOT

PYTHONS = {"bpy 4.2.23": "3.11", "bpy 4.5.15": "3.11", "bpy 5.0.1": "3.11", "bpy 5.2.3": "3.13"}
OTHERS = [*PYTHONS, "Debian's blender"]
VERSIONS = ["default"] + [pytest.param(version, marks=pytest.mark.blenders) for version in OTHERS]


def command(version, script):
    """The command that runs ``script`` in ``version``, which is installed first; skips where that is impossible."""
    if version == "Debian's blender":
        if not shutil.which("blender") and os.geteuid() == 0 and shutil.which("apt-get"):
            subprocess.run(["apt-get", "-qq", "update"], check=True)
            subprocess.run(["apt-get", "-qq", "install", "-y", "blender", "python3-numpy"], check=True)
        if not shutil.which("blender"):
            pytest.skip("no blender executable, and no right to install one: apt-get install blender python3-numpy")
        return ["blender", "-b", "--factory-startup", "--python-exit-code", "1", "-P", script]
    package, number = version.split()
    folder = ROOT / ".cache/blenders" / number
    if not (folder / "installed").exists():
        python = find_python(PYTHONS[version])
        if python is None:
            pytest.skip(f"no Python {PYTHONS[version]} found on PATH or in pyenv")
        subprocess.run([python, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin/python", "-m", "pip", "install", "-q", f"{package}=={number}"], check=True)
        subprocess.run([ROOT / "setup/blender_libraries.sh", folder / "bin/python"], check=True)
        (folder / "installed").touch()
    return [folder / "bin/python", script]
