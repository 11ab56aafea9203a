"""NSVF and SRN: a folder of pictures, a folder of poses in text files, and the camera in `intrinsics.txt`.

Poses are camera-to-world matrices with OpenCV axes: x right, y down, the camera looks along its own z. NSVF adds
`bbox.txt` (six numbers and the size of a voxel) and says by the first character of a name which split a view is in.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from obj2ngp.common.checks import Unfit, number, read_text
from obj2ngp.common.files import UserError

from .image_sets import Frame, ImageSet
from .kinds import SPLITS, srn_splits
from .nerf_synthetic import FOCAL, IMAGE_SUFFIXES, PIXELS, POSE
from .picture_files import read_size
from .posed_images import DataError

FROM_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])  # behind a pose: from OpenCV's axes to OpenGL's, and back
NUMBERS = re.compile(r"(\d+)")
NSVF_SPLIT = re.compile(r"([012])_")
RESIZED = 0.1  # relative difference of sizes from which on intrinsics are taken for those of larger pictures
LARGEST_TEXT = 1 << 20  # bytes of a pose or of intrinsics


def read_nsvf(path):
    """The ImageSet of an NSVF folder. Raises DataError."""
    frames = _read_views(path)
    found = [NSVF_SPLIT.match(frame.file.name) for frame in frames]
    if all(found):
        digits = [int(match.group(1)) for match in found]
        names = SPLITS if 2 in digits else ("train", "test")  # sets of photographs have two splits
        for frame, digit in zip(frames, digits):
            frame.split = names[digit]
    return ImageSet(path, "nsvf", frames, _read_box(path / "bbox.txt"))


def read_srn(path):
    """The ImageSet of an SRN object's folder `<name>_<split>/<id>` and of its other splits' ones. Raises DataError."""
    folders = srn_splits(path)
    if len(folders) < 2:  # published sets give an object to one split, where all of its views are
        return ImageSet(path, "srn", _read_views(path))
    frames = []
    for split, folder in folders.items():
        of_split = _read_views(Path(folder))
        for frame in of_split:
            frame.split = split
        frames += of_split
    return ImageSet(path, "srn", frames)


def _read_views(folder):
    """The Frames of a folder with `intrinsics.txt`, `rgb` and `pose`; those without a picture, too."""
    pictures, poses = (
        _listed(folder / name, suffixes) for name, suffixes in (("rgb", IMAGE_SUFFIXES), ("pose", ".txt"))
    )
    if not poses:
        raise DataError(f"{folder / 'pose'}: no poses (.txt)")
    named = {picture.stem: picture for picture in pictures}
    if not set(named) & {pose.stem for pose in poses}:  # then their order tells
        if len(pictures) != len(poses):
            raise DataError(f"{folder}: {len(pictures)} pictures in rgb, {len(poses)} poses, and no names in common")
        pairs = list(zip(pictures, poses))
    else:
        for stem in sorted(set(named) - {pose.stem for pose in poses}):
            raise DataError(f"{named[stem]}: there is no pose/{stem}.txt")
        pairs = [(named.get(pose.stem, folder / "rgb" / f"{pose.stem}.png"), pose) for pose in poses]
    intrinsics, inverted = _read_intrinsics(folder / "intrinsics.txt", pictures)
    frames = []
    for picture, file in pairs:
        pose = _read_pose(file)
        frames.append(Frame(picture, (np.linalg.inv(pose) if inverted else pose) @ FROM_OPENCV, intrinsics))
    return frames


def _listed(folder, suffixes):
    """The files in `folder` with one of `suffixes`, in the order of their names and of the numbers in them."""
    try:
        files = [file for file in folder.iterdir() if file.name.lower().endswith(suffixes) and file.name[0] != "."]
        return sorted(files, key=lambda file: [part.zfill(20) for part in NUMBERS.split(file.name)])
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror}") from error


def _read_rows(file):
    """The lines of numbers in a text file, empty ones left out, as a list of lists."""
    try:
        lines = read_text(file, LARGEST_TEXT).splitlines()
        rows = [[float(word) for word in line.split()] for line in lines if line.strip()]
    except UserError as error:
        raise DataError(str(error)) from error
    except ValueError as error:
        raise DataError(f"{file}: {error}") from error
    if not rows or not np.isfinite(np.concatenate(rows)).all():
        raise DataError(f"{file}: " + ("not finite" if rows else "no numbers"))
    return rows


def _read_pose(file):
    """(4,4) of a file with a matrix in one line or in four."""
    rows = _read_rows(file)
    flat = [number for row in rows for number in row]
    if len(flat) not in (12, 16):
        raise DataError(f"{file}: {len(flat)} numbers, no 4x4 matrix")
    matrix = [flat[i : i + 4] for i in range(0, len(flat), 4)]
    _fit(POSE, matrix, file, "")
    return np.vstack([matrix[:3], [0, 0, 0, 1]])


def _read_intrinsics(file, pictures):
    """(intrinsics as in Frame, whether poses are world-to-camera) of a matrix, or of the lines of SRN.

    These are `f cx cy 0`, a point, a scale, `height width`, and perhaps 1 for world-to-camera. NSVF has other lines
    between the first and the last. Where no line says what size the numbers are for, it is that of the pictures, or
    twice the principal point, if the pictures have just the same shape and are much smaller.
    """
    rows = _read_rows(file)
    flat = [number for row in rows for number in row]
    result, inverted = {}, False
    if [len(row) for row in rows] in ([3] * 3, [4] * 3, [4] * 4) or len(rows) == 1 and len(flat) in (9, 16):
        step = 3 if len(flat) == 9 else 4
        result = dict(fl_x=flat[0], fl_y=flat[step + 1], cx=flat[2], cy=flat[step + 2])
    elif len(rows[0]) >= 3:
        result = dict(fl_x=rows[0][0], fl_y=rows[0][0], cx=rows[0][1], cy=rows[0][2])
        inverted = len(rows) == 5 and rows[4] == [1.0] and len(rows[3]) == 2
        sizes = [row for row in rows[1:] if len(row) == 2]
        if sizes:
            result["h"], result["w"] = sizes[-1]
    elif len(flat) == 1:
        result = dict(fl_x=flat[0], fl_y=flat[0])
    else:
        raise DataError(f"{file}: neither a matrix nor a line of focal length and principal point")
    for key, shape in (
        ("fl_x", FOCAL),
        ("fl_y", FOCAL),
        ("cx", number()),
        ("cy", number()),
        ("w", PIXELS),
        ("h", PIXELS),
    ):
        if key in result:
            _fit(shape, result[key], file, key)
    if "w" not in result and "cx" in result and pictures:
        width, height = read_size(pictures[0])
        stated = [round(2 * result[key]) for key in ("cx", "cy")]
        same_shape = min(stated) > 0 and abs(stated[1] * width / stated[0] - height) <= 1
        result["w"], result["h"] = stated if same_shape and stated[0] > (1 + RESIZED) * width else (width, height)
    return result, inverted


def _read_box(file):
    """(2,3) lower and upper corner of `bbox.txt`, or None where there is none."""
    if not os.path.lexists(file):
        return None
    flat = [number for row in _read_rows(file) for number in row]
    corners = np.array(flat[:6])
    if len(flat) < 6 or not (corners[:3] < corners[3:]).all():
        raise DataError(f"{file}: no lower and upper corner of a box")
    return corners.reshape(2, 3)


def _fit(shape, value, file, key):
    """Raise DataError naming `file` where `value` has not the `shape`."""
    try:
        shape(value, key)
    except Unfit as problem:
        raise DataError(f"{file}: {problem}") from problem
