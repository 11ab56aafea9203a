"""A warm worker: a process that runs one job after another, so that imports, kernels and contexts stay loaded.

A job is a program of `workflow_scripts` with its arguments. It runs in the main thread (Blender wants that), writes to
the job's own standard output and error, whose descriptors come with it, and ends like the program would. The other side
is `obj2ngp.workflow.workers`. Standard library only, Python 3.7: it also runs inside Blender 2.90.
"""

import contextlib
import importlib
import os
import select
import socket
import struct
import sys
import threading
import time
import traceback

from .files import run_program
from .runtime import OWNER, peer

LONGEST_JOB = 1 << 20  # bytes of a job's message
STATUS = struct.Struct("!B")  # the answer: the job's exit status
LOOK = 1.0  # seconds between two looks at the owner and the clock


def serve(path, idle):
    """Run the jobs that come through a Unix socket at `path`, until none came for `idle` seconds or the owner ended."""
    listener = socket.socket(socket.AF_UNIX)
    fresh = "{}.{}".format(path, os.getpid())
    listener.bind(fresh)
    listener.listen(1)
    own = os.stat(fresh).st_ino
    os.rename(fresh, path)
    begin = time.monotonic()
    try:
        while time.monotonic() - begin < idle and owner_lives():
            if _serve_one(listener, LOOK):
                begin = time.monotonic()
    finally:
        _leave(path, own)
    _serve_one(listener, 0)  # who came in the last moment is still served


def owner_lives():
    """Whether the process named by the environment still runs; True where none is named."""
    owner = os.environ.get(OWNER)
    if not owner:
        return True
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return False
    return True


def _serve_one(listener, timeout):
    """Take a job if one comes within `timeout` seconds, and run it; whether one came."""
    if not select.select([listener], [], [], timeout)[0]:
        return False
    connection, _ = listener.accept()
    with connection:
        job = _receive(connection)
        if job is not None:
            finished = threading.Event()
            watch = threading.Thread(target=_end_with_client, args=(connection, finished), daemon=True)
            watch.start()
            status, sound = _run(*job)
            finished.set()
            with contextlib.suppress(OSError):  # the client may be gone by now
                connection.sendall(STATUS.pack(status))
                connection.shutdown(socket.SHUT_RD)  # wakes the watch
            watch.join()  # or it would come to see the next client's connection, which gets the same number
            if not sound:
                raise SystemExit(0)
    return True


def _receive(connection):
    """(job, standard output, standard error) of a client, None if it left or is somebody else's.

    A job is the working folder, the program's name and its arguments, in bytes; each ends with a NUL.
    """
    if peer(connection)[1] != os.getuid():
        return None
    text, descriptors = b"", []
    while not text.endswith(b"\0\n") and len(text) < LONGEST_JOB:
        part, ancillary, _, _ = connection.recvmsg(1 << 16, socket.CMSG_SPACE(8))
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors += struct.unpack("{}i".format(len(content) // 4), content)
        if not part:
            break
        text += part
    if not text.endswith(b"\0\n") or len(descriptors) != 2:
        for descriptor in descriptors:
            os.close(descriptor)
        return None
    return (text[:-2].split(b"\0"), *descriptors)


def _end_with_client(connection, finished):
    """End this process, and the job with it, when the client ends before the job: it was killed or interrupted."""
    with contextlib.suppress(ConnectionError):
        connection.recv(1)  # a client says no more
    if not finished.is_set():
        os._exit(1)


def _run(job, out, err):
    """(exit status, whether the worker can go on) of a job, with `out` and `err` as standard output and error."""
    own = os.dup(1), os.dup(2)
    os.dup2(out, 1)
    os.dup2(err, 2)
    status, sound = 0, True
    try:
        folder, program, *arguments = map(os.fsdecode, job)
        os.chdir(folder)
        run_program(importlib.import_module(program).main, arguments)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):  # a program's last words, which Python would print
            print(end.code, file=sys.stderr)
    except BaseException:  # whatever it was is told, and a fresh worker follows
        traceback.print_exc()
        status, sound = 1, False
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(own[0], 1)
    os.dup2(own[1], 2)
    for descriptor in own + (out, err):
        os.close(descriptor)
    return status, sound


def _leave(path, own):
    """Take this worker's files away, so that the next client starts another; `own` is the socket's inode number."""
    try:
        if os.stat(path).st_ino == own:
            for suffix in ("", ".starting", ".log", ".lock"):
                if os.path.exists(path + suffix):
                    os.unlink(path + suffix)
            os.rmdir(os.path.dirname(path))
    except OSError:  # another worker lives in the folder, or has come in this one's place
        pass
