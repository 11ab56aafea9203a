"""Whether a project's lock is that of a Snakemake that has ended: killed, it takes its lock files to nobody."""

import fcntl
import os
import socket

FILE = "obj2ngp.running"  # locked by the Snakemake that runs, so that the system unlocks it whatever ends that


class Running:
    """This Snakemake's hold on a project, whose folder of Snakemake's own files is `folder`."""

    def __init__(self, folder):
        self._file = None
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._file = os.open(os.path.join(folder, FILE), flags, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another one runs; or the file system has no such locks, and nothing is known
            self.former = None
        else:
            self.former = os.read(self._file, 1000).decode(errors="replace")

    def is_stale(self):
        """Whether a lock that is there now is left over: the last run was on this machine, and has ended."""
        return self.former == socket.gethostname()

    def sign(self):
        """Say that from now on locks are this one's."""
        if self.former is not None:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, socket.gethostname().encode(), 0)
