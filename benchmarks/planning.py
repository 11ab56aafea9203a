"""What Snakemake itself costs with many objects: CPU seconds and memory, with programs that only make their outputs.

    python benchmarks/planning.py [fresh] [finished] [records] [large]

Finished objects have outputs and no metadata; the part `records` plans them with their records and without. Appends to
benchmarks/planning.csv.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from record import append

ROOT = Path(__file__).resolve().parent.parent
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "workflow_scripts")]

from obj2ngp.common.provenance import Job  # noqa: E402
from obj2ngp.common.records import FILE  # noqa: E402
from workflow_project import Project  # noqa: E402

PASSES = ("train", "val", "test")
FINISHED = (
    *(f"renders/{name}" for split in PASSES for name in (f"{split}.zip", f"transforms_{split}.json")),
    *("model.safetensors", "training.csv", "test.zip"),
    *("metrics.csv", "metrics.json", "comparison.webp", "orbit.gif", "orbit.webp", "orbit.mp4", "viewer.html"),
)


MADE = {  # by each job: from what, and what
    **{f"render_{name}": ([], [f"renders/{name}.zip", f"renders/transforms_{name}.json"]) for name in PASSES},
    "train": (["renders/train.zip", "renders/transforms_train.json"], ["model.safetensors", "training.csv"]),
    "render_views": (["model.safetensors", "renders/transforms_test.json"], ["test.zip"]),
    "metrics": (
        ["renders/test.zip", "renders/transforms_test.json", "test.zip"],
        ["metrics.csv", "metrics.json", "comparison.webp"],
    ),
    "orbit": (["model.safetensors"], ["orbit.gif", "orbit.webp", "orbit.mp4"]),
    "viewer": (["model.safetensors", "training.csv", "metrics.csv"], ["viewer.html"]),
}


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


def record(root, names):
    """Write the records of the finished objects `names`."""
    subprocess.run([SNAKEMAKE, "--cores", "1", "--quiet", "all", "--", "results/parameters.json"], cwd=root, check=True)
    expected = json.loads((root / "results" / "parameters.json").read_text())["kinds"][0]
    for name in names:
        os.utime(root / "models" / f"{name}.obj", (0, 0))
    with contextlib.chdir(root):
        first = Path("results", names[0])
        for job, (inputs, outputs) in MADE.items():
            made = Job(first / FILE, job, job, expected[job], [first / path for path in outputs])
            for path in [first / path for path in inputs] or [f"models/{names[0]}.obj"]:
                made.takes(path)
            made.finish()
        text = (first / FILE).read_text()
        for name in names:
            Path("results", name, FILE).write_text(text.replace(f"models/{names[0]}.", f"models/{name}."))


def measure(what, root, objects, *arguments):
    """Run Snakemake in `root`; returns what it costs as a row."""
    command = [SNAKEMAKE, "--cores", "2", *arguments]
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


def records(root):
    names = make_project(root, 1000)
    finish(root, names)
    yield measure("plan all, everything done", root, 1000, "--dry-run")
    record(root, names)
    yield measure("plan all, everything done, with records", root, 1000, "--dry-run")


def large(root):
    make_project(root, 50_000)
    for count in (50, 100, 400):
        yield measure(f"plan one of {count} slices", root, 50_000, "--dry-run", f"results/slices/1-of-{count}")


PARTS = {part.__name__: part for part in (fresh, finished, records, large)}


def main(*names):
    for name in names or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            append("planning", list(PARTS[name](Path(folder, name))))


if __name__ == "__main__":
    main(*sys.argv[1:])
