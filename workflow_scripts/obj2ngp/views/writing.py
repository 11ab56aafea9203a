"""An object's views in the layouts of other programs: what formats.py reads, written. Pictures stay as they are."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

import numpy as np

from obj2ngp.common.cameras import field_of_view, transforms
from obj2ngp.common.checks import read_bytes
from obj2ngp.common.files import UserError

from .kinds import OF_SPLIT, SINGLE, SPLITS
from .picture_files import read_size
from .pose_folders import FROM_OPENCV
from .reading import read_cameras

SRN_NAME = "objects"  # of the collection that the written SRN objects belong to
VOXELS = 20  # along the box's edge, of NSVF's first grid


@dataclass
class Views:
    """The views of an object, all of one size and through one pinhole.

    splits  split -> list of (file of the picture, pose (4,4) float64, camera-to-world, OpenGL axes)
    size    (width, height)        focal, center  in pixels
    cube    {"scale": number, "offset": three numbers}: the unit cube's position of a world point is
            point * scale + offset; empty where nobody knows
    """

    splits: dict
    size: tuple
    focal: float
    center: tuple
    cube: dict


def read_views(renders, cube=None):
    """The Views in the folder `renders` of an object, which `render` or `import_views` has made.

    `cube` says where the object lies if the views do not; its model knows. Raises UserError.
    """
    files = {split: renders / OF_SPLIT.format(split) for split in SPLITS}
    cameras = {
        split: read_cameras(file) for split, file in files.items() if split == "train" or os.path.lexists(str(file))
    }
    first = cameras["train"]
    size = read_size(first.files[0])
    if first.scale is not None:
        cube = {"scale": first.scale, "offset": np.full(3, 0.5) if first.offset is None else first.offset}
    focal, center = first.pinhole(*size)
    return Views(
        {
            split: [(file, np.vstack([pose, [0, 0, 0, 1]]).astype(float)) for file, pose in zip(each.files, each.pose)]
            for split, each in cameras.items()
        },
        size,
        focal,
        center,
        {key: np.asarray(value, float).tolist() for key, value in (cube or {}).items()},
    )


def write_nerf_synthetic(views, folder, name):
    """`transforms_<split>.json` and the pictures in `<split>/`, which it names without `.png`."""
    for split, pictures in views.splits.items():
        _copy(pictures, folder / split)
        files = [file.stem if file.suffix == ".png" else file.name for file, _ in pictures]
        content = _transforms(views, pictures, [f"./{split}/{file}" for file in files])
        (folder / OF_SPLIT.format(split)).write_text(json.dumps(content, indent=1))


def write_tutorial(views, folder, name):
    """`<split>/transforms.json` beside the split's pictures, so that instant-ngp can be given one split."""
    for split, pictures in views.splits.items():
        _copy(pictures, folder / split)
        files = [file.name for file, _ in pictures]
        (folder / split / SINGLE).write_text(json.dumps(_transforms(views, pictures, files), indent=1))


def write_nerfstudio(views, folder, name):
    """One `transforms.json` with the splits as lists of names, and the pictures in `<split>/`."""
    lists = {}
    for split, pictures in views.splits.items():
        _copy(pictures, folder / split)
        lists[f"{split}_filenames"] = [f"{split}/{file.name}" for file, _ in pictures]
    pictures, files = sum(views.splits.values(), []), sum(lists.values(), [])
    for split, other in (("val", "test"), ("test", "val")):  # nerfstudio stops where a list is missing
        lists.setdefault(f"{split}_filenames", lists.get(f"{other}_filenames", []))
    content = {"camera_model": "OPENCV", "orientation_override": "none", **lists}
    content.update(_transforms(views, pictures, files))
    (folder / SINGLE).write_text(json.dumps(content, indent=1))


def write_nsvf(views, folder, name):
    """`rgb/` and `pose/` with the prefixes of the splits, `intrinsics.txt` and `bbox.txt`. Raises UserError."""
    if not views.cube:
        raise UserError("nsvf: needs a box around the object, which neither the views nor a model say")
    half = 0.5 / views.cube["scale"]
    middle = (0.5 - np.array(views.cube["offset"])) / views.cube["scale"]
    _write_rows(folder / "bbox.txt", [[*(middle - half), *(middle + half), 2 * half / VOXELS]])
    _write_rows(folder / "intrinsics.txt", [_camera(views), [0] * 3, [0], [1], views.size[::-1]])
    for split, pictures in views.splits.items():
        _write_pose_folder(pictures, folder, f"{SPLITS.index(split)}_")


def write_srn(views, folder, name):
    """`objects_<split>/<name>/` with `rgb/`, `pose/` and `intrinsics.txt`."""
    for split, pictures in views.splits.items():
        own = folder / f"{SRN_NAME}_{split}" / name
        _write_pose_folder(pictures, own, "")
        _write_rows(own / "intrinsics.txt", [_camera(views), [0] * 3, [1], views.size[::-1]])


# layout: function of Views, an empty folder and the object's name, that writes them there
WRITERS = {
    "nerf-synthetic": write_nerf_synthetic,
    "tutorial": write_tutorial,
    "nerfstudio": write_nerfstudio,
    "nsvf": write_nsvf,
    "srn": write_srn,
}


def _copy(pictures, folder, prefix=""):
    """Copy the pictures into `folder`, with `prefix` before their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, _ in pictures:
        (folder / (prefix + file.name)).write_bytes(read_bytes(file))


def _transforms(views, pictures, files):
    """The content of a transforms file of `pictures`, which are `files` as seen from it."""
    cube = {"aabb_scale": 1, **views.cube} if views.cube else {}
    poses, fov = [pose for _, pose in pictures], field_of_view(views.size[0], views.focal)
    return transforms(poses, files, views.size, fov, views.center, **cube)


def _camera(views):
    return [views.focal, *views.center, 0]


def _write_pose_folder(pictures, folder, prefix):
    """Pictures in `folder`/rgb and poses in `folder`/pose, named after the pictures."""
    (folder / "pose").mkdir(parents=True, exist_ok=True)
    _copy(pictures, folder / "rgb", prefix)
    for file, pose in pictures:
        _write_rows(folder / "pose" / f"{prefix}{file.stem}.txt", pose @ FROM_OPENCV)


def _write_rows(file, rows):
    """A text file with rows of numbers, which are read again just as they are."""
    file.write_text("".join(" ".join(map(_exact, row)) + "\n" for row in rows))


def _exact(number):
    """The shortest text that is read as just this number; without a fraction for whole numbers, as sizes need it."""
    return str(int(number)) if float(number).is_integer() else repr(float(number))
