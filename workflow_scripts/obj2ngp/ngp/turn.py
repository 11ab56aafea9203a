"""Turns on a graphics card that jobs share."""

import contextlib
import os

from obj2ngp.common.runtime import TURN, lock


def shared():
    """Whether this job shares its graphics card with others: what needs no turn is then better done before it."""
    return TURN in os.environ


@contextlib.contextmanager
def turn():
    """Have the shared card to oneself for the block, which only computes on it; at once where no card is shared.

    Jobs read, encode and write beside one another, but compute one after another: a card that switches between
    processes within milliseconds gets less done than one that serves them in turn (measured on an H100: 1.32 objects
    a second for one process, 1.02 for two at once, 0.87 for four).
    """
    if not shared():
        yield
        return
    held = lock(os.environ[TURN], "the turn on the shared card")
    try:
        yield
    finally:
        os.close(held)
