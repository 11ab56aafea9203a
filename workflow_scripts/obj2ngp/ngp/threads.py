"""How many threads the trainer's libraries use, and how long those wait for one another before they sleep."""

import os
import sys

# How often an OpenMP thread looks for work before it sleeps. GNU's own 300,000 are milliseconds, in which a thread that
# waits takes a core from one that works; at 0 threads are woken for each of a step's loops.
SPINS = 10_000


def set_threads(count):
    """Have PyTorch and numba use `count` threads, 0 for as many as there are cores, or as the environment says.

    They read it from the environment as they are loaded: RuntimeError if another number comes later than that. BLAS has
    one. What the environment already says about waiting stays.
    """
    give_blas_one_thread()
    if count:
        loaded = {"torch", "numba"} & set(sys.modules)
        if loaded and os.environ.get("NUMBA_NUM_THREADS") != str(count):
            raise RuntimeError("{} loaded before its threads were set".format(" and ".join(sorted(loaded))))
        os.environ.update(OMP_NUM_THREADS=str(count), NUMBA_NUM_THREADS=str(count))
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))


def give_blas_one_thread():
    """Have NumPy's and SciPy's BLAS, where they are loaded later than this, use one thread.

    Each of numba's threads calls it for small matrices of its own; further ones would take 40 MB each.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
