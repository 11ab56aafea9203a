"""Sets in transforms files: NeRF-synthetic, the tutorial's, nerfstudio's, instant-ngp's and GET3D's.

They share one grammar, of which each uses a part; what is read here is all of it that belongs to pictures of an object
by pinholes and lenses.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from obj2ngp.common.checks import Unfit, choice, every, items, mapping, matrix, number, numbers, text, truth
from obj2ngp.common.lattice import PLACE

from .image_sets import Frame, ImageSet
from .kinds import OF_SPLIT, SINGLE, SPLITS
from .nerf_synthetic import FRAME, IMAGE_SUFFIXES, INTRINSICS, PROJECTIONS, a_picture_each, cameras_of
from .posed_images import DataError, read_description

DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")  # in the order of nerfstudio's `distortion_params`
FISHEYE = "OPENCV_FISHEYE"
CAMERAS = ("PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "PERSPECTIVE", FISHEYE)
NGP_SCALE = 0.33  # of instant-ngp, where a file has an offset alone
# What asks for a camera that is neither, if it is there and not 0.
STRANGE = (*("k5", "k6", "s1", "s2", "s3", "s4", "rolling_shutter", *PROJECTIONS), *(f"ftheta_p{i}" for i in range(5)))


def usual_cameras(content, key):
    """The shape of what asks for no camera that cannot be made a pinhole. Raises Unfit."""
    for where, part in cameras_of(content):
        for name in STRANGE:
            value = part.get(name)
            if any(value) if isinstance(value, list) else value:
                raise Unfit(where + name, "cameras of this kind are not supported")
        if not _is_fisheye({**content, **part}) and _coefficients(part)[3]:
            raise Unfit(where + "k4", "a fourth radial coefficient is supported of fisheye lenses alone")


def _is_fisheye(part):
    return part.get("is_fisheye", False) or part.get("camera_model") == FISHEYE


def _coefficients(part):
    return part.get("distortion_params") or [part.get(name, 0.0) for name in DISTORTION]


def _aabb(value, key):
    """The shape of a box: its lowest and its highest corner. Raises Unfit."""
    matrix((2, 3))(value, key)
    if not all(low < high for low, high in zip(*value)):
        raise Unfit(key, "its first corner is not below its second")


def _offset(value, key):
    (numbers(3) if isinstance(value, list) else number())(value, key)


CAMERA = {
    **INTRINSICS,
    **dict.fromkeys(DISTORTION, number()),
    "distortion_params": numbers(6),
    "camera_model": choice(*CAMERAS),
    "is_fisheye": truth(),
}
SET_FRAME = every(FRAME, mapping({}, {**CAMERA, "mask_path": text()}))
PLACES = {**PLACE, "offset": _offset, "aabb": _aabb, "aabb_scale": number(1e-6, 1e6)}
LISTS = {f"{split}_filenames": items(text(), "file names", least=0) for split in SPLITS}
CONTENT = every(
    mapping({"frames": items(SET_FRAME, "frames")}, {**CAMERA, **PLACES, **LISTS}), a_picture_each, usual_cameras
)


def read_splits(path, kind, pattern):
    """The ImageSet of a folder with a transforms file for each split: `pattern` is its path, with {} for the split."""
    frames, boxes = [], []
    for split in SPLITS:
        file = path / pattern.format(split)
        if os.path.lexists(file) or split == "train":
            part, box = _read_file(file)
            for frame in part:
                frame.split = split
            frames += part
            boxes.append(box)
    return ImageSet(path, kind, frames, boxes[0])


def read_nerf_synthetic(path):
    """The ImageSet of a folder with `transforms_train.json` and those of other splits. Raises DataError."""
    return read_splits(path, "nerf-synthetic", OF_SPLIT)


def read_tutorial(path):
    """The ImageSet of a folder with `train/transforms.json` and those of other splits. Raises DataError."""
    return read_splits(path, "tutorial", "{}/" + SINGLE)


def read_single(path):
    """The ImageSet of one transforms file, or of the folder that holds it. Raises DataError.

    It is called after the program whose keys the file has, nerfstudio where several have them.
    """
    file = path if path.is_file() else path / SINGLE
    content = read_description(file, CONTENT)
    frames, box = _frames_of(content, file)
    _split(frames, content, file)
    ngp = {"aabb", "aabb_scale", "scale", "offset"} & content.keys()
    return ImageSet(path, "instant-ngp" if ngp else "nerfstudio", frames, box)


def _read_file(file):
    return _frames_of(read_description(file, CONTENT), file)


def _frames_of(content, file):
    """(Frames, box or None) of the content of a transforms file."""
    frames = []
    for index, part in enumerate(content["frames"]):
        both = {**content, **part}
        intrinsics = {key: both[key] for key in INTRINSICS if key in both}
        if not {"fl_x", "camera_angle_x", "fl_y", "camera_angle_y"} & intrinsics.keys():
            raise DataError(f"{file}: frames[{index}].fl_x: missing, and camera_angle_x too")
        for axis in "xy":  # a frame's own way of saying it goes before the set's
            if f"camera_angle_{axis}" in part and f"fl_{axis}" not in part:
                intrinsics.pop(f"fl_{axis}", None)
        picture = _find(file.parent, part["file_path"])
        mask = _find(file.parent, part["mask_path"]) if "mask_path" in part else _alpha_beside(picture)
        pose = np.vstack([np.array(part["transform_matrix"], float)[:3], [0, 0, 0, 1]])
        distortion = tuple(map(float, _coefficients(part if _distorts(part) else content)))
        frames.append(Frame(picture, pose, intrinsics, distortion, _is_fisheye(both), mask=mask))
    return frames, _box(content)


def _distorts(part):
    return "distortion_params" in part or any(name in part for name in DISTORTION)


def _find(folder, name):
    """The file that `name` in a transforms file of `folder` stands for; without a suffix, the first that is there."""
    path = folder / name.replace("\\", "/")
    if path.name.lower().endswith(IMAGE_SUFFIXES) or path.is_file():
        return path
    candidates = [Path(f"{path}{suffix}") for suffix in IMAGE_SUFFIXES]
    return next((candidate for candidate in candidates if candidate.is_file()), candidates[0])


def _alpha_beside(picture):
    """The picture with the alpha of `picture` that instant-ngp looks for beside it, or None."""
    suffix = picture.suffix
    for name in (picture.name, picture.stem):
        path = picture.with_name(f"{name}.alpha{suffix}")
        if path.is_file():
            return path
    return None


def _box(content):
    """(2,3) the box that the content of a transforms file says, or None where it says none."""
    if "aabb" in content:  # the smallest cube around it counts
        low, high = np.array(content["aabb"], float)
        return np.stack([low, high])
    if not {"scale", "offset"} & content.keys():
        return None
    scale, offset = content.get("scale", NGP_SCALE), content.get("offset", 0.5)
    middle = (0.5 - np.broadcast_to(np.asarray(offset, float), 3)) / scale
    half = 0.5 * content.get("aabb_scale", 1) / scale
    return np.stack([middle - half, middle + half])


def _split(frames, content, file):
    """Give the frames the splits of nerfstudio's lists of names; those in no list are dropped."""
    lists = {split: content.get(f"{split}_filenames") for split in SPLITS}
    if not any(lists.values()):
        return
    found = {frame.file: frame for frame in frames}
    for split, names in lists.items():
        for name in names or []:
            frame = found.get(_find(file.parent, name))
            if frame is None:
                raise DataError(f"{file}: {split}_filenames: {name} is the file_path of no frame")
            frame.split = split
    frames[:] = [frame for frame in frames if frame.split is not None]
