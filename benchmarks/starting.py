"""What it costs to start each program, beside another version's: all jobs of a tiny object, in turns.

    python benchmarks/starting.py CHECKOUT [--rounds 20] [--settings '{"test": {"geometry": false}}']

The jobs' commands are those that Snakemake prints, without workers; their work is next to nothing. CPU-milliseconds of
the processes, the least of the rounds and the median. `settings` are added to this version's configuration, so that
both do the same. Appends to benchmarks/starting.csv.
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from record import append, processor
from scenes import ROOT

sys.path.insert(0, str(ROOT / "tests"))

from workflow_project import TINY, Project  # noqa: E402

JOB = re.compile(r"^rule (\w+):$.*?^Shell command: (.*?)$", re.MULTILINE | re.DOTALL)
SPLIT = re.compile("--split (\\w+)")
SAME_NAME = {"render_test": "render_views"}  # programs whose names have changed


def make_project(folder, settings):
    """An object to be made in `folder`, with the configuration `settings`."""
    for place in ("models", "config"):
        (folder / place).mkdir(parents=True)
    project = Project(folder)
    project.add_cube("cube")
    project.configure(objects={"folder": "models"}, **{**TINY, **settings})


def commands(checkout, folder):
    """{name of a job: the command that runs it} in the project in `folder`, whose results are made first."""
    run = [
        *(sys.executable, "-m", "snakemake", "--snakefile", checkout / "Snakefile", "--directory", folder),
        *("--cores", "2", "--quiet", "all"),
    ]
    subprocess.run(run, check=True)
    plan = [*run[:-2], "--dry-run", "--printshellcmds", "--forceall"]
    printed = subprocess.run(plan, check=True, capture_output=True, text=True).stdout
    found = {}
    for rule, command in JOB.findall(printed):
        if "workflow_scripts" in command:
            split = SPLIT.search(command)
            found[SAME_NAME.get(rule, rule) + (f"_{split.group(1)}" if split else "")] = command
    return found


def cpu_milliseconds(command, folder):
    """What all processes of a shell command took of the processors."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1e3 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="another version, with links to this one's environments")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON: for this version's configuration")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folders = {"other": Path(place, "other"), "this": Path(place, "this")}
        make_project(folders["other"], {})
        make_project(folders["this"], {"project": {"workers": False}, **options.settings})
        other = commands(options.checkout.resolve(), folders["other"])
        this = commands(ROOT, folders["this"])
        jobs = [name for name in this if name in other]
        taken = {name: {"other": [], "this": []} for name in jobs}
        for _ in range(options.rounds):
            for name in jobs:
                for version, command in (("other", other[name]), ("this", this[name])):
                    taken[name][version].append(cpu_milliseconds(command, folders[version]))
        rows = []
        for name in jobs:
            row = {"job": name, "rounds": options.rounds}
            for version, times in taken[name].items():
                row[f"{version}_least"] = round(min(times))
                row[f"{version}_median"] = round(statistics.median(times))
            rows.append(row)
            text = "{job}: least {this_least} beside {other_least} ms, median {this_median} beside {other_median} ms"
            print(text.format(**row), flush=True)
        append("starting", rows, f"{processor()}, {os.cpu_count()} threads")


if __name__ == "__main__":
    main()
