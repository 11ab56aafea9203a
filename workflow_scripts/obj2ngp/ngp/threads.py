"""How many threads the trainer's libraries use, and how long those wait for one another before they sleep."""

import os
import sys

# How often an OpenMP thread looks for work before it sleeps. GNU's own 300,000 are milliseconds, in which a thread that
# waits takes a core from one that works; at 0 threads are woken for each of a step's loops.
SPINS = 10_000


def set_threads(count):
    """Have PyTorch and numba use `count` threads, 0 for as many as there are cores, or as the environment says.

    They read it from the environment as they are loaded: RuntimeError if another number comes later than that. BLAS has
    one: numba's threads each call it. What the environment already says about waiting stays.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if count:
        loaded = {"torch", "numba"} & set(sys.modules)
        if loaded and os.environ.get("NUMBA_NUM_THREADS") != str(count):
            raise RuntimeError("{} loaded before its threads were set".format(" and ".join(sorted(loaded))))
        os.environ.update(OMP_NUM_THREADS=str(count), NUMBA_NUM_THREADS=str(count))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's and SciPy's: small matrices alone, 40 MB a thread
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
