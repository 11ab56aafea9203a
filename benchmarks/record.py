"""Benchmark results: rows appended to a CSV, each with date, machine and commit."""

import csv
import datetime
import platform
import subprocess
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def processor():
    """The processor's name."""
    cpu = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in cpu.read_text().splitlines() if line.startswith("model name")]
        if cpu.exists()
        else []
    )
    return names[0] if names else platform.processor()


def machine():
    """The GPU's name where there is one, otherwise the processor's and the number of threads that PyTorch uses."""
    import torch  # not everything that is measured runs where PyTorch is

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{processor()}, {torch.get_num_threads()} threads"


def commit():
    """The short hash of the checked-out commit, with a + where files but tables differ from it; empty outside git."""
    run = lambda *words: subprocess.run(["git", *words], cwd=FOLDER, capture_output=True, text=True)  # noqa: E731
    head = run("rev-parse", "--short", "HEAD")
    if head.returncode:
        return ""
    changes = run("status", "--porcelain", "--untracked-files=no", "--", ":/", ":!*.csv")
    return head.stdout.strip() + ("+" if changes.stdout.strip() else "")


def append(name, rows, device=None):
    """Appends `rows` (mappings with the same keys) to benchmarks/<name>.csv, adding date, machine and commit.

    `device` is what was measured, `machine()` unless given.
    """
    common = {"date": datetime.date.today().isoformat(), "machine": device or machine(), "commit": commit()}
    path = FOLDER / (name + ".csv")
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, [*common, *rows[0]])
        if new:
            writer.writeheader()
        writer.writerows({**common, **row} for row in rows)
