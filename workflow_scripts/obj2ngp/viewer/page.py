"""The page of one object: one file that holds the model and its renderer, and opens from a disk without a network."""

import base64
import dataclasses
import html
import math
import zlib
from pathlib import Path
from statistics import fmean
from string import Template

from obj2ngp.common.checks import checked, mapping, read_bytes, read_json, shown
from obj2ngp.common.files import UserError, atomic_path, printable
from obj2ngp.common.pages import embedded
from obj2ngp.common.records import FILE, OK, read_records
from obj2ngp.common.tables import read_table
from obj2ngp.common.tensor_files import TRAINED
from obj2ngp.ngp import load_model
from obj2ngp.views.posed_images import DataError
from obj2ngp.views.reading import read_cameras

from .packing import Unsuited, packed
from .source import packed_source

STATIC = Path(__file__).parent / "static"
SCRIPTS = ("shader.js", "field.js", "mesh.js", "camera.js", "player.js", "page.js")
LARGEST_COMPARISON = 1 << 24  # bytes
MODEL = "model.safetensors"
COMPARISON = "comparison.webp"  # a row of truth, prediction and error for each view that metrics.json names
FILES = {
    "turntable (GIF)": "orbit.gif",
    "turntable (WebP)": "orbit.webp",
    "turntable (MP4)": "orbit.mp4",
    "test views": COMPARISON,
    "model": MODEL,
    "metrics": "metrics.csv",
    "how they are computed": "metrics.json",
    "training": "training.csv",
    "test cameras": "renders/transforms_test.json",
    "training cameras": "renders/transforms_train.json",
}
RECORD = "renders/train/record.json"  # what the render program wrote of the training views
MESHES = "export/mesh"  # where the mesh is, if it was exported
DEEPEST = 8  # levels of settings that are told one by one
MOST_POINTS = 200  # of the training curve
MOST_CAMERAS = 500  # of a split


def table(file, *columns):
    """The rows of a table as dicts; none if there is no such file. Raises UserError."""
    return read_table(file, columns) if file.is_file() else []


def figure(row, column):
    """A number of a row, or None."""
    try:
        value = float(row[column])
    except (KeyError, TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def thinned(rows, most):
    """At most so many of `rows`, evenly, the last among them."""
    step = -(-len(rows) // most)
    return rows[::-1][::step][::-1] if rows else []


def cameras_of(transforms):
    """(names, poses as lists of three rows, lens) of a transforms file; nothing where there is none that can be read.

    The lens holds focal length and principal point in widths and heights of the picture, and width over height.
    """
    try:
        cameras = read_cameras(transforms)
    except (OSError, DataError):
        return [], [], None
    width, height = cameras.intrinsics.get("w", 1), cameras.intrinsics.get("h", 1)
    focal, center = cameras.pinhole(width, height)
    lens = {"focal": focal / width, "center": [center[0] / width, center[1] / height], "aspect": width / height}
    poses = [[[round(float(x), 5) for x in row] for row in pose[:3]] for pose in cameras.pose[:MOST_CAMERAS]]
    return [file.stem for file in cameras.files[:MOST_CAMERAS]], poses, lens


def content_of(file):
    """What a JSON file that another program wrote holds; an empty dict where there is none that can be read."""
    try:
        return read_json(file, mapping({}))
    except UserError:
        return {}


def comparison_of(results):
    """(names of the rows, bytes) of the picture of the test views; nothing where there is none that can be read."""
    content = content_of(results / "metrics.json").get("comparison")
    rows = content.get("rows") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        return [], b""
    try:
        return [str(row) for row in rows], read_bytes(results / COMPARISON, LARGEST_COMPARISON)
    except UserError:
        return [], b""


def flat(settings, path=""):
    """(dotted name, value in words) of nested settings; what lies deeper than any of ours is one value."""
    for name, value in settings.items():
        if isinstance(value, dict) and path.count(".") < DEEPEST:
            yield from flat(value, path + name + ".")
        else:
            yield path + name, shown(value)


def times(results):
    """The seconds of the object's jobs but this one, as pairs of words, by name."""
    records = [record for record in read_records(results / FILE).values() if record["state"] == OK]
    for record in records:
        if "seconds" in record and record["rule"] != "viewer":
            yield record["job"], "{:.1f} s".format(record["seconds"])


def facts(model, record):
    """What the model file and the record of its views say, as pairs of words."""
    header, network = model.header, model.config.network
    yield "steps", "{:,} in {:.1f} s".format(model.header["steps"], header["training_seconds"])
    yield "backend", "{}, {}".format(header["backend"], header["device"])
    yield "seed", str(model.config.seed)
    if "views" in header:
        yield "training views", "{} of {:.0f}×{:.0f} pixels".format(header["views"], *header["resolution"])
    yield (
        "encoding",
        "{0.levels} levels of {0.features}, 2^{0.table_log2} entries, {0.base_resolution} to"
        " {0.finest_resolution} vertices".format(network),
    )
    yield (
        "networks",
        "{0.density_layers} × {0.density_width} and {0.color_layers} × {0.color_width}, spherical harmonics of degree"
        " {0.sh_degree}".format(network),
    )
    mesh = record.get("mesh")
    if isinstance(mesh, dict) and isinstance(mesh.get("faces"), int):
        yield "source mesh", "{:,} faces".format(mesh["faces"])
    for content, made in ((record, "views: "), (header, "")):
        if isinstance(content.get("versions"), dict):
            yield from ((made + name, str(version)) for name, version in sorted(content["versions"].items()))


def description(name, results, model):
    """What the page knows of an object beside its field, as JSON has it."""
    names, poses, lens = cameras_of(results / "renders" / "transforms_test.json")
    _, training, _ = cameras_of(results / "renders" / "transforms_train.json")
    psnrs = {row.get("view"): figure(row, "psnr") for row in table(results / "metrics.csv", "view", "psnr")}
    known = [value for value in psnrs.values() if value is not None]
    curve = [
        (figure(row, "seconds"), figure(row, "psnr")) for row in table(results / "training.csv", "seconds", "psnr")
    ]
    record, aspect = content_of(results / RECORD), lens["aspect"] if lens else 1
    settings = {"render": record.get("settings"), "train": dataclasses.asdict(model.config)}
    return {
        "name": name,
        "mean": "PSNR {:.2f} dB over {} test views".format(fmean(known), len(known)) if known else "",
        "views": [{"name": view, "psnr": psnrs.get(view), "pose": pose} for view, pose in zip(names, poses)],
        "lens": lens,
        "cameras": training,
        "aspect": aspect,
        "curve": thinned([point for point in curve if None not in point], MOST_POINTS),
        "facts": list(facts(model, record)),
        "times": list(times(results)),
        "settings": list(flat({name: values for name, values in settings.items() if isinstance(values, dict)})),
        "mesh": next((f"{MESHES}/{file.name}" for file in sorted((results / MESHES).glob("*.glb"))), None),
        "files": [[text, file] for text, file in FILES.items() if (results / file).is_file()],
    }


def deflated(content):
    """Bytes as a text: deflated and in Base64."""
    return base64.b64encode(zlib.compress(content, 9)).decode("ascii")


def page_of(name, results, largest, source=None, alone=False):
    """The page, a text, of the object whose results lie in the folder `results`. Raises ModelError.

    largest  bytes that its field may take; of a larger one, the page says so instead
    source   path of its .obj file, whose mesh the page shows, too, or None
    alone    whether to leave out links to the files beside it
    """
    model = load_model(results / MODEL)
    checked(model.header, TRAINED, results / MODEL)
    content, data = description(name, results, model), ""
    try:
        content["field"], data = packed(model)
        if len(data) > largest:
            raise Unsuited("it is too large: it takes {:.1f} MB".format(len(data) / 1e6))
    except Unsuited as error:
        content["field"], data = None, ""
        content["problem"] = "No page can show this field: {}.".format(error)
    rows, pictures = comparison_of(results)
    mesh, content["rows"], content["source"] = b"", rows, None
    if source:
        try:
            content["source"], mesh = packed_source(source, results / RECORD)
        except (Unsuited, UserError) as error:
            print("{}: the page has no source mesh: {}".format(name, error))
    if alone:
        content["files"], content["mesh"] = [], None
    read = lambda file: (STATIC / file).read_text(encoding="utf-8")  # noqa: E731
    scripts = "\n".join(read(file).replace('"use strict";\n', "") for file in SCRIPTS)
    return Template(read("page.html")).substitute(
        title=html.escape(printable(name)),
        style=read("page.css"),
        object=embedded(content),
        data=data,
        source=deflated(mesh),
        pictures=base64.b64encode(pictures).decode("ascii"),
        script='"use strict";\n' + scripts,
    )


def write_page(name, results, settings, out, source=None, alone=False):
    """Write the page of an object, as `page_of` has it with ViewerSettings. Raises ModelError."""
    text = page_of(name, results, settings.largest * 1e6, source, alone)
    with atomic_path(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print("{}: {:,} bytes".format(out, len(text.encode("utf-8"))))
