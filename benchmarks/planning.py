"""What Snakemake itself costs with many objects: CPU seconds and memory, with programs that only make their outputs.

    python benchmarks/planning.py [fresh] [finished] [large]

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
    *("metrics.csv", "metrics.json", "comparison.webp", "orbit.gif", "orbit.webp", "orbit.mp4", "viewer.html"),
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


def fresh(root):
    make_project(root, 1000)
    yield measure("plan all", root, 1000, "--dry-run")
    yield measure("plan and run all, 8 jobs an object", root, 1000)
    yield measure("plan all, everything done", root, 1000, "--dry-run")


def finished(root):
    finish(root, make_project(root, 10_000))
    yield measure("plan and run the aggregates, all objects done", root, 10_000)
    yield measure("plan all, everything done", root, 10_000, "--dry-run")


def large(root):
    make_project(root, 50_000)
    for count in (50, 100, 400):
        yield measure(f"plan one of {count} slices", root, 50_000, "--dry-run", f"results/slices/1-of-{count}")


PARTS = {part.__name__: part for part in (fresh, finished, large)}


def main(*names):
    for name in names or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            append("planning", list(PARTS[name](Path(folder, name))))


if __name__ == "__main__":
    main(*sys.argv[1:])
