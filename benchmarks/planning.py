"""What Snakemake itself costs with many objects: CPU seconds and memory, with programs that only make their outputs.

    python benchmarks/planning.py

Finished objects have outputs and no metadata. Appends to benchmarks/planning.csv.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from record import append

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from workflow_project import Project  # noqa: E402

PASSES = ("train", "val", "test")
FINISHED = (
    *(f"renders/{name}" for split in PASSES for name in (f"{split}.zip", f"transforms_{split}.json")),
    *("model.safetensors", "training.csv", "test.zip"),
    *("metrics.csv", "metrics.json", "orbit.gif", "orbit.mp4", "viewer.html"),
)


def make_project(root, objects):
    """The workflow in the folder `root`, with pretended programs and so many objects; returns their names."""
    names = [f"{number:08}" for number in range(objects)]
    project = Project.create(root)
    project.pretend_programs()
    project.add_table(names)
    return names


def finish(root, names):
    """Make the outputs of the objects `names`."""
    for name in names:
        folder = root / "results" / name
        (folder / "renders").mkdir(parents=True)
        for result in FINISHED:
            (folder / result).write_text("x\n")


def measure(what, root, objects, *arguments):
    """Run Snakemake in `root`; returns what it costs as a row."""
    command = [Path(sys.executable).with_name("snakemake"), "--cores", "2", *arguments]
    with open(root / "output", "w") as output:
        process = subprocess.Popen(command, cwd=root, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit((root / "output").read_text()[-2000:])
    seconds, megabytes = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    printed = (root / "output").stat().st_size / 1e6
    row = {
        "what": what,
        "objects": objects,
        "cpu_seconds": f"{seconds:.1f}",
        "memory_mb": f"{megabytes:.0f}",
        "printed_mb": f"{printed:.2f}",
    }
    print(f"{what}, {objects} objects: {seconds:.1f} s, {megabytes:.0f} MB, {printed:.2f} MB printed", flush=True)
    return row


def main():
    with tempfile.TemporaryDirectory() as folder:
        fresh, finished, large = (Path(folder, name) for name in ("fresh", "finished", "large"))
        make_project(fresh, 1000)
        finish(finished, make_project(finished, 10_000))
        make_project(large, 50_000)
        rows = [
            measure("plan all", fresh, 1000, "--dry-run"),
            measure("plan and run all, 8 jobs an object", fresh, 1000),
            measure("plan all, everything done", fresh, 1000, "--dry-run"),
            measure("plan and run the aggregates, all objects done", finished, 10_000),
            measure("plan all, everything done", finished, 10_000, "--dry-run"),
            measure("plan one of 50 slices", large, 50_000, "--dry-run", "results/slices/1-of-50"),
        ]
    append("planning", rows)


if __name__ == "__main__":
    main()
