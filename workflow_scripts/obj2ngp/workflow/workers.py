"""Jobs handed to warm workers: the side that Snakemake starts for every job, so it is kept quick to import.

A pool is a private folder with the sockets of workers 0, 1, ... that differ in nothing: same interpreter, code,
environment (graphics card, SLURM job), working folder, Snakemake. A worker has one job at a time, whose client holds
the worker's lock file. The server is `obj2ngp.common.worker`. Standard library only, Python 3.8.
"""

import hashlib
import os
import socket
import struct
import time

from obj2ngp.common.runtime import lock, peer, private_folder, try_lock

IDLE = "OBJ2NGP_WORKERS"  # environment: seconds that a worker waits for its next job; 0 or absent: no workers
START_SECONDS = 120.0  # that a worker may take to listen
STALL = "OBJ2NGP_STALL"  # environment: seconds without any use of a processor after which a worker counts as hung
STALL_SECONDS = 300.0  # where it is not given
PASSING = {b"_", b"PWD", b"OLDPWD", b"SHLVL"}  # differ between jobs and mean nothing to them

PROGRAMS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def place_of_program(command):
    """The index in `command` of the path of a program of ours; None where there is none."""
    return next((i for i, word in enumerate(command) if os.path.dirname(os.path.realpath(word)) == PROGRAMS), None)


def run(command, place, limits):
    """The exit status of a job in a worker of its pool; None if the worker was lost, or cannot be had.

    command  words that would run the job in a process of its own; `command[place]` is the path of its program
    limits   the Limits of the job, which ends with its worker where one of them is broken
    """
    folder = _pool(command[:place])
    held, number = None, -1
    while held is None:  # there is no more than one worker a job slot, since all lower numbers have jobs
        number += 1
        held = try_lock(os.path.join(folder, "{}.sock.lock".format(number)))
    path = os.path.join(folder, "{}.sock".format(number))
    try:
        connection = _connect(path) or _start(path, command[:place])
        if connection is None:
            return None
        with connection:
            process, user = peer(connection)
            if user != os.getuid():
                return None
            _send(connection, command[place], [word for word in command[place + 1 :] if word != "--"])
            stall = float(os.environ.get(STALL) or STALL_SECONDS)
            return _wait(connection, process, stall, limits)
    except OSError:  # it ended meanwhile; or the folder's path is too long for a socket
        return None
    finally:
        os.close(held)


def _pool(interpreter):
    """The folder of the workers for jobs that `interpreter` (words) runs in this environment."""
    key = hashlib.sha256(repr((interpreter, PROGRAMS, _code(PROGRAMS), os.getcwd())).encode(errors="replace"))
    for name in sorted(os.environb):
        if name not in PASSING and (not name.startswith(b"SLURM_") or name == b"SLURM_JOB_ID"):
            key.update(name + b"=" + os.environb[name] + b"\n")
    return private_folder("workers", key.hexdigest()[:16])


def _code(folder):
    """What changes when a file of the code does: names, times and sizes."""
    found = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                if not entry.name.startswith(("_", ".")):
                    found.append(_code(entry.path))
            elif entry.name.endswith(".py"):
                state = entry.stat()
                found.append((entry.name, state.st_mtime_ns, state.st_size))
    return found


def _send(connection, program, arguments):
    """Hand a job over, with this process's standard output and error."""
    name = os.path.splitext(os.path.basename(program))[0]
    text = b"\0".join(map(os.fsencode, (os.getcwd(), name, *arguments))) + b"\0\n"
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("2i", 1, 2))]
    rest = text[connection.sendmsg([text], rights) :]
    if rest:  # where there is none, the job may be done already and the worker gone on
        connection.sendall(rest)


def _wait(connection, process, stall, limits):
    """The status that a worker answers, or None if it ends or hangs."""
    used, since = None, time.monotonic()
    while not limits.wait(connection):
        reason = limits.broken()
        if reason is not None:
            limits.stop(process, reason)
            return 1
        now = _processor_time(process)
        if now != used:
            used, since = now, time.monotonic()
        elif used is not None and time.monotonic() - since > stall:
            os.kill(process, 9)
            return None
    answer = connection.recv(1)
    return answer[0] if answer else None


def _processor_time(process):
    """Clock ticks that a process has used; None where the system does not tell."""
    try:
        with open("/proc/{}/stat".format(process)) as file:
            return file.read().rpartition(")")[2].split()[11:15]
    except OSError:
        return None


def _connect(path):
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    return connection


def _start(path, interpreter):
    """A connection to a new worker, or None if it ends before it listens."""
    import subprocess  # only here, since it takes longer to import than a warm job's command may

    words = [*interpreter, os.path.join(PROGRAMS, "worker.py"), path, os.environ[IDLE]]
    held = lock(path + ".starting")
    try:
        connection = _connect(path)  # somebody was quicker
        if connection is not None:
            return connection
        with open(path + ".log", "ab") as log:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        begin = time.monotonic()
        while process.poll() is None and time.monotonic() - begin < START_SECONDS:
            connection = _connect(path)
            if connection is not None:
                return connection
            time.sleep(0.005)
        process.kill()
        return None
    finally:
        os.close(held)
