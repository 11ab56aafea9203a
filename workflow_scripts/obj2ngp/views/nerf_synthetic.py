"""NeRF-synthetic image sets: a transforms file, with the keys that instant-ngp adds to it, and PNG images beside it.

The file says `camera_angle_x` or `fl_x`, and for each frame `file_path` and `transform_matrix`; the rest is optional.
"""

import json
import os
import re

import numpy as np

from obj2ngp.common.cameras import field_of_view, focal_length, transforms
from obj2ngp.common.checks import Unfit, every, items, mapping, matrix, number, shown, text, whole
from obj2ngp.common.lattice import PLACE

from .picture_files import write_picture
from .posed_images import Cameras, read_description

NAME = "NeRF-synthetic (a .json file)"
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")  # .png is added to other file paths
RIGID = 1e-3  # by which the entries of R^T R may differ from the identity's
SQUARE = 1e-4  # relative difference of the focal lengths of square pixels: a tenth of a pixel in a thousand
PIXELS = whole(1, 65535)  # along a side
ANGLE = number(1e-4, 3.14)  # radians: beyond, focal lengths are as good as infinite, or 0
FOCAL = number(1e-3)


def rigid(value, key):
    """The shape of a pose: a rotation and a translation. Raises Unfit."""
    pose = np.array(value, float)
    rotation = pose[:3, :3]
    if np.abs(rotation.T @ rotation - np.eye(3)).max() > RIGID or np.linalg.det(rotation) < 0:
        raise Unfit(key, "not a rotation and a translation: it scales, shears or mirrors")
    if np.abs(pose[3:] - [0, 0, 0, 1]).max(initial=0) > RIGID:
        raise Unfit(key, "the last row is not 0 0 0 1")


def has_focal_length(content, key):
    """The shape of what says how wide the cameras see. Raises Unfit."""
    if "camera_angle_x" not in content and "fl_x" not in content:
        raise Unfit("camera_angle_x", "missing, and fl_x too")


POSE = every(matrix((4, 4), (3, 4)), rigid)
INTRINSICS = {
    "camera_angle_x": ANGLE,
    "camera_angle_y": ANGLE,
    "fl_x": FOCAL,
    "fl_y": FOCAL,
    "cx": number(),
    "cy": number(),
    "w": PIXELS,
    "h": PIXELS,
}
FRAME = mapping({"file_path": text(), "transform_matrix": POSE})

# What would have to be read to get the cameras right: lens distortion by its coefficients, and other kinds of camera.
DISTORTION = re.compile(r"[kps]\d+|(distortion|ftheta|fisheye).*|is_fisheye|rolling_shutter")
PROJECTIONS = ("latlong", "equirectangular", "orthographic")
PINHOLES = (None, "PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "PERSPECTIVE")  # OPENCV: with coefficients, which are checked


def cameras_of(content):
    """(how its keys begin, dict) of each part of a transforms file that may describe cameras: of all, then of each."""
    yield "", content
    yield from ((f"frames[{index}].", frame) for index, frame in enumerate(content["frames"]))


def picture_of(file_path):
    """The path of the picture that a `file_path` names: `.png` is added to what has no suffix of pictures."""
    return file_path if file_path.lower().endswith(IMAGE_SUFFIXES) else file_path + ".png"


def a_picture_each(content, key):
    """The shape of frames no two of which name one picture. Raises Unfit."""
    first = {}
    for index, frame in enumerate(content["frames"]):
        same = first.setdefault(os.path.normpath(picture_of(frame["file_path"])), index)
        if same != index:
            raise Unfit(
                f"frames[{index}].file_path", f"{shown(frame['file_path'])} is the picture of frames[{same}], too"
            )


def one_pinhole(content, key):
    """The shape of what asks for no other camera than one pinhole with square pixels. Raises Unfit."""
    for where, part in cameras_of(content):
        for name, value in part.items():
            if name in PROJECTIONS and value:
                raise Unfit(where + name, "only pinholes are supported")
            if DISTORTION.fullmatch(name) and (any(value) if isinstance(value, list) else value):
                raise Unfit(where + name, "lens distortion is not supported")
            if name == "camera_model" and value not in PINHOLES:
                raise Unfit(where + name, f"{shown(value)} is not supported")
            if where and name in INTRINSICS and value != content.get(name):
                raise Unfit(where + name, "intrinsics of single frames are not supported")
    focal = content.get("fl_x")
    if focal is None and "w" in content:
        focal = focal_length(content["w"], content["camera_angle_x"])
    vertical = {"fl_y": content["fl_y"]} if "fl_y" in content else {}
    if "camera_angle_y" in content:
        vertical["camera_angle_y"] = focal_length(content["h"], content["camera_angle_y"]) if "h" in content else None
    for name, length in vertical.items():
        if focal is None or length is None:
            raise Unfit(name, "cannot be compared with the horizontal one without w and h")
        if abs(length / focal - 1) > SQUARE:
            raise Unfit(name, f"{content[name]}: only square pixels are supported")


CONTENT = every(
    mapping({"frames": items(FRAME, "frames")}, {**INTRINSICS, **PLACE}), a_picture_each, has_focal_length, one_pinhole
)


def recognises(path):
    """Whether `path` may be a transforms file."""
    return path.suffix == ".json"


def read_cameras(path):
    """The Cameras of a transforms file. Raises DataError: the file, the key, and what is wrong with it."""
    content = read_description(path, CONTENT)
    frames = content["frames"]
    offset = content.get("offset")
    return Cameras(
        files=[path.parent / picture_of(frame["file_path"]) for frame in frames],
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
        write_picture(folder / split / f"{name}.png", rgba)
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
