"""A trained field as an example of a collection for weight-space research.

Its files share a prefix, the object's key, as WebDataset wants it: KEY.safetensors, the model file as it is;
KEY.json, what it is; KEY.0.png, KEY.1.png, ..., thumbnails of test views on white.
"""

import json
import re
import shutil

import numpy as np
from PIL import Image

from obj2ngp.common.checks import mapping, maybe, number, object_name, text, values
from obj2ngp.common.files import UserError
from obj2ngp.common.settings import AUTO
from obj2ngp.common.tables import read_table
from obj2ngp.views.picture_files import write_picture
from obj2ngp.views.pictures import truth_on_white
from obj2ngp.views.reading import read_images

from .registry import METRICS, MODEL


def _figure(value, key):
    if type(value) is not float:  # which may be infinite, or none where nothing could be measured
        number()(value, key)


ABOUT = mapping(  # KEY.json
    {
        "object": object_name(),
        "category": maybe(text()),
        "metrics": values(_figure),
        "training": mapping(
            {}, {"config": mapping({}), "steps": number(), "training_seconds": number(), "backend": text()}
        ),
        "source": mapping({}, {"model": maybe(text()), "settings": mapping({})}),
    }
)
SYNSET = re.compile(r"\d{8}(?=-)")  # begins the name of a ShapeNet object


def key_of(name):
    """The prefix of an object's files: WebDataset ends it at the first dot, which a name may hold."""
    return name.replace(".", "%2E")


def mean_metrics(path, object):
    """The mean over the views of each column of numbers in the table of metrics of an `object`. Raises UserError."""
    rows = read_table(path, ["object", "view"])
    for row in rows:
        if row["object"] != object:
            raise UserError(f"{path}: of object {row['object']!r}")
    names = [name for name in rows[0] if name not in ("object", "view")] if rows else []
    if not names:
        raise UserError(f"{path}: holds no figures")
    try:
        columns = {name: [float(row[name]) for row in rows if row[name]] for name in names}
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    for name, cells in columns.items():
        if not np.isfinite(cells).all():
            raise UserError(f"{path}: {name}: not all of its numbers are finite")
    return {name: float(np.mean(cells or [np.nan])) for name, cells in columns.items()}


def category_of(source):
    """The object's category as configured, or its synset, or None."""
    found = SYNSET.match(source.name)
    automatic = found.group() if found else None
    return automatic if source.settings.category == AUTO else source.settings.category


def write_thumbnails(transforms, settings, folder, key):
    """Write pictures of views spread over those of a transforms file, made small by averaging."""
    if not settings.thumbnails:
        return
    views = read_images(transforms)
    count = min(settings.thumbnails, len(views))
    for place, index in enumerate(np.arange(count) * len(views) // count):
        picture = Image.fromarray(truth_on_white(views.rgba[index]))
        picture.thumbnail((settings.thumbnail_size,) * 2, Image.Resampling.BOX)
        write_picture(folder / f"{key}.{place}.png", np.asarray(picture))


def write(source, folder):
    """Write the example of a Source into `folder`. Raises UserError."""
    key, model = key_of(source.name), source.model()
    record = source.record()
    about = {
        "object": source.name,
        "category": category_of(source),
        "metrics": mean_metrics(source.results / METRICS, source.name),
        "training": {name: value for name, value in model.header.items() if name != "occupancy_shape"},
        "source": {name: value for name, value in record.items() if name not in ("object", "split", "coverage")},
    }
    shutil.copyfile(source.results / MODEL, folder / f"{key}.safetensors")
    (folder / f"{key}.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    write_thumbnails(source.transforms("test"), source.settings, folder, key)
