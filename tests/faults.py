"""What can go wrong around a run of the workflow, as trials: each harms a project, and a plain rerun has to mend it.

    python tests/faults.py --trials 100 --seed 1      or `make test-faults`

A trial copies a finished project or an empty one, with workers or without, and does something bad: it kills what runs
at a random moment, fills a disk, changes, loses or swaps files, copies or moves the project. Afterwards one plain run
has to end well, do no job again that was done and not concerned, and give the same summary but for seconds and machine;
another one must have nothing left to do.
"""

import argparse
import contextlib
import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "workflow_scripts")]

from obj2ngp.common.provenance import Provenance  # noqa: E402
from workflow_project import TINY, Project  # noqa: E402

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
AFTER_VIEWS = {"render_views", "metrics", "viewer"}  # jobs that follow from lost test views, and from a lost model
AFTER_TRAIN = {"train", "orbit", *AFTER_VIEWS}
VARYING = {"training_seconds"}  # of the summary: what no rerun gives again
STEPS = 40  # long enough that signals meet training


@dataclass
class Outcome:
    """How a trial ended: `problem` in words, or None."""

    name: str
    seconds: float = 0.0
    problem: str | None = None
    notes: list = field(default_factory=list)


class Skipped(Exception):
    """A trial that cannot be made on this machine; the message says why."""


class Trial:
    """A project to harm, `random` to choose by, and what has to hold afterwards."""

    def __init__(self, folder, seed, finished=None, steps=STEPS, duration=0.0):
        """`finished` is a project to copy, whose model has so many `steps`, made in `duration` seconds."""
        self.random, self.folder, self.finished = random.Random(seed), folder, finished
        self.steps, self.duration = steps, duration
        self.notes = []
        self.project = None
        self.done = {}  # as from `records`: jobs that must not be done again

    # What a trial begins with.

    def begin_fresh(self):
        """A project in which nothing is made yet."""
        self.project = Project.create(self.folder / "obj2ngp")
        self.project.configure(**self.settings(self.random.random() < 0.5))
        self.project.add_cube("first")

    def begin_finished(self):
        """A copy of the finished project."""
        self.project = self.finished.copy(self.folder / "obj2ngp")
        self.project.configure(**self.settings(self.random.random() < 0.5))

    def settings(self, workers):
        """The configuration, with workers or without."""
        train = {**TINY["train"], "steps": self.steps}
        return {**TINY, "train": train, "project": {"workers": workers, "worker_idle": 5}}

    # What may happen to it.

    def run(self, *arguments, environment=None, timeout=600):
        """(exit code, output) of a run of Snakemake."""
        process = self.start(*arguments, environment=environment)
        output, _ = process.communicate(timeout=timeout)
        return process.returncode, output

    def start(self, *arguments, environment=None):
        """A run of Snakemake in a session of its own."""
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        return subprocess.Popen(
            command, cwd=self.project.root, env={**os.environ, **(environment or {})},
            start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def processes(self, words):
        """Numbers of the processes that belong to this project and have one of `words` in their command."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(place / "cwd") != str(self.project.root):
                    continue
                command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if any(word in command for word in words):
                    found.append(int(place.name))
        return found

    def interrupt(self, words, number, moment):
        """Run, and after `moment` seconds send the signal `number` to the processes with one of `words`."""
        process = self.start()
        deadline = time.monotonic() + 40
        time.sleep(moment)
        while time.monotonic() < deadline and process.poll() is None:
            targets = [process.pid] if words is None else self.processes(words)
            if targets:
                for target in targets:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(target, number)
                break
            time.sleep(0.01)
        try:
            process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError("the run that was interrupted does not end") from None

    def records(self):
        """{job: what tells when it was done} of the jobs that are done."""
        found = Provenance(self.project.root / "results" / "first")
        sound = [job for job, record in found.records.items() if not found.verify(job, record["parameters"])]
        return {job: (found.records[job]["run"], found.records[job]["process"]) for job in sound}

    def remember(self):
        """Note which jobs are done, so that they must not be done again."""
        self.done = self.records()

    def check(self, expected, redone=()):
        """Run plainly, and look whether all is well; jobs in `redone` may be done again. Raises AssertionError."""
        code, output = self.run()
        assert code == 0, "the plain rerun failed:\n" + output[-3000:]
        found = summary(self.project.root)
        different = {key: (cell, found[0].get(key)) for key, cell in expected[0].items() if found[0].get(key) != cell}
        assert found == expected, f"the summary differs: {different}"
        now = self.records()
        again = [job for job, when in self.done.items() if now.get(job) != when and job not in redone]
        assert not again, f"done again: {again}"
        left = self.project.planned()
        assert left == set(), f"left to do: {left}"
        swept = [path for path in (self.project.root / "results").rglob(".*-*") if "snakemake" not in path.name]
        assert not swept, f"left behind: {swept}"


def summary(root):
    """The rows of a project's summary without what varies."""
    with open(root / "results" / "summary.csv", newline="") as file:
        return [{key: cell for key, cell in row.items() if key not in VARYING} for row in csv.DictReader(file)]


PROGRAMS = ("render.py", "train.py", "render_views.py", "metrics.py", "orbit.py")
TARGETS = {
    "snakemake": None,
    "programs": PROGRAMS,
    "workers": ("worker.py",),
    "launchers": ("launch.py",),
    "ffmpeg": ("ffmpeg",),
    "all at once": ("",),
}


def killed(trial, expected):
    """Processes of a fresh run are sent a signal at a random moment, once or twice."""
    trial.begin_fresh()
    notes = []
    for _ in range(trial.random.choice((1, 1, 2))):
        who, number = trial.random.choice(list(TARGETS)), trial.random.choice(SIGNALS)
        moment = trial.random.uniform(0.05, 0.9) * trial.duration
        notes.append(f"{number.name} to {who} after {moment:.1f} s")
        trial.interrupt(TARGETS[who], number, moment)
    trial.remember()
    trial.notes = notes
    trial.check(expected)


def changed_and_back(trial, expected):
    """A setting is changed, the run with it killed, and the setting changed back."""
    trial.begin_finished()
    config = trial.settings(True)
    change = trial.random.choice(
        [
            {"render": {**TINY["render"], "views": {"train": 3, "val": 1, "test": 3}}},
            {"train": {**config["train"], "steps": trial.steps + 100}},
            {"orbit": {"frames": 5, "size": 32}},
            {"test": {"supersampling": 1}},
        ]
    )
    trial.project.configure(**change)
    trial.interrupt(trial.random.choice(([""], None)), signal.SIGKILL, trial.random.uniform(0.2, 0.8) * trial.duration)
    for key in change:
        trial.project.configure(**{key: config.get(key, {})})
    trial.notes = [f"{key} changed and back" for key in change]
    trial.check(expected)


def lost(trial, expected):
    """Results are deleted."""
    trial.begin_finished()
    trial.remember()
    path, redone = trial.random.choice(
        [
            ("renders/test/001.png", {"render_test", *AFTER_VIEWS}),
            ("renders/train", {"render_train", *AFTER_TRAIN}),
            ("renders/val/000.png", {"render_val"}),
            ("renders/transforms_train.json", {"render_train", *AFTER_TRAIN}),
            ("test/000.png", AFTER_VIEWS),
            ("test", AFTER_VIEWS),
            ("model.safetensors", AFTER_TRAIN),
            ("orbit.mp4", {"orbit"}),
            ("metrics.json", {"metrics", "viewer"}),
        ]
    )
    place = trial.project.root / "results" / "first" / path
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    trial.notes = [f"{path} deleted"]
    trial.check(expected, redone)


def swapped(trial, expected):
    """A model, material or picture is replaced by an older one of another content, the run made, and all put back."""
    trial.begin_finished()
    root = trial.project.root
    name, text = trial.random.choice([("first.obj", "v 3 0 0\n"), ("first.mtl", "newmtl paint\nKd 0 1 0\n")])
    file = root / "models" / name
    before, times = file.read_text(), file.stat()
    file.write_text(before + text if name.endswith("obj") else text)
    os.utime(file, (times.st_atime - 10_000, times.st_mtime - 10_000))
    trial.notes = [f"{name} replaced by an older one, and back"]
    planned = {job for job in trial.project.planned() if job[1]}
    assert {rule for rule, _, _ in planned} == {*AFTER_TRAIN, "render"} - {"render_views"} | {"render_test"}, planned
    if trial.random.random() < 0.5:
        code, output = trial.run()
        assert code == 0, output[-3000:]
        assert name.endswith("obj") or summary(root) != expected, "the change is not seen in the summary"
    file.write_text(before)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    trial.check(expected)


def full_disk(trial, expected):
    """The disk of the project, or that of temporary files, is full after a random number of bytes; then it is not."""
    trial.begin_fresh()
    root, size = trial.project.root, trial.random.choice([300, 600, 1000, 1600, 2400])
    where = trial.random.choice(["results", "temporary"])
    trial.notes = [f"{where}: {size} KiB"]
    place = root / "results" if where == "results" else trial.folder / "temporary"
    place.mkdir()
    if where == "temporary":
        size = trial.random.choice([0, 4, 40])
    mount = ["mount", "-t", "tmpfs", "-o", f"size={max(size, 4)}k", "tmpfs", place]
    if subprocess.run(mount, capture_output=True).returncode:
        raise Skipped("no file system can be mounted here")
    try:
        code, output = trial.run(environment={"TMPDIR": str(place)} if where == "temporary" else None)
        trial.notes.append(f"exit code {code}")
        if where == "results":
            kept = trial.folder / "kept"
            shutil.copytree(place, kept)
    finally:
        subprocess.run(["umount", "-l", place], check=True)
    for log in (root / "logs").rglob("*.log"):
        assert "Traceback" not in log.read_text(errors="replace"), f"{log.name}:\n{log.read_text()[-2500:]}"
    if where == "results":
        shutil.rmtree(place)
        shutil.copytree(kept, place)
    trial.check(expected)


def read_only(trial, expected):
    """Results are made read-only while a setting asks for others; then they are not."""
    trial.begin_finished()
    places = [path for path in (trial.project.root / "results" / "first").rglob("*") if path.is_dir()]
    places.append(trial.project.root / "results" / "first")
    for place in places:
        place.chmod(0o555)
    trial.project.configure(orbit={"frames": 5, "size": 32})
    trial.run()  # as root it succeeds, as a user it names what it may not write
    for place in places:
        place.chmod(0o755)
    trial.project.configure(orbit=TINY["orbit"])
    trial.notes = ["read-only"]
    trial.check(expected)


def two_at_once(trial, expected):
    """A second Snakemake is started beside the first."""
    trial.begin_fresh()
    first = trial.start()
    time.sleep(trial.random.uniform(0, 0.6) * trial.duration)
    second = trial.start()
    second.communicate(timeout=600)
    first.communicate(timeout=600)
    codes = first.returncode, second.returncode
    trial.notes = [f"exit codes {codes}"]
    assert 0 in codes
    trial.remember()
    trial.check(expected)


def moved(trial, expected):
    """The finished project is moved, or copied and touched."""
    trial.begin_finished()
    target = trial.folder / "else where" / "it's"
    target.parent.mkdir()
    if trial.random.random() < 0.5:
        shutil.move(trial.project.root, target)
        trial.project = Project(target)
        trial.notes = ["moved"]
    else:
        subprocess.run(["cp", "-r", trial.project.root, target], check=True)
        trial.project = Project(target)
        code, output = trial.run("--touch")
        assert code == 0, output[-2000:]
        trial.notes = ["copied and touched"]
    trial.remember()
    trial.check(expected)


KINDS = {killed: 52, changed_and_back: 10, lost: 10, swapped: 6, full_disk: 10, read_only: 2, two_at_once: 4, moved: 6}


def finished_project(folder):
    """(a finished project, at whose summary all trials have to arrive; how many seconds it took)."""
    trial = Trial(folder, 0)
    trial.begin_fresh()
    begin = time.monotonic()
    code, output = trial.run()
    assert code == 0, output[-3000:]
    return trial.project, time.monotonic() - begin


def attempt(kind, trial, expected):
    """The Outcome of one trial of a `kind`, in a folder that is made for it and removed if all is well."""
    begin, outcome, folder = time.monotonic(), Outcome(kind.__name__), trial.folder
    folder.mkdir()
    try:
        kind(trial, expected)
    except Skipped as reason:
        trial.notes.append(f"skipped: {reason}")
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        outcome.problem = str(error) or repr(error)
    outcome.notes, outcome.seconds = trial.notes, time.monotonic() - begin
    if outcome.problem is None:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def main(argv):
    """Run the trials; exit code 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1, help="the trials follow from it")
    parser.add_argument("--first", type=int, default=0, help="leave out the trials before this one")
    options = parser.parse_args(argv)
    place = Path(tempfile.mkdtemp(prefix="obj2ngp-faults-"))
    finished, duration = finished_project(place)
    print(f"a whole run takes {duration:.0f} s here", flush=True)
    expected = summary(finished.root)
    kinds = random.Random(options.seed).sample(list(KINDS), counts=KINDS.values(), k=sum(KINDS.values()))
    failed = 0
    for index in range(options.first, options.trials):
        seed = 1000 * options.seed + index
        trial = Trial(place / f"trial-{index}", seed, finished, duration=duration)
        outcome = attempt(kinds[index % len(kinds)], trial, expected)
        failed += outcome.problem is not None
        words = "ok" if outcome.problem is None else "FAILED: " + outcome.problem
        print(f"{index:3} {outcome.name} ({'; '.join(outcome.notes)}), {outcome.seconds:.0f} s: {words}", flush=True)
    count = options.trials - options.first
    print(f"{count - failed} of {count} trials passed; seed {options.seed}")
    if not failed:
        shutil.rmtree(place, ignore_errors=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
