"""Files of running programs: a folder that only this user can enter, and locks that end with their holder.

Standard library only, Python 3.7, and quick to import: it is part of what every job starts with.
"""

import fcntl
import os
import socket
import stat
import struct
import sys

OWNER = "OBJ2NGP_OWNER"  # environment: process number of the Snakemake that jobs and workers end with
TURN = "OBJ2NGP_TURN"  # environment: the lock file of the card that this job shares with others
SHARED = "/tmp"  # where nobody removes or renames what is another's


class RuntimeFolderError(Exception):
    """The folder for locks and sockets is not ours alone; the message says why."""


def private_folder(*parts):
    """The path of a folder of mode 0700 that this user owns, made where it is missing.

    It lies in ``XDG_RUNTIME_DIR``, or where that is no folder of this user alone in /tmp, under a name with the user's
    number; `parts` name folders in it. A folder of somebody else, one that others may enter, or a link in its place
    raises RuntimeFolderError: whoever can write there could take a job's socket or hold its locks.
    """
    path = os.path.join(_given_folder() or SHARED, "obj2ngp-{}".format(os.getuid()))
    for part in ("",) + parts:
        path = os.path.join(path, part) if part else path
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
        except OSError as error:
            raise RuntimeFolderError("{}: {}".format(path, error.strerror)) from error
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise RuntimeFolderError("{}: not a folder that this user alone owns and enters".format(path))
    return path


def _given_folder():
    """The folder in ``XDG_RUNTIME_DIR``; None where it is missing, as on another machine, or others may write in it."""
    path = os.environ.get("XDG_RUNTIME_DIR", "")
    try:
        found = os.stat(path)
    except OSError:
        return None
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    return path if is_ours and os.path.isabs(path) else None


def try_lock(path):
    """A file descriptor that holds the lock file `path`, or None if somebody else holds it.

    The lock ends with the last process that has the descriptor. A link at `path` is not followed (OSError).
    """
    descriptor = _opened(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    _sign(descriptor)
    return descriptor


def lock(path, what=None):
    """A file descriptor that holds the lock file `path`; waits until it is free: if told for `what`, it says so."""
    descriptor = try_lock(path)
    if descriptor is None:
        if what is not None:
            print("waiting for {}, which process {} has".format(what, holder(path)), file=sys.stderr, flush=True)
        descriptor = _opened(path)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _sign(descriptor)
    return descriptor


def holder(path):
    """The number of the process that holds, or last held, the lock file `path`, as a text; "?" where it is not told."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return "?"
    try:
        number = os.read(descriptor, 20).strip()
        return number.decode() if number.isdigit() else "?"  # what is no number goes to no terminal
    finally:
        os.close(descriptor)


def _sign(descriptor):
    """Write who holds the lock file."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    except OSError:  # the disk is full: the lock holds without its holder's name
        pass


def _opened(path):
    """A descriptor of the lock file `path`, which no other program inherits."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def peer(connection):
    """(process, user) numbers of the other side of a connected Unix socket."""
    return struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[:2]
