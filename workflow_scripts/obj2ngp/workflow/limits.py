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
    """The limits of a job that is expected to take `minutes`, and whose `record` is (file, name of the job) or None."""

    def __init__(self, minutes, record):
        self.minutes = minutes * float(os.environ.get(PATIENCE) or 0)
        self._end = time.monotonic() + 60 * self.minutes if self.minutes else float("inf")
        self._owner = owner()
        self._record = record

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
        print(f"error: the job {reason}", file=sys.stderr, flush=True)
        self.note(process, reason)

    def note(self, process, reason):
        """Have the job's record say that it failed, where it still says that `process` is at it."""
        try:
            path, job = self._record or ("", "")
            begin, last = f'{{"job":"{job}",'.encode(), b""
            with open(path, "rb") as file:
                for line in file:
                    last = line if line.startswith(begin) else last
        except OSError:
            return
        if b'"state":"running"' in last:
            from obj2ngp.common.records import close_record  # only here: it takes longer to import than a job may start

            close_record(path, job, process, reason)


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


def guard(minutes, record):
    """Have a child process keep the Limits of this process and of what it becomes by `exec`."""
    job = os.getpid()
    if os.fork():
        return
    try:
        os.setsid()  # what a terminal sends is for the job
        os.closerange(3, 256)  # locks are the job's own
        limits, process = Limits(minutes, record), Process(job)
        reason = None
        while reason is None and not process.has_ended():
            limits.wait(*process.handle)
            reason = limits.broken()
        if process.has_ended():
            limits.note(job, "was killed")
        else:
            limits.stop(job, reason)
    finally:
        os._exit(0)
