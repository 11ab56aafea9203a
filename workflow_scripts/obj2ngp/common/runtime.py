"""Files of running programs: a folder that only this user can enter, and locks that end with their holder.

Standard library only, Python 3.7, and quick to import: it is part of what every job starts with.
"""

import fcntl
import os
import socket
import stat
import struct

TURN = "OBJ2NGP_TURN"  # environment: the lock file of the card that this job shares with others


class RuntimeFolderError(Exception):
    """The folder for locks and sockets is not ours alone; the message says why."""


def private_folder(*parts):
    """The path of a folder of mode 0700 that this user owns, made where it is missing.

    It lies in ``XDG_RUNTIME_DIR``, or else in /tmp, under a name with the user's number; `parts` name folders in it.
    A folder of somebody else, one that others may enter, or a link in its place raises RuntimeFolderError: whoever can
    write there could take a job's socket or hold its locks.
    """
    base = os.environ.get("XDG_RUNTIME_DIR") or "/tmp"
    path = os.path.join(base, "obj2ngp-{}".format(os.getuid()))
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
    return descriptor


def lock(path):
    """A file descriptor that holds the lock file `path`; waits until it is free."""
    descriptor = _opened(path)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _opened(path):
    """A descriptor of the lock file `path`, which no other program inherits."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def peer(connection):
    """(process, user) numbers of the other side of a connected Unix socket."""
    return struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[:2]
