"""The set-up scripts: what they install, what they say where they may not, and that they rest when all is there."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"([A-Za-z0-9_.-]+)(?:\[\w+\])?==(\S+)")


def script(name, *arguments, **options):
    command = [str(ROOT / "setup" / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.fixture
def tools(tmp_path):
    """An environment whose PATH holds only what the scripts need; `add` puts further commands in."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("sh", "grep", "dirname", "env"):
        (folder / name).symlink_to(shutil.which(name))

    def add(name, text):
        (folder / name).write_text(f"#!{shutil.which('sh')}\n{text}\n")
        (folder / name).chmod(0o755)

    add("dpkg-query", 'for last; do :; done; [ "$last" = there ] && echo installed || exit 1')
    add.environment = {"PATH": str(folder)}
    add.log = tmp_path / "log"
    return add


def test_packages_that_are_there_need_nobody(tools):
    assert script("system_packages.sh", "there", env=tools.environment).returncode == 0


def test_without_the_right_to_install_one_message_names_the_command(tools):
    tools("id", "echo 1000")
    tools("sudo", "exit 1")
    run = script("system_packages.sh", "there", "libone", "libtwo", env=tools.environment)
    assert run.returncode == 1
    assert "sudo apt-get install -y libone libtwo\n" in run.stderr and "there" not in run.stderr.split("install -y")[1]


@pytest.mark.parametrize("user, prefix", [("0", ""), ("1000", "sudo ")])
def test_missing_packages_are_installed_where_that_is_allowed(tools, user, prefix):
    tools("id", f"echo {user}")
    tools("apt-get", f'echo "$@" >> {tools.log}')
    tools("sudo", f'[ "$*" = "-n true" ] && exit 0; shift; echo sudo >> {tools.log}; exec "$@"')
    run = script("system_packages.sh", "libone", "there", env=tools.environment)
    assert run.returncode == 0, run.stderr
    lines = tools.log.read_text().replace("sudo\n", "sudo ").splitlines()
    assert lines == [f"{prefix}-qq update", f"{prefix}-qq install -y --no-install-recommends libone"]


def test_another_python_is_refused_with_one_message(tmp_path):
    python = tmp_path / "python3.12"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    for name in (python, "no-such-python"):
        run = script("python_environment.sh", name, tmp_path / "venv", "workflow")
        assert run.returncode == 1 and "needs Python 3.11" in run.stderr and "apt-get install" in run.stderr
    assert not (tmp_path / "venv").exists()


def test_make_installs_again_only_after_a_changed_lock(tmp_path):
    """On a copy with a script that only says when it is called."""
    for name in ("Makefile", "requirements"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy2)(ROOT / name, tmp_path / name)
    (tmp_path / "setup").mkdir()
    for name in ("python_environment.sh", "blender_libraries.sh"):
        (tmp_path / "setup" / name).write_text('#!/bin/sh\nmkdir -p .venv .venv-blender\necho "called $*"\n')
        (tmp_path / "setup" / name).chmod(0o755)

    def make():
        targets = [".venv/installed", ".venv-blender/installed"]
        run = subprocess.run(["make", "--silent", *targets], cwd=tmp_path, capture_output=True, text=True, check=True)
        return [line for line in run.stdout.splitlines() if line.startswith("called")]

    assert len(make()) == 3
    assert make() == []
    future = (tmp_path / ".venv" / "installed").stat().st_mtime + 10
    os.utime(tmp_path / "requirements" / "workflow.lock", (future, future))
    assert make() == ["called python3.11 .venv workflow"]


@pytest.mark.parametrize("name", ["workflow", "blender"])
def test_what_is_asked_for_is_pinned_and_the_lock_agrees(name):
    asked = (ROOT / "requirements" / f"{name}.in").read_text()
    lock = (ROOT / "requirements" / f"{name}.lock").read_text()
    pins = dict(PIN.fullmatch(line).groups() for line in lock.splitlines() if line and not line.startswith("#"))
    for line in asked.splitlines():
        if line and not line.startswith("#"):
            package, version = PIN.fullmatch(line).groups()
            assert pins[package] == version
    assert "://" not in asked + lock and "--hash" not in lock
