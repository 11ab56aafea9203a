"""What ends a job from outside: the end of its Snakemake, and a time-out. A hung job can see to neither itself.

Standard library only, Python 3.8, quick to import: every job starts with it.
"""

import os
import select
import signal
import sys
import time

from obj2ngp.common.runtime import OWNER

PATIENCE = "OBJ2NGP_PATIENCE"  # environment: times its expected runtime that a job may take; 0 or absent: any time
LOOK = 1.0  # seconds between two looks where the system gives no handle of a process


class Limits:
    """The limits of a job that is expected to take `minutes`.

    object, inputs  the object and the first file that it is about, for messages; None where nothing tells
    record, job     the file of its record, and its name there; None where it has none
    """

    def __init__(self, minutes, object=None, inputs=None, record=None, job=None):
        self.minutes = minutes * float(os.environ.get(PATIENCE) or 0)
        self._end = time.monotonic() + 60 * self.minutes if self.minutes else float("inf")
        self._owner = owner()
        self._record, self._job = record, job
        self._about = "".join(f"{words}: " for words in (object and f"object {object}", inputs) if words)

    def wait(self, *files):
        """Wait a moment, until one of `files` can be read; whether one can. Sees the end of Snakemake at once."""
        handles = [*files, *self._owner.handle]
        ready = select.select(handles, [], [], max(0.0, min(LOOK, self._end - time.monotonic())))[0]
        return any(file in ready for file in files)

    def broken(self):
        """Which limit is broken, in words; None where none is."""
        if self._owner.has_ended():
            return "was killed, since Snakemake ended"
        if time.monotonic() > self._end:
            return f"took longer than its time-out of {self.minutes:g} minutes (project.patience)"
        return None

    def stop(self, process, reason):
        """Kill the `process` that does the job, say why, and have the job's record say so."""
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._tell(reason)
        if self._is_running():
            self._close(process, reason)

    def note_end(self, process):
        """Where the job's record says that the `process`, which has ended, is still at it: say that this is so."""
        if self._is_running():
            reason = "ended without a word: it was killed, or had too little memory"
            self._tell(reason)
            self._close(process, reason)

    def _tell(self, reason):
        print(f"error: {self._about}{self._job or 'the job'} {reason}", file=sys.stderr, flush=True)

    def _is_running(self):
        """Whether the job's record says that it runs."""
        begin, last = f'{{"job":"{self._job}",'.encode(), b""
        try:
            with open(self._record or "", "rb", opener=_at_once) as file:
                for line in file:
                    last = line if line.startswith(begin) else last
        except OSError:
            return False
        return b'"state":"running"' in last

    def _close(self, process, reason):
        from obj2ngp.common.records import close_record  # only here: it takes longer to import than a job may start

        close_record(self._record, self._job, process, reason)


def _at_once(path, flags):
    """Opens a file without waiting, where it is a FIFO, for somebody who writes."""
    return os.open(path, flags | os.O_NONBLOCK)


class Process:
    """Another process by its number; 0: none, which never ends."""

    def __init__(self, number):
        self._number, self.handle = number, []
        if number and hasattr(os, "pidfd_open"):
            try:
                self.handle = [os.pidfd_open(number)]
            except OSError:  # it has ended, or the system is an old one
                pass

    def has_ended(self):
        """Whether it has; one that its parent has not asked after counts as ended where the system tells."""
        if not self._number:
            return False
        if self.handle:
            return bool(select.select(self.handle, [], [], 0)[0])
        try:
            os.kill(self._number, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


def owner():
    """The Process of the Snakemake that this job belongs to."""
    return Process(int(os.environ.get(OWNER) or 0))


def guard(minutes, **told):
    """Have a child process keep the Limits(minutes, **told) of this process and of what it becomes by `exec`."""
    job = os.getpid()
    if os.fork():
        return
    try:
        os.setsid()  # what a terminal sends is for the job
        os.closerange(3, 256)  # locks are the job's own
        limits, process = Limits(minutes, **told), Process(job)
        reason = None
        while reason is None and not process.has_ended():
            limits.wait(*process.handle)
            reason = limits.broken()
        if process.has_ended():
            limits.note_end(job)
        else:
            limits.stop(job, reason)
    finally:
        os._exit(0)
