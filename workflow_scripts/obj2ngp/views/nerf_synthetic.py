"""NeRF-synthetic image sets: a transforms file, with the keys that instant-ngp adds to it, and PNG images beside it.

The file says `camera_angle_x` or `fl_x`, and for each frame `file_path` and `transform_matrix`; the rest is optional.
"""

import json
import math
import re
import reprlib

import imageio.v3 as iio
import numpy as np

from obj2ngp.common.cameras import field_of_view, focal_length, transforms

from .posed_images import Cameras, DataError

NAME = "NeRF-synthetic (a .json file)"
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")  # .png is added to other file paths
LARGEST = 1e9  # of all numbers: their squares are finite in single precision
RIGID = 1e-3  # by which the entries of R^T R may differ from the identity's
SQUARE = 1e-4  # relative difference of the focal lengths of square pixels: a tenth of a pixel in a thousand


def _number(low, high=LARGEST):
    """A check for a number between `low` and `high`. Checks return what is wrong with a value, or None."""

    def check(value):
        if type(value) not in (int, float):
            return f"{reprlib.repr(value)} is no number"
        return None if low < value < high else f"{reprlib.repr(value)} is not between {low:g} and {high:g}"

    return check


def _pixels(value):
    return _number(0, 65536)(value) or (None if value == int(value) else f"{value} is no whole number")


def _offset(value):
    if not isinstance(value, list) or len(value) != 3:
        return f"{reprlib.repr(value)} is no list of three numbers"
    return next(filter(None, map(_number(-LARGEST), value)), None)


def _pose(value):
    try:
        matrix = np.array(value)
    except ValueError:  # rows of different lengths
        matrix = np.array(None)
    if matrix.dtype.kind not in "if" or matrix.shape not in ((4, 4), (3, 4)):
        return "no 4x4 matrix of numbers"
    if not (np.abs(matrix) < LARGEST).all():  # false for NaN
        return "not finite"
    rotation = matrix[:3, :3]
    if np.abs(rotation.T @ rotation - np.eye(3)).max() > RIGID or np.linalg.det(rotation) < 0:
        return "not a rotation and a translation: it scales, shears or mirrors"
    if np.abs(matrix[3:] - [0, 0, 0, 1]).max(initial=0) > RIGID:
        return "the last row is not 0 0 0 1"
    return None


def _frames(value):
    if not isinstance(value, list) or not all(isinstance(frame, dict) for frame in value):
        return "no list of frames"
    return None if value else "no frames"


def _text(value):
    return None if isinstance(value, str) and value else f"{reprlib.repr(value)} is no text"


# What is read, if it is there; frames must be, and all of a frame.
INTRINSICS = {
    "camera_angle_x": _number(0, math.pi),
    "camera_angle_y": _number(0, math.pi),
    "fl_x": _number(0),
    "fl_y": _number(0),
    "cx": _number(-LARGEST),
    "cy": _number(-LARGEST),
    "w": _pixels,
    "h": _pixels,
}
CHECKS = {**INTRINSICS, "scale": _number(0), "offset": _offset, "frames": _frames}
FRAME_CHECKS = {"file_path": _text, "transform_matrix": _pose}

# What would have to be read to get the cameras right: lens distortion by its coefficients, and other kinds of camera.
DISTORTION = re.compile(r"[kps]\d+|(distortion|ftheta|fisheye).*|is_fisheye|rolling_shutter")
PINHOLES = (None, "PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "PERSPECTIVE")  # OPENCV: with coefficients, which are checked


def _problem(content):
    """(key, what is wrong) of the content of a transforms file, or None."""
    problem = _first_wrong(content, CHECKS, ("frames",))
    if problem:
        return problem
    if "camera_angle_x" not in content and "fl_x" not in content:
        return "camera_angle_x", "missing, and fl_x too"
    for index, frame in enumerate(content["frames"]):
        problem = _first_wrong(frame, FRAME_CHECKS, FRAME_CHECKS)
        if problem:
            return f"frames[{index}].{problem[0]}", problem[1]
    return _unsupported(content)


def _first_wrong(part, checks, needed):
    """(key, what is wrong) of the first key of `part` that fails its check or is needed and missing; or None."""
    for key, check in checks.items():
        wrong = check(part[key]) if key in part else "missing" if key in needed else None
        if wrong:
            return key, wrong
    return None


def _unsupported(content):
    """(key, what is wrong) of the first key that asks for another camera than one pinhole, or None."""
    for where, part in [("", content)] + [(f"frames[{i}].", frame) for i, frame in enumerate(content["frames"])]:
        for key, value in part.items():
            if DISTORTION.fullmatch(key) and np.any(np.array(value, object)):
                return where + key, "lens distortion is not supported"
            if key == "camera_model" and value not in PINHOLES:
                return where + key, f"{reprlib.repr(value)} is not supported"
            if where and key in INTRINSICS and value != content.get(key):
                return where + key, "intrinsics of single frames are not supported"
    focal = content.get("fl_x")
    if focal is None and "w" in content:
        focal = focal_length(content["w"], content["camera_angle_x"])
    vertical = {"fl_y": content["fl_y"]} if "fl_y" in content else {}
    if "camera_angle_y" in content:
        vertical["camera_angle_y"] = focal_length(content["h"], content["camera_angle_y"]) if "h" in content else None
    for key, length in vertical.items():
        if focal is None or length is None:
            return key, "cannot be compared with the horizontal one without w and h"
        if abs(length / focal - 1) > SQUARE:
            return key, f"{content[key]}: only square pixels are supported"
    return None


def recognises(path):
    """Whether `path` may be a transforms file."""
    return path.suffix == ".json"


def read_cameras(path):
    """The Cameras of a transforms file. Raises DataError: the file, the key, and what is wrong with it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a usable transforms file: {error}") from error
    problem = _problem(content if isinstance(content, dict) else {})
    if problem:
        raise DataError("{}: {}: {}".format(path, *problem))
    frames = content["frames"]
    names = [frame["file_path"] for frame in frames]
    offset = content.get("offset")
    return Cameras(
        files=[path.parent / (n if n.lower().endswith(IMAGE_SUFFIXES) else n + ".png") for n in names],
        pose=np.array([frame["transform_matrix"][:3] for frame in frames], np.float32),
        camera_angle_x=content.get("camera_angle_x"),
        intrinsics={key: content[key] for key in ("fl_x", "cx", "cy", "w", "h") if key in content},
        scale=content.get("scale"),
        offset=None if offset is None else np.asarray(offset, np.float32),
    )


def write_images(images, folder, split):
    """Write PosedImages as `folder`/transforms_`split`.json and the pictures `folder`/`split`/*.png.

    The file says where the unit cube lies if the images do.
    """
    (folder / split).mkdir(parents=True, exist_ok=True)
    for name, rgba in zip(images.names, images.rgba):
        iio.imwrite(folder / split / f"{name}.png", rgba)
    height, width = images.rgba.shape[1:3]
    cube = {"scale": images.scale, "offset": images.offset}
    content = transforms(
        images.pose,
        [f"./{split}/{name}" for name in images.names],
        (width, height),
        field_of_view(width, images.focal),
        images.center,
        **{key: np.asarray(value, float).tolist() for key, value in cube.items() if value is not None},
    )
    (folder / f"transforms_{split}.json").write_text(json.dumps(content))
