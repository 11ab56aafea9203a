"""A page that shows all objects' turntables and numbers.

The page's folder holds all that it shows and links, and its links stay inside: it opens from a disk without
a network, may be copied elsewhere, and is taken whole into Snakemake's report. What is linked are the files of
the results themselves under a second name (hard links), so they take no room.
"""

import os
import shutil
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from obj2ngp.common.files import UserError, atomic_folder
from obj2ngp.common.tables import read_table
from obj2ngp.evaluation.registry import METRICS

from .outcomes import Outcomes
from .table import MESH_FIGURES, TRAINING_FIGURES, read_objects, value_of

TEMPLATES = Path(__file__).parent / "templates"
TEMPLATE = "gallery.html.jinja"
PAGE = "index.html"
TURNTABLE = "orbit.gif"
FACTS = ("{steps} steps in {training_seconds:.0f} s on {backend}", "{resolution}", "{faces:,} faces")
LINKS = {"MP4": "orbit.mp4", "metrics": "metrics.csv", "training": "training.csv", "model": "model.safetensors"}


def include(file, folder, name):
    """Put `file` into the page's `folder` as `name`. Returns its URL there, or None where there is no such file."""
    if not file.is_file():
        return None
    target = folder / name
    target.parent.mkdir(exist_ok=True)
    try:
        os.link(file, target)
    except OSError:  # the file system has no hard links, or the results lie on two
        shutil.copyfile(file, target)
    return quote(name)


def include_result(results, name, file, folder):
    """`include` of an object's result: orbit.gif of the object chair becomes orbit/chair.gif."""
    stem, suffix = os.path.splitext(file)
    return include(results / name / file, folder, f"{stem}/{name}{suffix}")


def read_summary(file):
    """{object: {column: text or number}} of a table of summary.py, without its empty cells. Raises UserError.

    A cell that should hold a number and does not counts as empty, a row that is cut off or too long is left out.
    """
    table = read_table(file, ["object", "status"], lenient=True)
    rows = {row["object"]: row for row in table}
    if len(rows) < len(table):
        raise UserError(f"{file}: names an object twice")
    numeric = {*(metric.name for metric in METRICS), *TRAINING_FIGURES, *MESH_FIGURES}
    return {name: dict(_cells(row, numeric)) for name, row in rows.items()}


def _cells(row, numeric):
    for column, text in row.items():
        if column not in numeric:
            if text:
                yield column, text
            continue
        try:
            yield column, value_of(row, column)
        except ValueError:
            continue


def facts(figures):
    """What the summary knows of an object beside its metrics, in phrases."""
    for phrase in FACTS:
        try:
            yield phrase.format_map(figures)
        except KeyError:
            continue


def card(name, figures, results, folder):
    """What the page shows of one object, whose `figures` are its row of the summary."""
    outcomes = Outcomes(results, results, name) if figures.get("status") != "ok" else None
    shown = {file for file in (TURNTABLE, *LINKS.values()) if outcomes is None or not outcomes.outdated(Path(file))}
    links = {label: include_result(results, name, file, folder) for label, file in LINKS.items() if file in shown}
    return {
        "status": "not in the summary",
        **figures,
        "name": name,
        "facts": list(facts(figures)),
        "turntable": include_result(results, name, TURNTABLE, folder) if TURNTABLE in shown else None,
        "links": {label: link for label, link in links.items() if link},
    }


def write_gallery(results, objects, summary, out):
    """Write the page of the objects in the file `objects` into the folder `out`. Raises UserError.

    results  Path of the folder that holds a folder for each object
    summary  Path of their table
    """
    figures = read_summary(summary)
    names = list(read_objects(objects))
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    with atomic_folder(out) as folder:
        environment.get_template(TEMPLATE).stream(
            cards=(card(name, figures.get(name, {}), results, folder) for name in names),
            count=len(names),
            mean=figures.get("(mean)", {}),
            metrics=[metric for metric in METRICS if any(metric.name in row for row in figures.values())],
            summary=include(summary, folder, summary.name),
        ).dump(str(folder / PAGE), encoding="utf-8")
    print(f"{out / PAGE}: {len(names)} objects")
