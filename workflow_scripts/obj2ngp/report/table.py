"""Gather the results of all objects in one table.

One row an object, then a row of means and one of medians, named "(mean)" and "(median)". The column
`status` is "ok", or says why a program stopped, or else names the files that are missing or unfit; what
such a file would have said is then empty, and so is what was made before that; the object counts in no mean.

The rows of objects that have not changed since are taken from the former table: that of tens of thousands of objects
is made anew for each that is added.
"""

import math
import os
import stat
import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from obj2ngp.common.checks import checked, items, mapping, object_name, read_json, result_path
from obj2ngp.common.files import UserError, atomic_path
from obj2ngp.common.packing import holder, is_there
from obj2ngp.common.records import FILE
from obj2ngp.common.tables import read_table, write_table
from obj2ngp.common.tensor_files import COUNT, LABEL, TRAINED, read_header
from obj2ngp.evaluation.registry import METRICS

from .outcomes import Failure, Outcomes, write_failures

TRAINING_FIGURES = ("training_seconds", "steps")
MESH_FIGURES = ("faces", "vertices")
RENDERED = mapping(  # what is shown of the record of its renders
    {"mesh": mapping(dict.fromkeys(MESH_FIGURES, COUNT)), "versions": mapping({"blender": LABEL})}
)
OBJECTS = items(mapping({"object": object_name(), "results": items(result_path(), "results")}), "objects", least=0)
AVERAGES: dict[str, Callable] = {"(mean)": statistics.fmean, "(median)": statistics.median}


def views_record(value, key):
    """The shape of the record of an object's views, which were rendered or are an image set. Raises Unfit."""
    mapping({})(value, key)
    if "source" not in value:
        RENDERED(value, key)


class MissingResult(Exception):
    """A result file that is missing or unfit; the message names it."""


def value_of(row, column, low=-math.inf, high=math.inf):
    """The number in a cell of a table's row: an int where it is whole. Raises ValueError unless between the bounds."""
    try:
        value = float(row[column])
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{column} is not a number: {row[column]!r}")
    if not low <= value <= high:
        raise ValueError(f"{column} is not between {low:g} and {high:g}: {row[column]!r}")
    return int(value) if value.is_integer() else value


def metric_figures(file):
    """Number of views, and what the summary has of each metric, of an object's metrics.csv."""
    needed = [metric.name for metric in METRICS if not metric.obstacle]
    rows = read_table(file, ["object", "view", *needed])
    if not rows:
        raise ValueError("no views")
    views = Counter(row["view"] for row in rows)
    for problem in (
        *(f"view {view!r} stands there {count} times" for view, count in views.items() if count > 1),
        *(f"of object {row['object']!r}" for row in rows if row["object"] != file.parent.name),
    ):
        raise ValueError(problem)
    figures = {"views": len(rows)}
    for metric in METRICS:
        if metric.name in rows[0]:
            values = [value_of(row, metric.name, metric.low, metric.high) for row in rows]
            figures.update({column: function(values) for column, function in metric.summary.items()})
    return figures


def training_figures(file):
    """What the header of an object's model file says of its training."""
    header, _ = read_header(file, TRAINED)
    return {
        **{name: _whole_if_it_is(header[name]) for name in TRAINING_FIGURES},
        **{name: header[name] for name in ("backend", "device")},
        **{name: header["versions"].get(name) for name in ("torch", "obj2ngp")},
        "resolution": "{:.0f}x{:.0f}".format(*header["resolution"]),
    }


def render_figures(file):
    """What the record of an object's views says of its mesh, if they were rendered here."""
    record = read_json(file, views_record)
    if "source" in record:  # an image set, of which nobody has the mesh
        return {}
    figures = {name: int(record["mesh"][name]) for name in MESH_FIGURES}
    return {"blender": record["versions"]["blender"], **figures}


def _whole_if_it_is(value):
    return int(value) if value == int(value) else value


def no_figures(file):
    """Nothing, of a file, or the folder of an export, that need only be there, and hold something."""
    found = file.stat()
    if stat.S_ISDIR(found.st_mode):
        holds_something = any(not path.name.startswith(".") for path in file.iterdir())  # Snakemake's file is hidden
    else:
        holds_something = stat.S_ISREG(found.st_mode) and found.st_size
    if not holds_something:
        raise ValueError("empty, or no file")
    return {}


READERS = {
    "metrics.csv": metric_figures,
    "model.safetensors": training_figures,
    "renders/train/record.json": render_figures,
}


def figures_of(folder, file):
    """What the result `file` of an object's folder says. Raises MissingResult."""
    try:
        if not os.path.lexists(folder / file) and not is_there(folder / file):
            raise MissingResult(f"{file}: missing")
        return READERS.get(file, no_figures)(folder / file)
    except UserError as error:
        raise MissingResult(str(error).replace(f"{folder / file}", file, 1)) from error
    except (OSError, ValueError) as error:
        raise MissingResult(f"{file}: {getattr(error, 'strerror', None) or error}") from error


def object_row(results, logs, name, files):
    """The row of one object that should have the result `files`; `status` says why some cells are empty."""
    row, problems, outcomes = {"object": name, "status": "ok"}, [], Outcomes(results, logs, name)
    for file in all_files(files):
        if outcomes.outdated(Path(file)):
            problems.append(f"{file}: outdated")
            continue
        try:
            row.update(figures_of(results / name, file))
        except MissingResult as problem:
            problems.append(str(problem))
    if problems:  # a failure without one is of what the object need no longer have
        words = list(outcomes.failures()) or filter(None, [outcomes.last_words()])
        row["status"] = "; ".join(dict.fromkeys(each.reason for each in words)) or "; ".join(problems)
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
        rows = read_table(table, ["object", "status"])
        if not rows or list(rows[0]) != columns(rows[:1]):
            return {}
        numeric = {"views", *averaged_columns()}
        wanted = ((row, objects[row["object"]]) for row in rows if row["status"] == "ok" and row["object"] in objects)
        return {
            row["object"]: {key: value_of(row, key) if key in numeric else row[key] for key in row if row[key]}
            for row, files in wanted
            if _last_change(os.path.join(results, row["object"]), files) < begun
        }
    except (OSError, ValueError, UserError):  # there is none, or somebody has edited it
        return {}


def _last_change(folder, files):
    """When an object's files, or the folders that they lie in, changed; never (infinity) if one is missing."""
    paths = [holder(os.path.join(folder, file)) for file in all_files(files)]
    parents = {os.path.dirname(path) for path in paths}
    records = os.path.join(folder, FILE)
    try:
        times = [os.stat(path).st_mtime for path in paths]
        if os.path.exists(records):
            parents.add(records)
        return max(times + [os.stat(parent).st_ctime for parent in parents])
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
    rows = [{**row, "results": row["results"].split()} for row in read_table(file, ["object", "results"], "\t")]
    checked(rows, OBJECTS, file)
    objects = {row["object"]: row["results"] for row in rows}
    if len(objects) < len(rows):
        raise UserError(f"{file}: names an object twice")
    return objects


def failures_of(results, logs, rows):
    """The Failure of each job of the objects in `rows` that did not succeed, or what else is wrong with the object."""
    for row in rows:
        if row["status"] != "ok":
            outcomes = Outcomes(results, logs, row["object"])
            last = outcomes.last_words() or Failure(row["object"], "", row["status"], "")
            yield from list(outcomes.failures()) or [last]


def write_summary(results, logs, objects, out, failures=None):
    """Write the table of the objects in the file `objects`, and that of what stopped; print it. Raises UserError.

    out, failures  Paths of the tables; None: no table of failures
    """
    objects = read_objects(objects)
    with atomic_path(out) as temporary:
        temporary.touch()
        begun = temporary.stat().st_mtime_ns
        rows = summarise(results, logs, objects, former_rows(out, results, objects))
        shown_rows = ({k: shown(c) if isinstance(c, float) else c for k, c in row.items()} for row in rows)
        write_table(temporary, columns(rows), shown_rows)
        os.utime(temporary, ns=(begun, begun))
    if failures is not None:
        write_failures(failures, failures_of(results, logs, rows[: -len(AVERAGES)]))
    for row in rows[: -len(AVERAGES)]:
        if row["status"] != "ok":
            print(f"{row['object']}: {row['status']}")
    for row in rows[-len(AVERAGES) :]:
        figures = [
            f"{metric.title} {metric.format.format(row[metric.name])}" for metric in METRICS if metric.name in row
        ]
        print(f"{row['object']} over {row['status']}: {', '.join(figures)}")
