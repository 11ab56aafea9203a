"""Layouts of image sets, told apart by the names in a folder: neither pictures nor descriptions are opened.

Standard library only, so that the workflow can look for sets in its own Python.
"""

import os
import re

from obj2ngp.common.packing import is_there

SPLITS = ("train", "val", "test")
RECORD = "record.json"  # in the folder of a split's pictures: what this workflow made them from
SINGLE = "transforms.json"  # describes a whole set, or a split in the tutorial's layout
OF_SPLIT = "transforms_{}.json"

# What may be stated of a set, with the program or paper whose layout it is.
KINDS = {
    "nerf-synthetic": "`transforms_train.json` and those of other splits",
    "tutorial": "`train/transforms.json` and those of other splits",
    "nerfstudio": "one `transforms.json`",
    "instant-ngp": "one `transforms.json`",
    "get3d": "one `transforms.json`",
    "nsvf": "`intrinsics.txt`, `pose/`, `rgb/` with names `0_...`, `1_...`, `2_...`",
    "srn": "`<name>_train/<id>` with `intrinsics.txt`, `pose/`, `rgb/`",
}
POSE_FOLDER = {"intrinsics.txt", "pose", "rgb"}  # what a set of NSVF or SRN holds, at least
SRN_PARENT = re.compile(r"(.*)_(%s)" % "|".join(SPLITS))
NSVF_NAME = re.compile(r"[012]_")


def recognise(path):
    """The kind of the image set in the folder or `.json` file `path`, or None.

    Where several kinds share one layout it is the first of them that `KINDS` names.
    """
    if os.path.isfile(path):
        return "nerfstudio" if path.lower().endswith(".json") else None
    try:
        names = set(os.listdir(path))
    except OSError:
        return None
    return recognise_folder(path, names)


def recognise_folder(path, names):
    """The kind of the image set in the folder `path` that holds `names`, or None."""
    if OF_SPLIT.format("train") in names:
        return "nerf-synthetic"
    if SINGLE in names:
        return "nerfstudio"
    if POSE_FOLDER <= names:
        return "nsvf" if "bbox.txt" in names or _has_nsvf_names(os.path.join(path, "rgb")) else "srn"
    if "train" in names and os.path.isfile(os.path.join(path, "train", SINGLE)):
        return "tutorial"
    return None


def is_whole(path):
    """Whether the set in the folder `path` is an object: neither another split of one, nor made by this workflow."""
    splits = list(srn_splits(path).values())
    return splits[:1] in ([], [os.path.abspath(path)]) and not is_there(os.path.join(path, "train", RECORD))


def descriptions(path):
    """The files that describe the set in the folder `path`; none of a set that is a file."""
    names = [SINGLE, *(OF_SPLIT.format(split) for split in SPLITS), *(f"{split}/{SINGLE}" for split in SPLITS)]
    folders = list(srn_splits(path).values()) or [path]
    paths = (os.path.join(folder, name) for folder in folders for name in (*names, "intrinsics.txt", "bbox.txt"))
    return list(filter(os.path.isfile, paths))


def srn_splits(path):
    """The folders of an SRN object's splits, as a dict of split to path; empty where `path` is not in such a layout.

    Published SRN sets give an object to one split alone; then that is all of it.
    """
    parent, name = os.path.split(os.path.abspath(path))
    found = SRN_PARENT.fullmatch(os.path.basename(parent))
    if not found:
        return {}
    root = os.path.join(os.path.dirname(parent), found.group(1))
    folders = {split: os.path.join(f"{root}_{split}", name) for split in SPLITS}
    return {
        split: folder for split, folder in folders.items() if os.path.isfile(os.path.join(folder, "intrinsics.txt"))
    }


def _has_nsvf_names(folder):
    try:
        with os.scandir(folder) as entries:
            return any(NSVF_NAME.match(entry.name) for entry in entries)
    except OSError:
        return False
