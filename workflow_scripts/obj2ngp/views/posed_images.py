"""Posed images: pictures of an object, and the pinhole camera that took them. See common/cameras.py for conventions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from obj2ngp.common.cameras import focal_length
from obj2ngp.common.checks import read_json
from obj2ngp.common.files import UserError


class DataError(UserError):
    """A description of cameras or an image that cannot be used; the message names the file and the reason."""


def read_description(path, shape):
    """The content, which has the `shape`, of a JSON file that describes cameras. Raises DataError."""
    try:
        return read_json(path, shape)
    except UserError as error:
        raise DataError(str(error)) from error


@dataclass
class PosedImages:
    """Images of one size and one pinhole camera.

    rgba   (V,H,W,4) uint8, straight alpha      pose  (V,3,4) float32, camera-to-world, OpenGL axes
    focal  focal length in pixels               center  (cx, cy), principal point in pixels
    names  file name of each view without its suffix
    scale, offset  the unit cube's position of a world point is point * scale + offset; None where the file does not say
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
    """What is known of an image set before its images are read: fields as in PosedImages; `files` are their paths.

    camera_angle_x  horizontal field of view in radians, or None where `intrinsics` has the focal length
    intrinsics      those of fl_x, cx, cy (pixels of images of the size w, h), w and h that are stated
    """

    files: list
    pose: np.ndarray
    camera_angle_x: float
    intrinsics: dict
    scale: float = None
    offset: np.ndarray = None

    def pinhole(self, width, height):
        """(focal, (cx, cy)) in pixels for images of `width` x `height`, which may be smaller than stated."""
        stated = self.intrinsics.get("w", width)
        ratio = width / stated
        focal = self.intrinsics.get("fl_x")
        focal = focal * ratio if focal else focal_length(width, self.camera_angle_x)
        center = (self.intrinsics.get("cx", stated / 2) * ratio, self.intrinsics.get("cy", height / ratio / 2) * ratio)
        return focal, center
