"""What a result was made from: a record of each job beside the object's results, see `records`.

A record is written as "running" when its job begins and anew when the job ends, so that a job that was killed says so.
It holds the job's parameters, and a digest of each file that went in and came out. By it a changed setting, a lost
picture, an older mesh or an edited texture is seen where times of files tell nothing. The next job refuses results that
are not those of the record.

Standard library only and valid for Python 3.7, so that it also runs inside Blender 2.90.
"""

import contextlib
import json
import os
import time

from .checks import open_file
from .files import UserError, failure, in_a_line
from .records import FAILED, FILE, OK, RUNNING, may_run, read_records, write_record

RUN = "OBJ2NGP_RUN"  # environment: what tells one run of the workflow from another
CHUNK = 1 << 20


def digest(path):
    """SHA-256 in hexadecimal digits of a file; of a folder, that of its visible files' names and digests.

    Returns None where there is nothing at ``path``. Raises UserError or OSError where it cannot be read.
    """
    import hashlib  # not at once: what has no record needs none

    if os.path.isdir(str(path)):
        return combined(contents(path))
    if not os.path.lexists(str(path)):
        return None
    content = hashlib.sha256()
    with open_file(path) as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            content.update(chunk)
    return content.hexdigest()


def contents(folder):
    """{name: digest} of the files in ``folder`` that are not hidden, by name."""
    names = sorted(name for name in os.listdir(str(folder)) if not name.startswith("."))
    return {name: digest(os.path.join(str(folder), name)) for name in names}


def combined(files):
    """The digest of a folder from those of its files."""
    import hashlib

    return hashlib.sha256("".join(f"{files[name]} {name}\n" for name in sorted(files)).encode()).hexdigest()


def stamp(path):
    """[size, time of the last change in ns] of a file; None where there is none."""
    try:
        found = os.stat(str(path))
    except FileNotFoundError:
        return None
    return [found.st_size, found.st_mtime_ns]


class Job:
    """A job at work, and its record in the file ``path``; None: there is none, and all methods do nothing."""

    def __init__(self, path, name, rule, parameters, outputs):
        self._path = path
        if path is None:
            return
        self._begin = time.monotonic()
        self._home = os.path.dirname(os.path.abspath(str(path)))
        self._outputs = {self._inside(output): str(output) for output in outputs}
        self._record = {
            "job": name,
            "rule": rule,
            "state": RUNNING,
            "process": {"host": os.uname().nodename, "pid": os.getpid()},
            "run": os.environ.get(RUN),
            "parameters": parameters,
            "files": {},
            "results": {},
            "outputs": dict.fromkeys(self._outputs, {}),
        }
        self._save()

    def takes(self, path):
        """Note that the job reads the file or folder ``path``.

        Raises UserError where it lies beside the record and is not what its own record says: that record then says
        so, and the next run makes it anew.
        """
        if self._path is None:
            return
        inside = self._inside(path)
        if inside is None:
            self.uses(path)
            return
        found = digest(path)
        records = Provenance(self._home)
        problem = records.misfit(inside, found)
        if problem:
            records.disown(inside)
            raise UserError(f"{path}: {problem}")
        self._record["results"][inside] = found

    def uses(self, path):
        """Note that the job reads the file ``path`` from elsewhere, or would if there were one."""
        if self._path is not None:
            self._record["files"][str(path)] = {"stamp": stamp(path), "sha256": digest(path)}

    def finish(self):
        """Write that the job has succeeded, and what it made. Raises UserError where a file changed meanwhile."""
        if self._path is None:
            return
        for path, used in self._record["files"].items():
            if stamp(path) != used["stamp"]:
                raise UserError(f"{path}: changed while it was used")
        for name, output in self._outputs.items():
            files = contents(output) if os.path.isdir(output) else None
            found = digest(output) if files is None else combined(files)
            self._record["outputs"][name] = {"sha256": found} if files is None else {"sha256": found, "files": files}
        self._end(state=OK)

    def fail(self, error):
        """Write that the job stopped, and why. What a UserError tells is refused, since another try would meet it."""
        if self._path is None:
            return
        reason = failure(error) or f"{type(error).__name__}: {error}".partition("\n")[0]
        with contextlib.suppress(UserError):  # where the disk is full, the job counts as killed
            self._end(state=FAILED, reason=in_a_line(reason), refused=isinstance(error, UserError))

    def _end(self, **how):
        self._record.update(how, seconds=round(time.monotonic() - self._begin, 2))
        self._save()

    def _inside(self, path):
        """``path`` as seen from the object's folder; None where it lies elsewhere."""
        relative = os.path.relpath(os.path.abspath(str(path)), self._home)
        return None if relative.startswith(os.pardir) else relative.replace(os.sep, "/")

    def _save(self):
        write_record(self._path, self._record)


def add_record_options(parser):
    """Give the argparse ``parser`` of a program the options that `recorded` reads."""
    parser.add_argument("--record", help="file (.jsonl) that shall say what the result was made from; none without")
    parser.add_argument("--job", help="name of the job in it")
    parser.add_argument("--inputs", nargs="*", default=[], help="what the record shall have as inputs")
    parser.add_argument("--outputs", nargs="*", default=[], help="what it shall have as outputs; they lie beside it")


@contextlib.contextmanager
def recorded(options, rule, method):
    """Keep the record of a job of ``rule`` while the block runs; yields its Job.

    options  those of `add_record_options`, and `settings` and `backend` where the program has them
    method   the number of the program's method

    Raises UserError where an input is not what its own record says, or the record cannot be written; also where the
    same run of the workflow has tried the job before and met a UserError, which another try would meet again.
    """
    before = read_records(options.record).get(options.job) if options.record else None
    run = os.environ.get(RUN)
    if before is not None and run and before.get("refused") and before.get("run") == run:
        raise UserError(f"{before.get('reason')} (not tried again)")
    job = Job(options.record, options.job, rule, parameters(method, **vars(options)), options.outputs)
    try:
        for each in options.inputs:
            job.takes(each)
        yield job
        job.finish()
    except BaseException as error:
        job.fail(error)
        raise


def parameters(method, settings=None, backend=None, **_):
    """What decides a job's result beside its inputs, as JSON has it, from the options of its program."""
    with contextlib.suppress(ValueError, RecursionError):  # the program itself refuses settings that are no JSON
        settings = json.loads(settings or "null")
    found = {"method": method, "settings": settings, "backend": backend}
    return {key: value for key, value in found.items() if value is not None}


class Provenance:
    """The records of the object whose results lie in ``folder``: ``records`` by job."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.records = read_records(os.path.join(self.folder, FILE))
        self._outdated = {}
        self._makers = {path: job for job, record in self.records.items() for path in record["outputs"]}

    def maker(self, path):
        """The job that makes the result ``path`` (as seen from the folder); None where no record tells."""
        return self._makers.get(path)

    def misfit(self, path, found):
        """Why the result ``path`` with the digest ``found`` is not what its maker made; None where it is."""
        job = self.maker(path)
        if job is None:
            return None
        if self.records[job]["state"] != OK:
            return f"{job} {self.stopped(job)}"
        wanted = self.records[job]["outputs"][path].get("sha256")
        return None if wanted == found else f"not what {job} made"

    def disown(self, path):
        """Have the record of the job that made the result ``path`` say that this is damaged."""
        job = self.maker(path)
        if self.records[job]["state"] == OK:
            record = {**self.records[job], "state": FAILED, "reason": f"{path} is not what it made", "refused": False}
            with contextlib.suppress(UserError):
                write_record(os.path.join(self.folder, FILE), record)

    def stopped(self, job):
        """Why the job has not succeeded, in words; None where it has."""
        record = self.records[job]
        if record["state"] == RUNNING:
            return "has not ended" if may_run(record) else "was killed"
        return None if record["state"] == OK else f"stopped: {record.get('reason')}"

    def outdated(self, job):
        """Why the job's results are none, or are made from results that are no longer there; None where all is well.

        By the records alone, however far down.
        """
        if job not in self._outdated:
            self._outdated[job] = "is said to be made from itself"  # unless the lines below end
            self._outdated[job] = self.stopped(job) or self._changed_input(self.records[job]["results"])
        return self._outdated[job]

    def _changed_input(self, results):
        for path, used in results.items():
            maker = self.maker(path)
            if self.misfit(path, used) or (maker is not None and self.outdated(maker)):
                return f"{path} has changed"
        return None

    def stale(self, job, parameters, same=None):
        """Why the job must be done anew, with its ``parameters`` of today; None where not, or where no record tells.

        Compares names, sizes and times, and digests only where they tell too little.
        """
        if job not in self.records:
            return None
        record = self.records[job]
        return (
            self.outdated(job)
            or _difference(record["parameters"], parameters)
            or self._missing(record["outputs"])
            or next((f"{path} has changed" for path, used in record["files"].items() if _changed(path, used)), None)
        )

    def verify(self, job, parameters):
        """Why the job's results are not what its record says, to the last byte; None where they are."""
        return self.stale(job, parameters) or self._altered(self.records[job])

    def _altered(self, record):
        for path, used in record["files"].items():
            if digest(path) != used["sha256"]:
                return f"{path} has changed"
        for path, made in record["outputs"].items():
            place = os.path.join(self.folder, path)
            if "files" not in made and digest(place) != made.get("sha256"):
                return f"{path} is not what it made"
            found = contents(place) if "files" in made else {}
            for name in sorted({*found, *made.get("files", {})}):
                if found.get(name) != made["files"].get(name):
                    return f"{path}/{name} is not what it made"
        return None

    def _missing(self, outputs):
        for path, made in outputs.items():
            place = os.path.join(self.folder, path)
            if "files" not in made:
                if not os.path.exists(place):
                    return f"{path} is missing"
                continue
            try:
                lost = made["files"].keys() - set(os.listdir(place))
            except OSError:
                return f"{path} is missing"
            if lost:
                return f"{path}/{min(lost)} is missing"
        return None


def _changed(path, used):
    """Whether the file ``path`` is not the one that a job used."""
    now = stamp(path)
    return now != used["stamp"] and (now is None or used["stamp"] is None or digest(path) != used["sha256"])


def _difference(before, now, key=""):
    """Which parameter differs between two of JSON's values, in words; None where they are the same."""
    if before == now:
        return None
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted({*before, *now}):
            found = _difference(before.get(name), now.get(name), f"{key}.{name}" if key else name)
            if found:
                return found
    return f"{key} was {json.dumps(before)}, is {json.dumps(now)}"
