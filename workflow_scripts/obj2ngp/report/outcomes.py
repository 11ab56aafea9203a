"""How an object's jobs ended, by their records: what failed, and which results are older than that."""

import os
from dataclasses import asdict, dataclass, fields

from obj2ngp.common.checks import open_file
from obj2ngp.common.files import ERROR, UserError, atomic_path
from obj2ngp.common.provenance import Provenance
from obj2ngp.common.records import may_run
from obj2ngp.common.tables import write_table

LONGEST_LOG = 1 << 16  # bytes of a log's end in which the reason of a stop is looked for


@dataclass(frozen=True)
class Failure:
    """A job that did not succeed: `reason` in words; `log` is the path of what it printed. A row of failures.csv."""

    object: str
    rule: str
    reason: str
    log: str


class Outcomes:
    """The outcomes of the jobs of the object `name`; `results` and `logs` hold a folder for each object."""

    def __init__(self, results, logs, name):
        self._records = Provenance(results / name)
        self._logs, self._name = logs / name, name

    def outdated(self, file):
        """Whether the result `file` is of a job that has failed since, or was made from such a job's results."""
        makers = (self._records.maker(str(path)) for path in (file, *file.parents))
        job = next((maker for maker in makers if maker), None)
        return job is not None and self._records.outdated(job) is not None

    def failures(self):
        """The Failure of each job that has ended without success."""
        for job, record in self._records.records.items():
            reason = self._records.stopped(job)
            if reason is not None and not may_run(record):
                words = record["reason"] if "reason" in record else f"{job} {reason}"
                yield Failure(self._name, record["rule"], words, str(self._logs / f"{job}.log"))

    def last_words(self):
        """The Failure of a program that stopped before it had a record, as its log has it; None where there is none."""
        for log in sorted(self._logs.glob("*.log")):
            for line in reversed(_end(log).split("\n")):
                if line.startswith(ERROR):
                    reason = line[len(ERROR) :].removeprefix(f"object {self._name}: ")
                    return Failure(self._name, log.stem, reason, str(log))
        return None


def _end(log):
    """The last LONGEST_LOG bytes of a file as text, nothing of what is no file."""
    try:
        with open_file(log) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LONGEST_LOG))
            return file.read(LONGEST_LOG).decode("utf-8", errors="replace")
    except (OSError, UserError):
        return ""


def write_failures(path, failures):
    """Write the table of `failures`; it has its header even where there are none."""
    with atomic_path(path) as temporary:
        write_table(temporary, [field.name for field in fields(Failure)], map(asdict, failures))
