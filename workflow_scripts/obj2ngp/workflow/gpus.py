"""Graphics cards that no other job of the user holds.

Standard library only and valid for Python 3.8: a job's prefix runs in the trainer's environment.
"""

import fcntl
import functools
import getpass
import os
import subprocess
import tempfile
import time
from pathlib import Path

from obj2ngp.common.files import UserError


@functools.lru_cache(maxsize=None)
def visible_gpus():
    """The names of the cards that this process may use; none without an NVIDIA driver. Asked once."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return []


def take(count, gpus, folder):
    """Hold `count` of `gpus` by locks in `folder` and return their names; None if too few are free.

    The locks last until this process, and whatever it becomes by `exec`, has ended.
    """
    held = {}
    for name in gpus:
        lock = os.open(str(folder / name.replace("/", "_")), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        held[name] = lock
        if len(held) == count:
            for lock in held.values():
                os.set_inheritable(lock, True)
            return list(held)
    for lock in held.values():
        os.close(lock)
    return None


def wait_for(count):
    """The names of `count` visible cards, held until this process and what it becomes has ended. Raises UserError."""
    gpus = visible_gpus()
    if len(gpus) < count:
        raise UserError("{} GPU(s) wanted, {} visible".format(count, len(gpus)))
    # Inside a SLURM job the cards are numbered anew, so that names mean something only there.
    scope = "obj2ngp-gpus-{}-{}".format(getpass.getuser(), os.environ.get("SLURM_JOB_ID", "0"))
    folder = Path(tempfile.gettempdir(), scope)
    folder.mkdir(mode=0o700, exist_ok=True)
    chosen = take(count, gpus, folder)
    while chosen is None:
        time.sleep(0.5)
        chosen = take(count, gpus, folder)
    return chosen
