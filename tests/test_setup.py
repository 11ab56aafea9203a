"""The set-up scripts: what they find and install, what they say where they may not, and that they rest afterwards."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from pythons import find_python
from test_environments import locked, requirements

ROOT = Path(__file__).resolve().parents[1]


def script(name, *arguments, **options):
    command = [str(ROOT / "setup" / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.fixture
def tools(tmp_path):
    """An environment whose PATH holds only what the scripts need; `add` puts further commands in."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("sh", "grep", "dirname", "env", "sed", "awk"):
        (folder / name).symlink_to(shutil.which(name))

    def add(name, text):
        (folder / name).write_text(f"#!{shutil.which('sh')}\n{text}\n")
        (folder / name).chmod(0o755)

    add("dpkg-query", 'for last; do :; done; [ "$last" = there ] && echo installed || exit 1')
    add.folder, add.environment = folder, {"PATH": str(folder)}
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


@pytest.fixture
def pythons(tools):
    """Puts the Pythons with these versions on PATH; skips where this machine lacks one."""

    def put(*versions):
        for version in versions:
            python = find_python(version)
            if python is None:
                pytest.skip(f"no Python {version} found on PATH or in pyenv")
            for name in (f"python{version}", "python3"):
                (tools.folder / name).unlink(missing_ok=True)
                (tools.folder / name).symlink_to(python)

    return put


@pytest.mark.parametrize(
    "there, wanted, found",
    [
        (["3.12"], ["3.11", "3.12", "3.13"], "python3.12"),
        (["3.13"], ["3.11", "3.12", "3.13"], "python3.13"),
        (["3.13", "3.11"], ["3.11", "3.12", "3.13"], "python3.11"),
        (["3.12", "3.13"], ["3.11", "3.13"], "python3.13"),
    ],
)
def test_the_first_python_that_fits_is_found(tools, pythons, there, wanted, found):
    pythons(*there)
    run = script("find_python.sh", *wanted, env=tools.environment)
    assert run.returncode == 0 and run.stdout == f"{tools.folder / found}\n", run.stderr


def test_a_python_that_is_named_comes_first_where_it_fits(tools, pythons):
    pythons("3.11", "3.12")
    named = str(tools.folder / "python3.12")
    run = script("find_python.sh", "3.11", "3.12", env={**tools.environment, "PYTHON": named})
    assert run.stdout == named + "\n"
    run = script("find_python.sh", "3.11", "3.13", env={**tools.environment, "PYTHON": named})
    assert run.stdout == f"{tools.folder / 'python3.11'}\n"
    assert run.stderr == f"{named} is not Python 3.11 or 3.13: looking for another\n"
    run = script("find_python.sh", "3.11", "3.12", env={**tools.environment, "PYTHON": "/no/python"})
    assert run.returncode == 1 and run.stderr == "error: PYTHON=/no/python does not run\n"


def test_a_bare_machine_gets_its_own_python(tools, tmp_path):
    """As root on Debian or Ubuntu, whose packages have one of the versions."""
    tools("id", "echo 0")
    version = f"3.{sys.version_info.minor}"
    tools("apt-get", f'[ "$2" = update ] || ln -s {sys.executable} {tools.folder}/python{version}')
    (tools.folder / "ln").symlink_to(shutil.which("ln"))
    run = script("find_python.sh", "3.7", version, env=tools.environment, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{tools.folder / f'python{version}'}\n"
    assert "Installing system packages: python3 python3-venv" in run.stderr


@pytest.fixture
def clone(tmp_path):
    """The set-up files alone, as in a fresh clone."""
    folder = tmp_path / "clone"
    for name in ("requirements", "setup"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy2(ROOT / "Makefile", folder)
    return folder


@pytest.fixture
def without_network(clone, tools):
    """Environment in which uv is there, although it cannot reach what it asks for."""
    (clone / ".uv/bin").mkdir(parents=True)
    (clone / ".uv/bin/uv").write_text(f"#!{shutil.which('sh')}\necho 'error: no network' >&2; exit 1\n")
    (clone / ".uv/bin/uv").chmod(0o755)
    return tools.environment


def test_without_any_python_one_message_says_what_to_do(clone, pythons, without_network):
    pythons("3.8")
    run = script("find_python.sh", "3.11", "3.12", "3.13", env=without_network, cwd=clone)
    assert run.returncode == 1 and run.stdout == ""
    assert "needs Python 3.11, 3.12 or 3.13" in run.stderr
    for way in ("apt-get install -y python3.11 python3.11-venv", "make PYTHON=/path/to", "UV_PYTHON_INSTALL_MIRROR"):
        assert way in run.stderr


@pytest.mark.parametrize("version, offered", [("Blender 2.90.1", True), ("Blender 2.83.5", False), ("", False)])
def test_an_installed_blender_is_offered_where_its_module_cannot_be(
    clone, tools, pythons, without_network, version, offered
):
    pythons("3.12")
    if version:
        tools("blender", f"echo '{version}'; echo '  build date: 2020-09-23'")
    run = script("blender_environment.sh", ".venv-blender", env=without_network, cwd=clone)
    assert run.returncode == 1 and "needs Python 3.11 or 3.13" in run.stderr
    path = tools.folder / "blender" if offered else "/path/to/blender"
    assert f"--config 'render={{blender: {path}}}'" in run.stderr
    assert (f"There is {path}." in run.stderr) == offered
    assert not (clone / ".venv-blender").exists()


@pytest.mark.network
def test_uv_brings_a_python_into_the_project(clone, tools, pythons, tmp_path):
    """The real uv from PyPI. The Python that it brings comes from a mirror in a folder: this one's own files."""
    home = Path(sys.base_prefix)
    library = home / "lib/python3.11"
    if sys.version_info[:2] != (3, 11) or home == Path("/usr"):
        pytest.skip("needs to run in a Python 3.11 with a folder of its own")
    archive = tmp_path / "python.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(home / "bin/python3.11", "python/bin/python3.11")
        kept = lambda item: None if re.search("/(test|site-packages|config-.*|__pycache__)$", item.name) else item  # noqa: E731
        tar.add(library, "python/lib/python3.11", filter=kept)
    downloads = tmp_path / "downloads.json"
    release = {"name": "cpython", "major": 3, "minor": 11, "patch": sys.version_info.micro, "prerelease": ""}
    system = {"os": "linux", "libc": "gnu", "arch": {"family": os.uname().machine, "variant": None}}
    source = {"url": archive.as_uri(), "sha256": None, "variant": None, "build": "1"}
    downloads.write_text(json.dumps({"cpython": {**release, **system, **source}}))
    pythons("3.12")
    environment = {**os.environ, **tools.environment, "UV_PYTHON_DOWNLOADS_JSON_URL": str(downloads)}
    run = script("find_python.sh", "3.11", "3.13", env=environment, cwd=clone)
    assert run.returncode == 0, run.stderr
    python = Path(run.stdout.strip())
    assert (clone / ".python") in python.parents
    prefix = subprocess.run([python, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True).stdout
    assert Path(prefix.strip()).is_relative_to(clone / ".python")


@pytest.mark.slow
def test_an_environment_of_another_python_is_made_anew(clone, pythons, tools):
    (clone / "requirements/nothing.in").write_text("")
    (clone / "requirements/nothing.lock").write_text("")
    pythons("3.11", "3.12")

    def made(version):
        python = tools.folder / f"python{version}"
        run = script("python_environment.sh", python, "venv", "nothing", env=tools.environment, cwd=clone)
        assert run.returncode == 0, run.stderr
        return {path.name for path in (clone / "venv/lib").iterdir()}

    assert made("3.12") == {"python3.12"}
    (clone / "venv/kept").touch()
    assert made("3.12") == {"python3.12"} and (clone / "venv/kept").exists()
    assert made("3.11") == {"python3.11"} and not (clone / "venv/kept").exists()


def test_a_python_that_does_not_run_makes_nothing(clone):
    run = script("python_environment.sh", "no-such-python", "venv", "workflow", cwd=clone)
    assert run.returncode == 1 and run.stderr == "error: 'no-such-python' does not run\n"
    assert not (clone / "venv").exists()


def test_make_installs_again_only_after_a_changed_lock(clone):
    """On a copy with scripts that only say when they are called, and a Python that does nothing."""
    python = "ln -sf /bin/true .venv/bin/python"
    for name in ("find_python.sh", "python_environment.sh", "blender_environment.sh"):
        say = "echo /a/python" if name == "find_python.sh" else 'echo "called $*"'
        (clone / "setup" / name).write_text(f"#!/bin/sh\nmkdir -p .venv/bin .venv-blender\n{python}\n{say}\n")

    def make():
        targets = [".venv/installed", ".venv-blender/installed"]
        run = subprocess.run(["make", "--silent", *targets], cwd=clone, capture_output=True, text=True, check=True)
        return [line for line in run.stdout.splitlines() if line.startswith("called")]

    assert make() == ["called /a/python .venv workflow", "called .venv-blender"]
    assert make() == []
    future = (clone / ".venv" / "installed").stat().st_mtime + 10
    os.utime(clone / "requirements" / "workflow.lock", (future, future))
    assert make() == ["called /a/python .venv workflow"]


@pytest.mark.parametrize("name", ["workflow", "blender", "uv"])
def test_what_is_asked_for_is_pinned_and_the_lock_agrees(name):
    locked = {(pin.name, str(pin.specifier)) for pin in requirements(f"{name}.lock")}
    for asked in requirements(f"{name}.in"):
        assert str(asked.specifier).startswith("==") and (asked.name, str(asked.specifier)) in locked
    text = "".join((ROOT / "requirements" / f"{name}.{kind}").read_text() for kind in ("in", "lock"))
    assert "://" not in text


@pytest.mark.parametrize("name", ["workflow", "blender", "uv"])
def test_every_pin_has_the_hashes_of_its_files(name):
    lock = (ROOT / "requirements" / f"{name}.lock").read_text().replace("\\\n", " ")
    pins = [line for line in lock.splitlines() if line and not line.startswith("#")]
    assert len(pins) == len(requirements(f"{name}.lock"))
    assert all(re.search(r" --hash=sha256:[0-9a-f]{64}$", pin) for pin in pins)


@pytest.fixture
def package(clone):
    """A package of nothing but its name as a wheel in a folder of the clone, asked for; returns the wheel's hash."""
    wheel = clone / "wheels" / "nothing_much-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    info = {
        "METADATA": "Metadata-Version: 2.1\nName: nothing-much\nVersion: 1.0\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(wheel, "w") as file:
        for name, text in info.items():
            file.writestr(f"nothing_much-1.0.dist-info/{name}", text)
    (clone / "requirements/nothing.in").write_text("nothing-much==1.0\n")
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


@pytest.mark.slow
def test_a_package_is_installed_only_if_its_hash_is_the_pinned_one(clone, package):
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(clone / "wheels")}

    def install(lock):
        (clone / "requirements/nothing.lock").write_text(f"nothing-much==1.0{lock}\n")
        run = script("python_environment.sh", sys.executable, "venv", "nothing", env=environment, cwd=clone)
        return run.returncode, run.stderr, bool(list(clone.glob("venv/lib/*/site-packages/nothing_much*")))

    code, words, there = install(f" \\\n    --hash=sha256:{'0' * 64}")
    assert code and "DO NOT MATCH THE HASHES" in words and not there
    assert install(f" \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{package}") == (0, "", True)


def test_a_package_without_a_hash_in_the_lock_is_refused_but_a_build_of_torch_on_this_disk_is_taken(tmp_path):
    wheel = tmp_path / "torch-2.0+cpu-py3-none-any.whl"
    wheel.write_bytes(b"a build")
    (tmp_path / "lock").write_text("torch==2.0 \\\n    --hash=sha256:00\n")

    def verified(name, version, url):
        item = {"metadata": {"name": name, "version": version}, "download_info": {"url": url}}
        (tmp_path / "report").write_text(json.dumps({"install": [item]}))
        arguments = [sys.executable, ROOT / "setup" / "verified.py", "report", "lock"]
        run = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True)
        return run.stdout or run.stderr

    assert verified("Other", "1.0", "https://here/other.whl") == "error: lock has no hash of other 1.0\n"
    assert verified("torch", "2.1", "https://here/torch.whl") == "error: lock has no hash of torch 2.1\n"
    assert verified("torch", "2.0", "https://here/torch.whl") == "torch==2.0 --hash=sha256:00\n"
    own = hashlib.sha256(b"a build").hexdigest()
    assert verified("torch", "2.0+cpu", wheel.as_uri()) == f"torch==2.0+cpu --hash=sha256:{own}\n"


@pytest.mark.parametrize(
    "name, pythons", [("workflow", ["3.11.0", "3.12.0", "3.13.0"]), ("blender", ["3.11.0", "3.13.0"])]
)
def test_the_lock_serves_every_python_that_is_looked_for(name, pythons):
    """One version of each package for all of them, except for Blender's own."""
    locks = [locked(name, python) for python in pythons]
    assert all({asked.name for asked in requirements(f"{name}.in")} <= set(lock) for lock in locks)
    assert name == "blender" or all(lock == locks[0] for lock in locks)
