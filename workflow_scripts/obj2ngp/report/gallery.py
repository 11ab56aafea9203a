"""A page that shows all objects' turntables and numbers.

The page is one file that opens from a disk without a network: its style and its few lines of script
stand in it, and its links are relative.
"""

import os
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from obj2ngp.common.files import UserError, atomic_path

from .table import read_names

TEMPLATES = Path(__file__).parent / "templates"
TEMPLATE = "gallery.html.jinja"
LINKS = {"MP4": "orbit.mp4", "metrics": "metrics.csv", "training": "training.csv", "model": "model.safetensors"}


def relative_link(target, page):
    """URL of the file `target` as seen from the file `page`."""
    return quote(Path(os.path.relpath(target, page.parent)).as_posix())


def cards(summary, results, names, page):
    """What the page shows of each object: a dict for each name, in their order."""
    figures = summary.set_index("object").to_dict("index")
    for name in names:
        row = {key: value for key, value in figures.get(name, {}).items() if not pd.isna(value)}
        folder = results / name
        yield {
            "name": name,
            **row,
            "status": row.get("status", "not in the summary"),
            "gif": relative_link(folder / "orbit.gif", page) if (folder / "orbit.gif").exists() else None,
            "links": {
                label: relative_link(folder / file, page) for label, file in LINKS.items() if (folder / file).exists()
            },
        }


def write_gallery(results, names, summary, out):
    """Write the page `out` of the objects in the file `names` with the figures of `summary`. Raises UserError."""
    try:
        # Names such as 02958343 or NaN are text.
        table = pd.read_csv(summary, dtype={"object": str}, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise UserError(f"{summary}: not a readable table: {error}") from error
    names = read_names(names)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    mean = table[table["object"] == "(mean)"].squeeze().dropna().to_dict()
    stream = environment.get_template(TEMPLATE).stream(
        cards=cards(table, results, names, out), count=len(names), mean=mean, summary=relative_link(summary, out)
    )
    with atomic_path(out) as temporary:
        stream.dump(str(temporary), encoding="utf-8")
    print(f"{out}: {len(names)} objects")
