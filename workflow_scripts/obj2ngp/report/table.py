"""Gather the results of all objects in one table.

One row an object, then a row of means and one of medians, named "(mean)" and "(median)". The column
`status` is "ok", or says why a program stopped, or else names the file that is missing or unfit; what
that file would have said is then empty, and the object counts in no mean.
"""

import json

import pandas as pd
from safetensors import SafetensorError, safe_open

from obj2ngp.common.files import ERROR, UserError, atomic_path

# A view's metric -> the columns that it has here: name and pandas' function over the views.
METRICS = {
    "psnr": {"psnr": "mean", "psnr_min": "min"},
    "ssim": {"ssim": "mean", "ssim_min": "min"},
    "flip": {"flip": "mean", "flip_max": "max"},  # an error: the largest is the worst
    "lpips": {"lpips": "mean", "lpips_max": "max"},
}
FIGURES = [column for columns in METRICS.values() for column in columns]
COLUMNS = [
    *("object", "status", "views", "resolution", *FIGURES, "training_seconds", "steps"),
    *("backend", "device", "faces", "vertices", "blender", "torch", "obj2ngp"),
]
AVERAGED = [*FIGURES, "training_seconds", "steps", "faces", "vertices"]
MODEL_HEADER = "obj2ngp"  # the key of the model file's JSON


class MissingResult(Exception):
    """A result file that is missing or unfit; the message names it."""


def metric_figures(file):
    """Number of views, and mean and worst of each metric, of an object's metrics.csv."""
    try:
        table = pd.read_csv(file)
        figures = {"views": len(table)}
        for metric, columns in METRICS.items():
            if metric in table or metric != "lpips":
                figures.update({name: table[metric].agg(how) for name, how in columns.items()})
    except (OSError, ValueError, KeyError) as error:
        raise MissingResult(f"{file.name}: {describe(error)}") from error
    if not figures["views"]:
        raise MissingResult(f"{file.name}: no views")
    return figures


def training_figures(file):
    """What the header of an object's model file says of its training."""
    try:
        with safe_open(file, framework="numpy") as model:
            header = json.loads((model.metadata() or {})[MODEL_HEADER])
        width, height = header["resolution"]
        return {
            **{name: header[name] for name in ("training_seconds", "steps", "backend", "device")},
            **{name: header["versions"].get(name) for name in ("torch", "obj2ngp")},
            "resolution": f"{width}x{height}",
        }
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise MissingResult(f"{file.name}: {describe(error)}") from error


def render_figures(file):
    """What the record of an object's renders says of its mesh."""
    try:
        record = json.loads(file.read_text())
        return {
            "blender": record["versions"]["blender"],
            **{name: record["mesh"][name] for name in ("faces", "vertices")},
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingResult(f"{file.parent.name}/{file.name}: {describe(error)}") from error


def describe(error):
    """A short reason without the path, which stands before it."""
    if isinstance(error, FileNotFoundError):
        return "missing"
    if isinstance(error, KeyError):
        return f"no {error}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def stop_reason(logs, name):
    """The error message with which one of an object's programs stopped, or None."""
    for log in sorted((logs / name).glob("*.log")):
        for line in reversed(log.read_text(encoding="utf-8", errors="replace").splitlines()):
            if line.startswith(ERROR):
                return line[len(ERROR) :].removeprefix(f"object {name}: ")
    return None


def object_row(results, logs, name):
    """The row of one object, a dict of its columns; `status` says why some cannot be filled."""
    folder = results / name
    row, problems = {"object": name}, []
    for read, file in (
        (metric_figures, folder / "metrics.csv"),
        (training_figures, folder / "model.safetensors"),
        (render_figures, folder / "renders" / "train" / "record.json"),
    ):
        try:
            row.update(read(file))
        except MissingResult as problem:
            problems.append(str(problem))
    status = (stop_reason(logs, name) or "; ".join(problems)) if problems else "ok"
    return {**row, "status": status}


def summarise(results, logs, names):
    """The table of all objects, with the rows "(mean)" and "(median)" over those that are ok.

    results, logs  Paths of the folders that hold a folder for each object
    """
    rows = [object_row(results, logs, name) for name in names]
    table = pd.DataFrame(rows, columns=COLUMNS)
    complete = table[table["status"] == "ok"]
    averages = [
        {
            "object": f"({how})",
            "status": f"{len(complete)} of {len(table)} objects",
            **complete[AVERAGED].apply(pd.to_numeric).agg(how).to_dict(),
        }
        for how in ("mean", "median")
    ]
    whole = pd.DataFrame(rows + averages, columns=COLUMNS)
    return whole.drop(columns=[name for name in METRICS["lpips"] if whole[name].isna().all()])


def read_names(file):
    """The object names of a file that has one a line."""
    try:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line]
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from error


def write_summary(results, logs, names, out):
    """Write the table of the objects in the file `names`; print what is not ok. Raises UserError."""
    table = summarise(results, logs, read_names(names))
    with atomic_path(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    for row in table[table["status"] != "ok"].iloc[:-2].itertuples():
        print(f"{row.object}: {row.status}")
    print(table.iloc[-2:][["object", "status", "psnr", "ssim", "flip"]].to_string(index=False))
