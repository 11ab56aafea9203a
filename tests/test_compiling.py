"""The cpu backend's kernels: all compiled by an installation, kept where that is possible, never a stale one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from obj2ngp.ngp.backends.cpu import compiling

PROGRAMS = compiling.FOLDER.parents[3]
EVERY_KERNEL = """
import importlib, pkgutil
import numba
from obj2ngp.ngp import install
from obj2ngp.ngp.backends import cpu

install.main()
modules = [importlib.import_module(f"{cpu.__name__}.{module.name}") for module in pkgutil.iter_modules(cpu.__path__)]
kernels = {
    value
    for module in modules
    for value in vars(module).values()
    if isinstance(value, numba.core.registry.CPUDispatcher)
}
assert len(kernels) > 20
left_out = [kernel for kernel in kernels if not kernel.signatures]
assert not left_out, left_out
"""


BITS = """
import hashlib
from ball import ball_images
from obj2ngp.ngp.backends.cpu import Backend
from obj2ngp.ngp.config import resolve
from obj2ngp.ngp.training import TrainingRun, steps

images = ball_images()
run = TrainingRun.alone(images, resolve({"steps": 40, "samples_per_step": 4096}, "cpu", len(images), 128), Backend)
list(steps(run))
space = run.workspace
space.backend.render(space.rays, space.grid, space.samples, space.step_size)
for tensor in (*run.state().values(), space.rays.color):
    print(hashlib.sha256(tensor.numpy().tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_an_installation_compiles_every_kernel_and_kept_ones_round_alike(tmp_path):
    """Where nothing is compiled yet: a kernel that another one is made of is not loaded from the cache by itself."""
    path = os.pathsep.join(map(str, (PROGRAMS, Path(__file__).parent)))
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": path}

    def printed(program):
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    compiled_now, kept = printed(EVERY_KERNEL + BITS), printed(BITS)
    assert compiled_now == kept and kept.count("\n") > 10


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A copy of the backend's files in a package of its own; the user's cache lies beside it."""
    package = tmp_path / "ngp" / "backends" / "cpu"
    shutil.copytree(compiling.FOLDER, package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("buffers.py", "depth.py", "field.py", "light.py", "backends/base.py"):
        shutil.copy(compiling.FOLDER.parents[1] / name, tmp_path / "ngp" / name)
    monkeypatch.setattr(compiling, "FOLDER", package)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    compiling.cache_folder.cache_clear()
    yield package, tmp_path / "cache"
    compiling.cache_folder.cache_clear()


@pytest.mark.parametrize("changed", ["hashing.py", "../base.py", "../../field.py", "new.py"])
def test_what_kernels_are_made_of_decides_where_they_are_kept(folders, changed):
    package, _ = folders
    before = compiling.cache_folder()
    assert before.startswith(str(package / "__pycache__"))
    with open(package / changed, "a") as file:
        file.write("# another\n")
    compiling.cache_folder.cache_clear()
    assert compiling.cache_folder() != before


def test_where_the_checkout_cannot_be_written_the_user_s_cache_is_taken(folders):
    package, cache = folders
    (package / "__pycache__").write_text("in the way")
    assert compiling.cache_folder().startswith(str(cache / "obj2ngp"))
    kernel = compiling.jit(double)
    assert kernel(21) == 42 and list(cache.rglob("*.nbi")) and numba.config.CACHE_DIR == ""


def test_where_nothing_can_be_written_kernels_are_kept_nowhere(folders):
    package, cache = folders
    (package / "__pycache__").write_text("in the way"), cache.write_text("in the way")
    assert compiling.cache_folder() is None
    assert compiling.jit(double)(21) == 42


def test_a_folder_that_the_environment_names_is_kept_to(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "named"))
    assert compiling.cache_folder().startswith(str(tmp_path / "named"))


def double(x):
    return 2 * x


def test_without_openmp_loops_stay_in_one_thread(monkeypatch):
    """And no kernel that was compiled with it is taken."""
    from obj2ngp.ngp.backends.cpu import Backend

    def turns(n):
        return sum(i for i in numba.prange(n))

    with_it = compiling.openmp(), compiling.source_hash(), "parallel" in compiling.jit_parallel(turns).targetoptions
    assert with_it[0] and with_it[2], "numba has no OpenMP here: the Debian package libgomp1 brings it"
    monkeypatch.setitem(sys.modules, "numba.np.ufunc.omppool", None)
    compiling.openmp.cache_clear()
    try:
        assert not compiling.openmp() and compiling.source_hash() != with_it[1]
        assert "parallel" not in compiling.jit_parallel(turns).targetoptions
        assert Backend.describe() == "1 thread"
    finally:
        compiling.openmp.cache_clear()
