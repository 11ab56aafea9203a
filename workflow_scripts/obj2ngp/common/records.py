"""The records of an object's jobs: a line of JSON each time that one begins or ends, in one file beside its results.

The last line of a job counts. One file for all, since file systems that many machines share are slow with very many.

Standard library only and valid for Python 3.7, so that it also runs inside Blender 2.90.
"""

import contextlib
import fcntl
import json
import os
import stat

from .checks import checked, choice, mapping, maybe, number, numbers, parse_json, read_bytes, text, values, whole
from .files import UserError, failure

FILE = "provenance.jsonl"  # in the object's folder
RUNNING, OK, FAILED = "running", "ok", "failed"
BEGIN = b'{"job":'  # of a line
MOST_JOBS = 200
SHA256 = maybe(text(64))
RECORD = mapping(
    {
        "job": text(),
        "state": choice(RUNNING, OK, FAILED),
        "rule": text(),
        "parameters": mapping({}),
        "files": values(mapping({"stamp": maybe(numbers(2, whole(0, 2**63))), "sha256": SHA256})),
        "results": values(SHA256),
        "outputs": values(mapping({}, {"sha256": SHA256, "files": values(SHA256)})),
    },
    {
        "process": mapping({"host": text(), "pid": whole(1, 2**31 - 1)}),
        "run": maybe(text()),
        "reason": text(1 << 20),
        "seconds": number(-1),
    },
)


def read_records(path):
    """{job: its last record} of the file ``path``, by name; lines that cannot be read are passed over.

    So are all but the last MOST_JOBS jobs: no object has as many.
    """
    found = {}
    try:
        lines = read_bytes(path).split(b"\n")
    except UserError:
        lines = []
    for line in reversed(lines):
        job = line[: line.find(b",")]  # {"job":"train"
        if job in found or not line.startswith(BEGIN):
            continue
        if len(found) == MOST_JOBS:
            break
        with contextlib.suppress(UserError, UnicodeDecodeError):
            found[job] = checked(parse_json(line.decode("utf-8"), path), RECORD, path)
    return {record["job"]: record for _, record in sorted(found.items())}


def write_record(path, record):
    """Append ``record`` to the file ``path``, whole or not at all. Raises UserError."""
    line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
    try:
        os.makedirs(os.path.dirname(str(path)), exist_ok=True)
        file = os.open(str(path), os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise UserError(f"{path}: not a regular file")
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)  # jobs of an object may end at the same time
            _append(file, line)
        finally:
            os.close(file)
    except OSError as error:
        raise UserError(failure(error, path)) from error


def _append(file, line):
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":  # a writer was killed
        line = b"\n" + line
    try:
        while line:
            line = line[os.write(file, line) :]
    except OSError:  # the disk is full
        os.ftruncate(file, size)
        raise


def close_record(path, job, process, reason):
    """Have the record of ``job`` in the file ``path`` say why it failed, if ``process`` of this machine is at it."""
    record = read_records(path).get(job)
    here = {"host": os.uname().nodename, "pid": process}
    if record is not None and record["state"] == RUNNING and record.get("process") == here:
        record.update(state=FAILED, reason=f"{job} {reason}", refused=False)
        with contextlib.suppress(UserError):  # the disk is full, or the folder gone
            write_record(path, record)


def may_run(record):
    """Whether the job of a ``record`` has not ended and, for all that can be seen on this machine, still runs."""
    process = record.get("process")
    if record["state"] != RUNNING or not isinstance(process, dict):
        return False
    if process.get("host") != os.uname().nodename:
        return True
    try:
        os.kill(int(process["pid"]), 0)
    except PermissionError:  # it is another user's
        return True
    except (ProcessLookupError, KeyError, ValueError, TypeError):
        return False
    return True
