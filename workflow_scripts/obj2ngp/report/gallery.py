"""A page that shows all objects: cards to search, sort and filter, and each object's own page.

The page opens from a disk without a network. What it knows of the objects lies beside it in scripts of SHARD objects
each, which are loaded when somebody touches the page, so that tens of thousands of objects open as fast as three.

Up to COMPLETE objects, the page's folder holds all that it shows under `files/<object>/`: it may be copied elsewhere,
and is taken whole into Snakemake's report. What lies there are the files of the results themselves under a second name
(hard links), so they take no room. The page of more objects shows the files where they are, in the results folder.
"""

import os
import re
import shutil
from collections import Counter
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from obj2ngp.common.files import UserError, atomic_folder
from obj2ngp.common.pages import embedded
from obj2ngp.common.tables import read_table
from obj2ngp.common.tensor_files import MOST
from obj2ngp.evaluation.registry import METRICS

from .outcomes import Outcomes
from .settings import SUMMARY
from .table import MESH_FIGURES, TRAINING_FIGURES, read_objects, value_of

TEMPLATES = Path(__file__).parent / "templates"
TEMPLATE = "gallery.html.jinja"
PAGE = "index.html"
SHARD = 1000  # objects in a script of data
COMPLETE = 1000  # objects up to which the folder holds all that the page shows
VIEWER = "viewer.html"
PICTURE = "test/000.png"  # on its card; in a packed project there is none
# What the page shows or links of an object, where it is there.
FILES = (
    *(PICTURE, "orbit.mp4", "orbit.webp", "orbit.gif", VIEWER, "comparison.webp"),
    *("metrics.csv", "metrics.json", "training.csv", "model.safetensors"),
    *("renders/transforms_test.json", "renders/transforms_train.json"),
)
EXPORTS = "export/"
MOST_FILES = 20  # of an export that are linked: views for other trainers are very many
NUMBERS = (*TRAINING_FIGURES, "faces")
WORDS = ("backend", "resolution")
SYNSET = re.compile(r"(\d{8})-")
FOLDER = re.compile(r"([^-]+)-")
MOST_CATEGORIES = 200
FEW = 3  # metrics for which a card has room


def include(file, target):
    """Put `file` into the page's folder as `target`. Returns whether there is such a file."""
    if not file.is_file():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, target)
    except OSError:  # the file system has no hard links, or the results lie on two
        shutil.copyfile(file, target)
    return True


def read_summary(file):
    """{object: {column: text or number}} of a table of summary.py, without its empty cells. Raises UserError.

    A cell that should hold a number and does not, or one that there cannot be, counts as empty; a row that is cut off
    or too long is left out.
    """
    table = read_table(file, ["object", "status"], lenient=True)
    rows = {row["object"]: row for row in table}
    if len(rows) < len(table):
        raise UserError(f"{file}: names an object twice")
    bounds = {metric.name: (metric.low, metric.high) for metric in METRICS}
    bounds.update(dict.fromkeys((*TRAINING_FIGURES, *MESH_FIGURES), (0, MOST)))
    return {name: dict(_cells(row, bounds)) for name, row in rows.items()}


def _cells(row, bounds):
    for column, text in row.items():
        if column not in bounds:
            if text:
                yield column, text
            continue
        try:
            yield column, value_of(row, column, *bounds[column])
        except ValueError:
            continue


def files_of(results, name, status, wanted, packed):
    """Which of FILES an object has that are not older than a failure; `wanted` are the results that it should have.

    A finished object has all of them, but for a page that was not wanted, and a picture that lies in an archive.
    """
    if status == "ok":
        return [file for file in FILES if (file != VIEWER or file in wanted) and not (packed and file == PICTURE)]
    outcomes = Outcomes(results, results, name)
    return [file for file in FILES if (results / name / file).is_file() and not outcomes.outdated(Path(file))]


def exports_of(results, name, wanted):
    """The files of an object's exports, as paths in its folder; none of a format that has very many."""
    for export in sorted(path for path in wanted if path.startswith(EXPORTS)):
        files = sorted(path for path in (results / name / export).rglob("*") if path.is_file())
        yield from (str(path.relative_to(results / name)) for path in files if len(files) <= MOST_FILES)


def include_files(results, name, files, folder):
    """Put an object's `files` into the gallery's `folder`; returns those that are there."""
    return [file for file in files if include(results / name / file, folder / "files" / name / file)]


def excerpt(names, figures, most):
    """At most so many of `names`, in their order: a quarter failed, a quarter the best, a quarter the worst by PSNR.

    The others are spread evenly over the rest.
    """
    if len(names) <= most:
        return names
    quarter = most // 4
    finished = [name for name in names if "psnr" in figures.get(name, {})]
    ranked = sorted(finished, key=lambda name: figures[name]["psnr"])
    failed = [name for name in names if figures.get(name, {}).get("status") != "ok"]
    chosen = {*failed[:quarter], *ranked[:quarter], *ranked[len(ranked) - quarter :]}
    rest = [name for name in names if name not in chosen]
    more = most - len(chosen)
    chosen.update(rest[place * len(rest) // more] for place in range(more))
    return [name for name in names if name in chosen]


def category(name):
    """The synset in the name of a ShapeNet object, or else the folder that the name begins with, or else ""."""
    found = SYNSET.match(name) or FOLDER.match(name)
    return found[1] if found else ""


def synset_titles():
    """{synset: its name for people} of ShapeNet's taxonomy."""
    return dict(line.split("\t") for line in (Path(__file__).parent / "synsets.tsv").read_text().splitlines())


def categories(names):
    """{category: [its name for people, its objects]} of those that several objects have, the largest first."""
    titles = synset_titles()
    counts = Counter(map(category, names))
    common = [(key, count) for key, count in counts.most_common(MOST_CATEGORIES) if key and count > 1]
    return {key: [titles.get(key, key), count] for key, count in common}


def natural(name):
    """A sorting key by which object9 comes before object10."""
    parts = re.split(r"(\d+)", name)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part.casefold()) for part in parts]


def shard(names, figures, files, exports, ranks, others, columns):
    """What the page knows of the objects `names`, by columns; `others` are the figures of another run."""
    rows = [figures.get(name, {}) for name in names]
    data = {
        "name": list(names),
        "rank": [ranks[name] for name in names],
        "status": ["" if row.get("status") == "ok" else row.get("status", "not in the summary") for row in rows],
        "files": [sum(1 << bit for bit, file in enumerate(FILES) if file in files[name]) for name in names],
    }
    for column in columns:
        data[column] = [row.get(column) for row in rows]
    if any(exports.values()):
        data["exports"] = [exports[name] for name in names]
    if others is not None:
        data["other"] = [others[name].get("psnr", True) if name in others else None for name in names]
    return data


def write_gallery(results, objects, summary, out, compare=None, most=None):
    """Write the page of the objects in the file `objects` into the folder `out`. Raises UserError.

    results  Path of the folder that holds a folder for each object
    summary  Path of their table
    compare  Path of the results of another run, or None
    most     how many objects the page may show, those of `excerpt`; None: all
    """
    figures, wanted = read_summary(summary), read_objects(objects)
    others = read_summary(compare / SUMMARY) if compare else None
    total = len(wanted)
    wanted = {name: wanted[name] for name in excerpt(list(wanted), figures, most or total)}
    names, ranks = list(wanted), {name: rank for rank, name in enumerate(sorted(wanted, key=natural))}
    known = [row for name, row in figures.items() if name in wanted]
    metrics = [metric for metric in METRICS if any(metric.name in row for row in known)]
    columns = [*(metric.name for metric in metrics), *NUMBERS, *WORDS]
    complete = len(names) <= COMPLETE
    read = lambda file: Markup((TEMPLATES / file).read_text(encoding="utf-8"))  # noqa: E731
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    with atomic_folder(out) as folder:
        (folder / "data").mkdir()
        status = {name: figures.get(name, {}).get("status") for name in names}
        some = next((name for name in names if status[name] == "ok"), "")
        packed = not (results / some / PICTURE).is_file()
        files = {name: files_of(results, name, status[name], wanted[name], packed) for name in names}
        exports = {name: list(exports_of(results, name, wanted[name])) for name in names}
        if complete:
            files = {name: include_files(results, name, files[name], folder) for name in names}
            exports = {name: include_files(results, name, exports[name], folder) for name in names}
        for number, begin in enumerate(range(0, len(names), SHARD)):
            data = shard(names[begin : begin + SHARD], figures, files, exports, ranks, others, columns)
            script = f"gallery.take({number},{embedded(data)})\n"
            (folder / "data" / f"{number}.js").write_text(script, encoding="utf-8")
        include(summary, folder / summary.name)
        description = {
            "count": len(names),
            "total": total,
            "shard": SHARD,
            "files": FILES,
            "metrics": [{"name": m.name, "title": m.title, "better": m.better, "format": m.format} for m in metrics],
            "few": FEW,
            "numbers": list(NUMBERS),
            "categories": categories(names),
            "failed": sum(status[name] != "ok" for name in names),
            "base": "files/" if complete else os.path.relpath(results, out) + "/",
            "other": os.path.relpath(compare, out) + "/" if compare else None,
        }
        page = environment.get_template(TEMPLATE).render(
            count=len(names),
            total=total,
            mean=figures.get("(mean)", {}),
            metrics=metrics,
            summary=summary.name,
            description=Markup(embedded(description)),
            style=read("gallery.css"),
            script=read("cards.js") + "\n" + read("gallery.js"),
        )
        (folder / PAGE).write_text(page, encoding="utf-8")
    print(f"{out / PAGE}: {len(names)} objects")
