"""Gather the results of all objects in one table.

One row an object, then a row of means and one of medians, named "(mean)" and "(median)". The column
`status` is "ok", or says why a program stopped, or else names the files that are missing or unfit; what
such a file would have said is then empty, and the object counts in no mean.

The rows of objects that have not changed since are taken from the former table: that of tens of thousands of objects
is made anew for each that is added.
"""

import csv
import json
import math
import os
import statistics
from collections.abc import Callable

from safetensors import SafetensorError, safe_open

from obj2ngp.common.files import ERROR, UserError, atomic_path
from obj2ngp.evaluation.registry import METRICS

TRAINING_FIGURES = ("training_seconds", "steps")
MESH_FIGURES = ("faces", "vertices")
MODEL_HEADER = "obj2ngp"  # the key of the model file's JSON
AVERAGES: dict[str, Callable] = {"(mean)": statistics.fmean, "(median)": statistics.median}


class MissingResult(Exception):
    """A result file that is missing or unfit; the message names it."""


def number(figures, key):
    """The number under `key`, which may be text: an int where it is whole. Raises ValueError unless finite."""
    try:
        value = float(figures[key])
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{key} is not a number: {figures[key]!r}")
    return int(value) if value.is_integer() else value


def metric_figures(file):
    """Number of views, and what the summary has of each metric, of an object's metrics.csv."""
    with open(file, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if not rows:
        raise ValueError("no views")
    figures = {"views": len(rows)}
    for metric in METRICS:
        if metric.name in rows[0] or not metric.obstacle:
            values = [number(row, metric.name) for row in rows]
            figures.update({column: function(values) for column, function in metric.summary.items()})
    return figures


def training_figures(file):
    """What the header of an object's model file says of its training."""
    with safe_open(file, framework="numpy") as model:
        header = json.loads((model.metadata() or {})[MODEL_HEADER])
    width, height = header["resolution"]
    versions = dict(header["versions"])
    return {
        **{name: number(header, name) for name in TRAINING_FIGURES},
        **{name: header[name] for name in ("backend", "device")},
        **{name: versions.get(name) for name in ("torch", "obj2ngp")},
        "resolution": f"{width}x{height}",
    }


def render_figures(file):
    """What the record of an object's renders says of its mesh."""
    record = json.loads(file.read_text(encoding="utf-8"))
    figures = {name: number(record["mesh"], name) for name in MESH_FIGURES}
    return {"blender": record["versions"]["blender"], **figures}


def no_figures(file):
    """Nothing, of a file that need only be there."""
    file.stat()
    return {}


READERS = {
    "metrics.csv": metric_figures,
    "model.safetensors": training_figures,
    "renders/train/record.json": render_figures,
}


def figures_of(folder, file):
    """What the result `file` of an object's folder says. Raises MissingResult."""
    try:
        return READERS.get(file, no_figures)(folder / file)
    except FileNotFoundError as error:
        raise MissingResult(f"{file}: missing") from error
    except KeyError as error:
        raise MissingResult(f"{file}: no {error}") from error
    except (OSError, ValueError, TypeError, csv.Error, SafetensorError) as error:
        reason = str(error) or type(error).__name__
        raise MissingResult(f"{file}: {reason.splitlines()[0]}") from error


def stop_reason(logs, name):
    """The error message with which one of an object's programs stopped, or None."""
    for log in sorted((logs / name).glob("*.log")):
        for line in reversed(log.read_text(encoding="utf-8", errors="replace").splitlines()):
            if line.startswith(ERROR):
                return line[len(ERROR) :].removeprefix(f"object {name}: ")
    return None


def object_row(results, logs, name, files):
    """The row of one object that should have the result `files`; `status` says why some cells are empty."""
    row, problems = {"object": name, "status": "ok"}, []
    for file in all_files(files):
        try:
            row.update(figures_of(results / name, file))
        except MissingResult as problem:
            problems.append(str(problem))
    if problems:
        row["status"] = stop_reason(logs, name) or "; ".join(problems)
    return {key: float(shown(cell)) if isinstance(cell, float) else cell for key, cell in row.items()}


def all_files(files):
    """What an object's row depends on: the files that are read, and those of `files` that need only be there."""
    return list(dict.fromkeys([*READERS, *files]))


def former_rows(table, results, objects):
    """The rows of the former `table` that are still true, by name: of complete objects that have not changed since.

    A file counts as changed if it was written, or its folder got or lost an entry, since the table was begun, which
    is the table's time. (A file's st_ctime says nothing: the gallery's links change it.)
    """
    try:
        begun = table.stat().st_mtime
        with open(table, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        if not rows or list(rows[0]) != columns(rows[:1]):
            return {}
        numbers = {"views", *averaged_columns()}
        wanted = ((row, objects[row["object"]]) for row in rows if row["status"] == "ok" and row["object"] in objects)
        return {
            row["object"]: {key: number(row, key) if key in numbers else row[key] for key in row if row[key]}
            for row, files in wanted
            if _last_change(os.path.join(results, row["object"]), files) < begun
        }
    except (OSError, ValueError, csv.Error):  # there is none, or somebody has edited it
        return {}


def _last_change(folder, files):
    """When an object's files, or the folders that they lie in, changed; never (infinity) if one is missing."""
    paths = [os.path.join(folder, file) for file in all_files(files)]
    try:
        times = [os.stat(path).st_mtime for path in paths]
        return max(times + [os.stat(parent).st_ctime for parent in {os.path.dirname(path) for path in paths}])
    except OSError:
        return math.inf


def summarise(results, logs, objects, former):
    """The rows of all objects, then those of the averages over the objects that are ok.

    results, logs  Paths of the folders that hold a folder for each object
    objects        name -> the result files that the object should have, relative to its folder
    former         name -> row of objects that need not be read
    """
    rows = [former.get(name) or object_row(results, logs, name, files) for name, files in objects.items()]
    complete = [row for row in rows if row["status"] == "ok"]
    for name, average in AVERAGES.items():
        row = {"object": name, "status": f"{len(complete)} of {len(objects)} objects"}
        for column in averaged_columns():
            values = [row[column] for row in complete if column in row]
            if values:
                row[column] = average(values)
        rows.append(row)
    return rows


def averaged_columns():
    """The columns of which the table has means and medians."""
    return [*(column for metric in METRICS for column in metric.summary), *TRAINING_FIGURES, *MESH_FIGURES]


def shown(number):
    """A float as the table has it. Averages are those of the numbers in the table, wherever these come from."""
    return f"{number:.6g}"


def columns(rows):
    """The columns of a table with these rows. Those of an optional metric that no object has are left out."""
    figures = [
        column
        for metric in METRICS
        for column in metric.summary
        if not metric.obstacle or any(column in row for row in rows)
    ]
    return [
        *("object", "status", "views", "resolution", *figures, *TRAINING_FIGURES),
        *("backend", "device", *MESH_FIGURES, "blender", "torch", "obj2ngp"),
    ]


def read_objects(file):
    """The objects of a table with the columns object and results: {name: [result files]}. Raises UserError."""
    try:
        with open(file, newline="", encoding="utf-8") as stream:
            return {row["object"]: row["results"].split() for row in csv.DictReader(stream, delimiter="\t")}
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from error
    except (AttributeError, KeyError, ValueError, csv.Error) as error:
        raise UserError(f"{file}: not a table of objects and their results") from error


def write_summary(results, logs, objects, out):
    """Write the table of the objects in the file `objects`; print what is not ok. Raises UserError."""
    objects = read_objects(objects)
    with atomic_path(out) as temporary:
        temporary.touch()
        begun = temporary.stat().st_mtime_ns
        rows = summarise(results, logs, objects, former_rows(out, results, objects))
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns(rows), lineterminator="\n")
            writer.writeheader()
            for row in rows:
                writer.writerow({key: shown(cell) if isinstance(cell, float) else cell for key, cell in row.items()})
        os.utime(temporary, ns=(begun, begun))
    for row in rows[: -len(AVERAGES)]:
        if row["status"] != "ok":
            print(f"{row['object']}: {row['status']}")
    for row in rows[-len(AVERAGES) :]:
        figures = [
            f"{metric.title} {metric.format.format(row[metric.name])}" for metric in METRICS if metric.name in row
        ]
        print(f"{row['object']} over {row['status']}: {', '.join(figures)}")
