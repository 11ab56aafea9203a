"""Rules, format and types, by the tools that `make lint` and the hooks of .pre-commit-config.yaml use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


COMMANDS = [
    "ruff check",
    "ruff format --check",
    "snakefmt --check Snakefile rules",
    pytest.param("snakemake --directory demo --lint", marks=pytest.mark.slow),
    pytest.param("mypy", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_tool_has_nothing_to_say(command):
    name, *arguments = command.split()
    program = [Path(sys.executable).with_name(name), *arguments]
    environment = {**os.environ, "PYTHONPATH": ""}  # on which it depends what mypy takes for a library
    run = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
