"""Graphics cards, and the room on them for jobs of this user.

Standard library only, Python 3.8, quick to import: every job starts with it.
"""

import functools
import os
import sys
import time

from obj2ngp.common.runtime import TURN, holder, private_folder, try_lock

CARDS = "OBJ2NGP_GPUS"  # environment: names of the cards to use, separated by commas
JOBS_PER_CARD = "OBJ2NGP_JOBS_PER_GPU"  # environment: how many jobs may share a card
POLL_SECONDS = 0.02


@functools.lru_cache(maxsize=None)
def visible_gpus():
    """The names of the cards that this process may use; none without an NVIDIA driver. Asked once."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    import subprocess  # slower to import than a job may start; Snakemake asks once and names the cards in CARDS

    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return []


def take_slot(owner):
    """Wait for room on a card, and make this card the only one that this process and what it becomes can see.

    Waiting ends with the Process `owner`: SystemExit.

    The room is held through a locked file until this process, and whatever it becomes by `exec`, has ended. Where no
    card is known there is nothing to wait for: the job's program finds what it can use, or says that it finds nothing.
    """
    named = os.environ.get(CARDS)
    cards = named.split(",") if named else visible_gpus()
    if not cards:
        return
    # Inside a SLURM job the cards are numbered anew, so that names mean something only there.
    folder = private_folder("gpus-" + os.environ.get("SLURM_JOB_ID", "0"))
    slots = [(card, room) for room in range(int(os.environ.get(JOBS_PER_CARD) or 1)) for card in cards]
    waiting = False
    while True:
        for card, room in slots:
            held = try_lock(_slot(folder, card, room))
            if held is not None:
                os.set_inheritable(held, True)
                os.environ["CUDA_VISIBLE_DEVICES"] = card
                os.environ[TURN] = os.path.join(folder, card.replace("/", "_") + ".turn")
                return
        if not waiting:
            holders = ", ".join(holder(_slot(folder, *slot)) for slot in slots)
            print(
                "waiting for room on GPU {}, which processes {} have".format(", ".join(cards), holders),
                file=sys.stderr,
                flush=True,
            )
            waiting = True
        if owner.has_ended():
            sys.exit(1)
        time.sleep(POLL_SECONDS)


def _slot(folder, card, room):
    """The lock file of a place on a card."""
    return os.path.join(folder, "{}-{}".format(card.replace("/", "_"), room))
