"""What a gallery says, read from its files as a browser would."""

import json
import re

from obj2ngp.report.gallery import FILES


def read_gallery(folder):
    """({object: {column: value}}, the page's description); `files` are names, `status` "" for what is finished."""
    objects = {}
    scripts = sorted((folder / "data").iterdir(), key=lambda file: int(file.stem))
    for number, script in enumerate(scripts):
        found = re.fullmatch(r"gallery\.take\((\d+),(.*)\)\n", script.read_text(encoding="utf-8"), re.DOTALL)
        assert int(found[1]) == number
        columns = json.loads(found[2])
        for values in zip(*columns.values(), strict=True):
            row = dict(zip(columns, values, strict=True))
            row["files"] = {file for bit, file in enumerate(FILES) if row["files"] >> bit & 1}
            objects[row["name"]] = row
    page = (folder / "index.html").read_text(encoding="utf-8")
    return objects, json.loads(re.search('id="description">(.*?)</script>', page, re.DOTALL)[1])
