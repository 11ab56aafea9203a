"""How this backend's kernels are compiled, and where they are kept.

An installation ends with `obj2ngp.ngp.install`, which compiles them, so that no object waits for it. Numba looks only
at a kernel's own file to tell whether what it kept is of use, not at the kernels of other files that are part of it. So
they are kept under a hash of all files that they are made of: beside these where that can be written, else in the
user's cache. Where neither can, they are kept nowhere.
"""

import functools
import hashlib
import importlib
import os
from pathlib import Path

import numba

# No "contract": it leaves to the compiler which products and sums are rounded once, and the process that compiles a
# kernel gets another choice than those that find it kept.
OPTIONS = dict(nogil=True, fastmath={"arcp", "nsz"})
# What numba would share out beside loops over prange.
UNSHARED = ("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion")
# Whose code or constants kernels are made of.
SOURCES = ("*.py", "../base.py", "../../buffers.py", "../../depth.py", "../../field.py", "../../light.py")
FOLDER = Path(__file__).resolve().parent


def jit(function, **options):
    """The compiled kernel of `function`, kept from one process to the next; `options` are further ones of numba's."""
    folder = cache_folder()
    if folder is None:
        return numba.njit(**OPTIONS, **options)(function)
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, folder
    try:
        return numba.njit(cache=True, **OPTIONS, **options)(function)
    finally:
        numba.config.CACHE_DIR = before


def jit_parallel(function):
    """As `jit`, with the loops over `numba.prange` shared out among numba's threads.

    No two turns of such a loop may write the same, and none may depend on how many threads there are.
    """
    return jit(function, parallel=dict.fromkeys(UNSHARED, False)) if openmp() else jit(function)


@functools.lru_cache(maxsize=None)
def openmp():
    """Whether numba has OpenMP here. Its other ways to share a loop out take longer than most of a step's loops."""
    try:
        importlib.import_module("numba.np.ufunc.omppool")
    except ImportError:
        return False
    return True


@functools.lru_cache(maxsize=None)
def cache_folder():
    """The folder for compiled kernels, made where it is missing; None if none can be."""
    user = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    places = [numba.config.CACHE_DIR] if numba.config.CACHE_DIR else [str(FOLDER / "__pycache__"), user + "/obj2ngp"]
    for place in places:
        folder = os.path.join(place, "kernels-" + source_hash())
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    return None


def source_hash():
    """Sixteen hexadecimal digits that follow from what the kernels are made of."""
    files = sorted(path for pattern in SOURCES for path in FOLDER.glob(pattern))
    content = hashlib.sha256(b"parallel" if openmp() else b"")
    for path in files:
        content.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return content.hexdigest()[:16]
