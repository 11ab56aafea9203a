"""What SLURM and Snakemake cost an object, in core-seconds: a job of a node against the plugin's jobs.

    python benchmarks/cluster.py [OBJECTS_OF_A_NODE [OBJECTS_OF_THE_PLUGIN]]

Needs root and Debian's slurm-wlm. The programs only make their outputs. Appends to benchmarks/cluster.csv.
"""

import contextlib
import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import append, processor

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "workflow_scripts")]

from slurm.one_node import one_node  # noqa: E402
from workflow_project import Project  # noqa: E402

NODE = ["sbatch", "--wait", "--array=1", "--partition=cpu", "--cpus-per-task=2", "--gpus=0", "--mem=8G"]
PLUGIN = ["--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "2"]
ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER: what SLURM's daemons start is counted as ours when it ends


def used():
    """Core-seconds of all processes that this one has started and that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def make_project(root, count):
    project = Project.create(root)
    project.pretend_programs()
    project.add_table([f"{number:08}" for number in range(count)])
    (root / ".venv").symlink_to(ROOT / ".venv")
    return project


def run(root, way, count):
    """What `count` objects cost; returns it as a row."""
    project = make_project(root / f"{way}-{count}", count)
    plugin = [sys.executable, "-m", "snakemake", *PLUGIN, "objects"]
    command = [*NODE, "profiles/slurm/node.sh", "1"] if way == "node" else plugin
    begin, clock = used(), time.monotonic()
    subprocess.run(command, cwd=project.root, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.monotonic() - clock
    time.sleep(2)  # SLURM's processes end a little later
    made = len(list(project.root.glob("results/*/orbit.gif")))
    if made != count:
        sys.exit(f"{made} of {count} objects were made in {project.root}")
    cores = used() - begin
    print(
        f"{way}: {count} objects, {cores:.1f} core-seconds, {seconds:.0f} s, {cores / count:.2f} an object", flush=True
    )
    row = {"way": way, "objects": count, "core_seconds": f"{cores:.1f}", "seconds": f"{seconds:.0f}"}
    return {**row, "an_object": f"{cores / count:.3f}"}


def main(of_node=200, of_plugin=8):
    ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "slurm").mkdir()
        with one_node(Path(folder) / "slurm"):
            ways = {"node": of_node, "plugin": of_plugin}
            rows = [run(Path(folder), way, count) for way, count in ways.items() if count]
    append("cluster", rows, processor())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
