"""Write a page that shows all objects' turntables and numbers: rule `gallery`.

The page is one file that opens from a disk without a network: its style and its few lines of script
stand in it, and its links are relative.
"""

import argparse
import os
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from files import UserError, atomic_path, run_program
from summary import read_names

TEMPLATE = "gallery.html.jinja"
LINKS = {"MP4": "orbit.mp4", "metrics": "metrics.csv", "training": "training.csv",
         "model": "model.safetensors"}  # fmt: skip


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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, required=True, help="folder of the objects' results")
    parser.add_argument("--objects", type=Path, required=True, help="file with one object name a line")
    parser.add_argument("--summary", type=Path, required=True, help="table of summary.py")
    parser.add_argument("--out", type=Path, required=True, help="page to write (.html)")
    options = parser.parse_args()

    try:
        # Names such as 02958343 or NaN are text.
        summary = pd.read_csv(options.summary, dtype={"object": str}, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise UserError(f"{options.summary}: not a readable table: {error}") from error
    names = read_names(options.objects)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    mean = summary[summary["object"] == "(mean)"].squeeze().dropna().to_dict()
    stream = environment.get_template(TEMPLATE).stream(
        cards=cards(summary, options.results, names, options.out),
        count=len(names),
        mean=mean,
        summary=relative_link(options.summary, options.out),
    )
    with atomic_path(options.out) as temporary:
        stream.dump(str(temporary), encoding="utf-8")
    print(f"{options.out}: {len(names)} objects")


if __name__ == "__main__":
    run_program(main)
