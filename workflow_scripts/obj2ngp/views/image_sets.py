"""Image sets as other programs leave them: a lens and a pose of its own for each picture, pictures not yet opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from obj2ngp.common.cameras import focal_length

from .posed_images import DataError

SQUARE = 1e-4  # relative difference of focal lengths that are the same: a tenth of a pixel in a thousand


@dataclass(frozen=True)
class Lens:
    """How one camera projects, in pixels of its picture.

    focal, center  (x, y): focal lengths, and the principal point in coordinates that begin at the picture's corner
    size           (width, height)
    distortion     (k1, k2, k3, k4, p1, p2): Brown's radial and tangential coefficients, k4 being 0; of a fisheye lens
                   k1 to k4 of OpenCV's model; all 0 for a pinhole
    fisheye        whether the coefficients are those of a fisheye lens, which maps angles and not tangents
    """

    focal: tuple
    center: tuple
    size: tuple
    distortion: tuple = (0.0,) * 6
    fisheye: bool = False

    @property
    def is_pinhole(self):
        """Whether a pinhole with square pixels projects alike."""
        return not (self.fisheye or any(self.distortion)) and abs(self.focal[1] / self.focal[0] - 1) <= SQUARE

    def agrees(self, other):
        """Whether `other` projects alike, to within SQUARE and a hundredth of a pixel."""
        same_focal = np.allclose(self.focal, other.focal, rtol=SQUARE, atol=0)
        same_center = np.allclose(self.center, other.center, rtol=0, atol=0.01)
        shape = (self.size, self.distortion, self.fisheye) == (other.size, other.distortion, other.fisheye)
        return bool(same_focal and same_center and shape)


@dataclass
class Frame:
    """One picture of a set.

    file        path of the picture
    pose        (4,4) float64, camera-to-world, OpenGL axes
    intrinsics  those of camera_angle_x, camera_angle_y (radians), fl_x, fl_y, cx, cy (pixels of a picture of the size
                w, h), w and h that are stated
    distortion, fisheye  as in Lens
    split       train, val, test, or None where the set does not say
    mask        path of a picture that is white where the object is, or None
    """

    file: Path
    pose: np.ndarray
    intrinsics: dict
    distortion: tuple = (0.0,) * 6
    fisheye: bool = False
    split: str = None
    mask: Path = None

    def lens(self, width, height):
        """The Lens of the picture, which has `width` x `height` pixels and may be smaller than stated.

        Raises DataError where it is not the stated picture made smaller.
        """
        stated = self.intrinsics
        ratio = width / stated.get("w", width)
        if abs(stated.get("h", height / ratio) * ratio - height) > 1:
            wanted = "{}x{}".format(*(stated.get(key, "?") for key in "wh"))
            raise DataError(f"{self.file}: {width}x{height} pixels, which is not the stated {wanted} made smaller")
        focal = {}
        for axis, length in (("x", width), ("y", height)):
            if f"fl_{axis}" in stated:
                focal[axis] = stated[f"fl_{axis}"] * ratio
            elif f"camera_angle_{axis}" in stated:
                focal[axis] = focal_length(length, stated[f"camera_angle_{axis}"])
        x = focal.get("x", focal.get("y"))
        center = [stated[key] * ratio if key in stated else side / 2 for key, side in (("cx", width), ("cy", height))]
        return Lens((x, focal.get("y", x)), tuple(center), (width, height), self.distortion, self.fisheye)


@dataclass
class ImageSet:
    """All pictures of an object, and where it lies.

    path    of the set           kind  one of kinds.KINDS
    frames  list of Frame        box   (2,3) its lowest and highest corner in world units, or None
    """

    path: Path
    kind: str
    frames: list
    box: np.ndarray = None
