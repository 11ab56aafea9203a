"""Compare rendered test views with the true ones, by every metric of the registry.

Writes one row a view, and beside the table a JSON file of the same name that states the protocol, and a picture of
the views.
"""

import json
from importlib.metadata import version

import numpy as np

from obj2ngp.common.files import UserError, atomic_path
from obj2ngp.common.packing import folder_of, is_there
from obj2ngp.common.tables import write_table
from obj2ngp.views.picture_files import read_picture
from obj2ngp.views.pictures import check_view_names, psnr, truth_on_white
from obj2ngp.views.reading import read_images

from .comparison import COLUMNS, Comparison
from .registry import METRICS

IMAGES = "8-bit sRGB, whole image; truth composited from straight alpha on white and rounded"

COMPARISON = "comparison.webp"
NO_SOURCE = "no source mesh is given"


def read_prediction(file, size):
    """A rendered view (H,W,3) uint8 of `size` (H,W). Raises UserError naming the file."""
    if not is_there(file):
        raise UserError(f"{file}: this view was not rendered")
    picture = read_picture(file)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise UserError(f"{file}: expected 8-bit RGB, got {picture.dtype} of shape {picture.shape}")
    if picture.shape[:2] != size:
        (height, width), (rows, columns) = size, picture.shape[:2]
        raise UserError(f"{file}: {columns}x{rows} pixels, the true view has {width}x{height}")
    return picture


def pairs(views, predictions):
    """(truth, prediction) of each view, both (H,W,3) uint8 on white; arguments as in `compare`. Raises UserError."""
    for name, rgba in zip(views.names, views.rgba, strict=True):
        yield truth_on_white(rgba), read_prediction(folder_of(predictions) / f"{name}.png", rgba.shape[:2])


def compare(views, predictions, metrics, comparison, geometry=None):
    """Rows {"view": name, metric's name: value} of all views.

    views        PosedImages, the true views
    predictions  folder, which may be packed, with a picture NAME.png of each
    metrics      the Metrics to compute; one of the whole object has the same value in every row
    comparison   the Comparison that takes the views
    geometry     the object's Geometry, if some of them need it

    Raises UserError naming the view.
    """

    def value(metric, index, pair):
        return float(metric.function(*pair) if metric.of == "pictures" else metric.function(depths[index]))

    with_depths = any(metric.of == "depths" for metric in metrics)
    depths = [geometry.depths(views, index) for index in range(len(views)) if with_depths]
    rows = []
    for index, (name, pair) in enumerate(zip(views.names, pairs(views, predictions), strict=True)):
        values = {metric.name: value(metric, index, pair) for metric in metrics if metric.per == "view"}
        rows.append({"view": name, **values})
        comparison.add(index, *pair)
        print(name, *(f"{metric} {value:.4f}" for metric, value in values.items()), flush=True)
    for metric in metrics:
        if metric.per == "object":
            pictured = metric.of == "pictures"
            whole = map(np.stack, zip(*pairs(views, predictions), strict=True)) if pictured else (geometry.surfaces,)
            figure = float(metric.function(*whole))
            rows = [{**row, metric.name: figure} for row in rows]
    return rows


def write_metrics(name, transforms, predictions, out, geometry=None):
    """Compare the views of the object `name`; write the table `out`, its protocol and COMPARISON. Raises UserError.

    Without `geometry`, a Geometry, its shape is not measured.
    """
    obstacles = {metric.name: metric.obstacle() for metric in METRICS if metric.obstacle}
    if geometry is None:
        obstacles.update({metric.name: NO_SOURCE for metric in METRICS if metric.of != "pictures"})
    metrics = [metric for metric in METRICS if not obstacles.get(metric.name)]
    protocol = {
        "images": IMAGES,
        **{metric.name: metric.protocol for metric in METRICS},
        **{metric: f"not computed: {reason}" for metric, reason in obstacles.items() if reason},
        "versions": {metric.package: version(metric.package) for metric in metrics if metric.package},
    }
    with atomic_path(out) as table:
        views = read_images(transforms)
        check_view_names(views.names, transforms)
        comparison = Comparison([psnr(*pair) for pair in pairs(views, predictions)], views.rgba.shape[1:3])
        rows = compare(views, predictions, metrics, comparison, geometry)
        columns = ["object", "view", *(metric.name for metric in metrics)]
        write_table(table, columns, ({"object": name, **row} for row in rows))
        protocol["comparison"] = {"columns": COLUMNS, "rows": [views.names[index] for index in comparison.shown]}
        with atomic_path(out.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(protocol, indent=1) + "\n")
            with atomic_path(out.with_name(COMPARISON)) as picture:
                comparison.write(picture)
