"""Snakemake's report of very many finished objects: what it costs to make it, and to open it in headless Chromium.

    python benchmarks/report.py demo/results/car 1000

All objects have the results of one finished object, under other names. Appends to benchmarks/pages.csv.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import closing
from pathlib import Path

from pages import memory
from planning import FINISHED, SNAKEMAKE
from record import append, processor

from browser import Browser, served
from workflow_project import Project

AGGREGATES = ("object_table", "slice", "summary", "gallery", "excerpt", "plots")
ALONE = ("--allowed-rules", *AGGREGATES, "--")  # so that no single object is planned
RESULTS = (*FINISHED, "renders/train/record.json")
TARGETS = ("results/summary.csv", "results/gallery", "results/excerpt", "results/plots")


def finish(root, names, finished):
    """Give the objects `names` the results in the folder `finished`, all of one age; archives of pictures are empty."""
    model = root / "one"
    for path in RESULTS:
        (model / path).parent.mkdir(parents=True, exist_ok=True)
        (model / path).write_bytes((finished / path).read_bytes() if (finished / path).is_file() else b"x\n")
    now, figures = time.time(), (model / "metrics.csv").read_text()
    for name in names:
        folder = root / "results" / name
        (folder / "renders" / "train").mkdir(parents=True)
        for path in RESULTS:
            os.link(model / path, folder / path)
        (folder / "metrics.csv").unlink()
        (folder / "metrics.csv").write_text(figures.replace(f"\n{finished.name},", f"\n{name},"))
        os.utime(folder / "metrics.csv", (now, now))
    for path in RESULTS:
        os.utime(model / path, (now, now))


def cost(root, *arguments):
    """(CPU seconds, peak megabytes) of Snakemake in `root`."""
    with open(root / "output", "w") as output:
        process = subprocess.Popen([SNAKEMAKE, "--cores", "1", *arguments], cwd=root, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit((root / "output").read_text()[-3000:])
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def made(root):
    """The figures of making what the report shows in `root`, and then the report."""
    seconds, megabytes = cost(root, *ALONE, *TARGETS)
    yield "summary, gallery, excerpt and plots, processor time", seconds, "s"
    yield "summary, gallery, excerpt and plots, memory of Snakemake", megabytes, "MB"
    seconds, megabytes = cost(root, "--report", "report.zip")
    yield "report.zip, processor time", seconds, "s"
    yield "report.zip, memory", megabytes, "MB"
    yield "report.zip", (root / "report.zip").stat().st_size / 1e6, "MB"


def opened(folder):
    """The figures of looking at the report in `folder`."""
    yield "report.html", (folder / "report.html").stat().st_size / 1e6, "MB"
    with tempfile.TemporaryDirectory() as profile, closing(Browser(profile, ())) as browser, served(folder) as address:
        page, empty = browser.open("about:blank#", 1280, 900), memory(browser)
        steps = {
            "its list seen": "[...document.querySelectorAll('a')].find((a) => a.textContent.trim() === 'Gallery')",
            "gallery listed": "document.querySelector('td a')",
            "first cards": "document.querySelector('iframe').contentDocument.querySelector('.card img, .card canvas')",
        }
        begin = time.perf_counter()
        page.call("Page.navigate", url=f"{address}/report.html")
        for what, condition in steps.items():
            page.wait(f"Boolean({condition})")
            yield what, time.perf_counter() - begin, "s"
            begin = time.perf_counter()
            page.run(f"({condition}).click?.()")
        yield "memory that it takes", memory(browser) - empty, "MB"
        page.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("finished", type=Path, help="results of a finished object")
    parser.add_argument("objects", type=int, nargs="+", help="how many there shall be of it")
    options = parser.parse_args()

    def measured():
        for count in options.objects:
            with tempfile.TemporaryDirectory() as folder:
                root, names = Path(folder), [f"object{number:05}" for number in range(count)]
                Project.create(root).add_table(names)
                finish(root, names, options.finished.resolve())
                yield count, made(root)
                zipfile.ZipFile(root / "report.zip").extractall(root / "unpacked")
                yield count, opened(root / "unpacked" / "report")

    rows = []
    for count, figures in measured():
        for what, value, unit in figures:
            rows.append({"page": f"report of {count}", "what": what, "value": float(f"{value:.4g}"), "unit": unit})
            print("{page}: {what}: {value:g} {unit}".format(**rows[-1]), flush=True)
    append("pages", rows, processor())


if __name__ == "__main__":
    main()
