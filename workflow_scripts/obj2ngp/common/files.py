"""Outputs that appear whole or not at all, and errors that a user can act on.

Standard library only and valid for Python 3.7, so that it also runs inside Blender 2.90.
"""

import contextlib
import os
import re
import shutil
import sys
import uuid
from pathlib import Path

ERROR = "error: "  # how the line begins with which a program stops


class UserError(Exception):
    """Bad input: the message names the object or file and says what is wrong with it."""


@contextlib.contextmanager
def naming(name):
    """Put the name of the object before the message of a `UserError`."""
    try:
        yield
    except UserError as error:
        raise UserError(f"object {name}: {error}") from error


def run_program(main, argv):
    """Run `main(argv)` as a command-line program: a `UserError` becomes one line and exit code 1."""
    try:
        main(argv)
    except UserError as error:
        print(f"{ERROR}{error}", file=sys.stderr)
        sys.exit(1)


def _hidden_sibling(path, key=None):
    """A name in the folder of `path` (same suffix, not globbed by `*`): a fresh one, or that of `key`."""
    return path.parent / f".{path.stem}-{key or uuid.uuid4().hex[:12]}{path.suffix}"


def _make_room(path, kept=None):
    """Make the folder that `path` is to lie in, and remove what a killed run has left of `path`: siblings but `kept`.

    No other process writes `path` at the same time: each output belongs to one job.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sibling = re.compile(re.escape(f".{path.stem}-") + "[0-9a-f]{12}" + re.escape(path.suffix))
    for left in [entry for entry in path.parent.iterdir() if sibling.fullmatch(entry.name)]:
        if left != kept:
            _remove(left)


def _remove(path):
    """Remove the file or folder `path`, if it exists."""
    if path.is_dir():
        shutil.rmtree(str(path), ignore_errors=True)
    elif path.exists():
        path.unlink()


@contextlib.contextmanager
def atomic_path(path):
    """Yield a temporary sibling of the file `path`; it replaces `path` if the block succeeds.

    The sibling has the suffix of `path`, since many writers choose their format by it. Missing
    parent folders are made, and siblings that a killed run left are removed. After an exception
    `path` is as it was and the sibling is gone.
    """
    path = Path(path)
    _make_room(path)
    temporary = _hidden_sibling(path)
    try:
        yield temporary
        os.replace(str(temporary), str(path))
    finally:
        _remove(temporary)


@contextlib.contextmanager
def atomic_folder(path, key=None):
    """Yield a sibling folder; it replaces the folder `path` if the block succeeds.

    Whatever `path` held before is gone afterwards, so files of a former run never remain. A folder
    cannot be replaced in one step: for an instant between two renames `path` is absent.

    The sibling is empty, and gone after an exception. With a `key`, 12 hexadecimal digits that say
    all that its files follow from, a block that was killed or failed leaves it, unless with a
    `UserError`; the next one with the same key goes on from the files in it, and any other call
    removes it. The block must write each file in one step.
    """
    path = Path(path)
    temporary, former = _hidden_sibling(path, key), _hidden_sibling(path)
    _make_room(path, kept=temporary)
    temporary.mkdir(exist_ok=True)
    try:
        yield temporary
        if path.exists():
            os.replace(str(path), str(former))
        os.replace(str(temporary), str(path))
    except BaseException as reason:
        if key is None or isinstance(reason, UserError):
            _remove(temporary)
        raise
    finally:
        _remove(former)
