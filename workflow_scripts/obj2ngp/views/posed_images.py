"""Posed images: reading NeRF-synthetic folders, and the training set as the stages read it.

Poses are camera-to-world in OpenGL axes (x right, y up, the camera looks along -z). Images have straight
alpha. The unit cube's position of a world point is `point * scale + offset`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from obj2ngp.common.files import UserError


class DataError(UserError):
    """A transforms file or an image that cannot be used; the message names the file and the reason."""


@dataclass
class PosedImages:
    """Images of one size and one pinhole camera.

    rgba   (V,H,W,4) uint8, straight alpha      pose  (V,3,4) float32, camera-to-world, OpenGL axes
    focal  focal length in pixels               center  (cx, cy), principal point in pixels
    names  file name of each view without its suffix
    scale, offset  map world to unit cube; None where the file does not say
    """

    rgba: np.ndarray
    pose: np.ndarray
    focal: float
    center: tuple
    names: list
    scale: float = None
    offset: np.ndarray = None

    def __len__(self):
        return len(self.rgba)


@dataclass
class Cameras:
    """What a transforms file says, images not read: fields as in PosedImages; `files` holds the images' paths."""

    files: list
    pose: np.ndarray
    camera_angle_x: float
    intrinsics: dict
    scale: float = None
    offset: np.ndarray = None

    def pinhole(self, width, height):
        """(focal, (cx, cy)) in pixels for images of `width` x `height`, from fl_x/cx/cy or camera_angle_x."""
        stated = self.intrinsics.get("w", width)
        ratio = width / stated
        focal = self.intrinsics.get("fl_x")
        focal = focal * ratio if focal else 0.5 * width / math.tan(0.5 * self.camera_angle_x)
        center = (self.intrinsics.get("cx", stated / 2) * ratio, self.intrinsics.get("cy", height / ratio / 2) * ratio)
        return focal, center


def read_cameras(path):
    """Reads a transforms file (NeRF-synthetic, or with fl_x, cx, cy). Raises DataError."""
    path = Path(path)
    try:
        content = json.loads(path.read_text())
        frames = content["frames"]
        pose = np.array([f["transform_matrix"] for f in frames], np.float64)[:, :3, :4]
        names = [f["file_path"] for f in frames]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError("{}: not a usable transforms file: {!r}".format(path, error)) from error
    if not frames or not np.isfinite(pose).all():
        raise DataError("{}: {}".format(path, "a pose is not finite" if frames else "no frames"))
    if "camera_angle_x" not in content and "fl_x" not in content:
        raise DataError("{}: neither camera_angle_x nor fl_x is given".format(path))
    files = [path.parent / (name if Path(name).suffix else name + ".png") for name in names]
    offset = content.get("offset")
    return Cameras(
        files=files,
        pose=pose.astype(np.float32),
        camera_angle_x=content.get("camera_angle_x"),
        intrinsics={k: content[k] for k in ("fl_x", "cx", "cy", "w", "h") if k in content},
        scale=content.get("scale"),
        offset=None if offset is None else np.asarray(offset, np.float32),
    )


def read_images(path):
    """The PosedImages of a transforms file. Raises DataError naming every image that is missing or unfit."""
    import imageio.v3 as iio

    cameras = read_cameras(path)
    missing = [str(f) for f in cameras.files if not f.is_file()]
    if missing:
        raise DataError(
            "{}: {} of {} images do not exist: {}".format(
                path, len(missing), len(cameras.files), ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            )
        )
    images = []
    for file in cameras.files:
        try:
            images.append(_as_rgba(iio.imread(file)))
        except (OSError, ValueError) as error:
            raise DataError("{}: not a readable image: {}".format(file, error)) from error
        if images[-1].shape != images[0].shape:
            raise DataError(
                "{}: size {} differs from the first image's {}".format(file, images[-1].shape[:2], images[0].shape[:2])
            )
    height, width = images[0].shape[:2]
    focal, center = cameras.pinhole(width, height)
    names = [f.stem for f in cameras.files]
    return PosedImages(np.stack(images), cameras.pose, focal, center, names, cameras.scale, cameras.offset)


def _as_rgba(image):
    """(H,W,4) uint8 of an 8- or 16-bit grey, RGB or RGBA image; opaque where it has no alpha."""
    if image.dtype == np.uint16:
        image = (image / 257.0 + 0.5).astype(np.uint8)
    if image.dtype != np.uint8:
        raise ValueError("pixels are {}, expected 8 or 16 bits".format(image.dtype))
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=-1)
    if image.shape[-1] == 3:
        image = np.concatenate([image, np.full_like(image[..., :1], 255)], axis=-1)
    if image.ndim != 3 or image.shape[-1] != 4:
        raise ValueError("shape {} is neither grey, RGB nor RGBA".format(image.shape))
    return image
