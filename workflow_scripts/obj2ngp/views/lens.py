"""Pictures through other lenses, and through lenses that differ, as one pinhole with square pixels shows them.

OpenCV's coordinates, unlike ours, have the middle of the first pixel at (0, 0). Here alone is OpenCV needed, so that it
is imported where it is used.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from .image_sets import Lens
from .posed_images import DataError

MARGIN = 2  # pixels that the object's pictures keep from the edges
LARGEST_SIDE = 8192
FINEST_SIDE = 4096  # of a picture that is drawn finer than it shall be, and then made smaller


def common_pinhole(lenses, extents):
    """The Lens, a pinhole, that all pictures are drawn anew through; see `resampled`.

    lenses   of the pictures
    extents  (V,4) the object's bounds (left, right, top, bottom) in each as `object_extent` has them

    It has the commonest size, and the median focal length and principal point of the pictures of that size. Where this
    would cut the object of some picture it is made larger. Raises DataError if it would have to be larger than
    LARGEST_SIDE pixels.
    """
    width, height = Counter(lens.size for lens in lenses).most_common(1)[0][0]
    usual = [lens for lens in lenses if lens.size == (width, height)]
    focal = float(np.median([lens.focal for lens in usual]))
    x, y = np.median([lens.center for lens in usual], axis=0).tolist()
    low, high = np.min(extents, 0), np.max(extents, 0)
    left = max(0, math.ceil(MARGIN - (focal * low[0] + x)))
    top = max(0, math.ceil(MARGIN - (focal * low[2] + y)))
    right = max(0, math.ceil(focal * high[1] + x + MARGIN - width))
    bottom = max(0, math.ceil(focal * high[3] + y + MARGIN - height))
    size = width + left + right, height + top + bottom
    if max(size) > LARGEST_SIDE:
        raise DataError("the cameras are so different that one pinhole for all needs pictures of {}x{}".format(*size))
    return Lens((focal, focal), (x + left, y + top), size)


def object_extent(rgba, lens):
    """(4,) left, right, top and bottom bound of what is not transparent in a picture, as tangents of its angles.

    0 at an edge that cuts the object, since more pixels would not show more of it. A lens bends lines, so that all
    pixels at the object's rim are looked at.
    """
    mask = rgba[..., 3] > 0
    x, y = tangents(rim(mask), lens).T
    cut = np.array([mask[:, 0].any(), mask[:, -1].any(), mask[0].any(), mask[-1].any()])
    return np.where(cut, 0, [x.min(), x.max(), y.min(), y.max()])


def rim(mask):
    """(N,2) the middles (x, y) of the pixels of `mask` (H,W) that have a neighbour beyond it."""
    inner = mask.copy()
    inner[1:] &= mask[:-1]
    inner[:-1] &= mask[1:]
    inner[:, 1:] &= mask[:, :-1]
    inner[:, :-1] &= mask[:, 1:]
    inner[[0, -1]] = inner[:, [0, -1]] = False
    rows, columns = np.nonzero(mask & ~inner)
    return np.stack([columns, rows], 1) + 0.5


def tangents(points, lens):
    """(N,2) x/z and y/z, y downwards, of the directions in which the pixel coordinates `points` (N,2) lie."""
    if lens.is_pinhole:
        return (points - lens.center) / lens.focal
    import cv2

    shifted = np.ascontiguousarray(points[:, None] - 0.5)
    if lens.fisheye:
        return cv2.fisheye.undistortPoints(shifted, _matrix(lens), np.array(lens.distortion[:4]))[:, 0]
    return cv2.undistortPoints(shifted, _matrix(lens), _brown(lens))[:, 0]


def resampled(rgba, lens, pinhole):
    """A picture (H,W,4) uint8 through `lens`, as `pinhole` shows it: its size; straight alpha in both.

    What the picture does not show is transparent. Colours are weighted by their alpha; a pixel is the mean of several
    points in it where the picture is finer than the result.
    """
    import cv2

    finer = max(1, min(round(max(lens.focal) / pinhole.focal[0]), FINEST_SIDE // max(pinhole.size)))
    wide = Lens(
        tuple(finer * f for f in pinhole.focal),
        tuple(finer * c for c in pinhole.center),
        tuple(finer * s for s in pinhole.size),
    )
    source, target = _matrix(lens), _matrix(wide)
    if lens.fisheye:
        maps = cv2.fisheye.initUndistortRectifyMap(
            source, np.array(lens.distortion[:4]), np.eye(3), target, wide.size, cv2.CV_32FC1
        )
    else:
        maps = cv2.initUndistortRectifyMap(source, _brown(lens), None, target, wide.size, cv2.CV_32FC1)
    weighted = rgba.astype(np.float32)
    weighted[..., :3] *= weighted[..., 3:] / 255
    drawn = cv2.remap(weighted, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0, 0))
    if finer > 1:
        drawn = cv2.resize(drawn, pinhole.size, interpolation=cv2.INTER_AREA)
    drawn[..., :3] = drawn[..., :3] * (255 / np.maximum(drawn[..., 3:], 1e-3))
    return np.clip(drawn + 0.5, 0, 255).astype(np.uint8)


def _matrix(lens):
    """(3,3) the camera matrix of OpenCV."""
    return np.array(
        [[lens.focal[0], 0, lens.center[0] - 0.5], [0, lens.focal[1], lens.center[1] - 0.5], [0, 0, 1]], float
    )


def _brown(lens):
    """(5,) Brown's coefficients in OpenCV's order."""
    k1, k2, k3, _, p1, p2 = lens.distortion
    return np.array([k1, k2, p1, p2, k3])
