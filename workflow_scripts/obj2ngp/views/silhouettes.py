"""What of a picture is the object: its alpha, a mask's, or all but a plain background; and whether a box holds it."""

from __future__ import annotations

import numpy as np

from obj2ngp.common.cameras import project

from .picture_files import read_rgba
from .posed_images import DataError

WHITE, BLACK = 255, 0
PLAIN = 0.75  # share of the pixels along all pictures' edges that are of one colour if that is the background's
NOISE = 8  # by which a compressed picture's background may differ from its colour
COMPRESSED = (".jpg", ".jpeg", ".webp")
EDGE = 32  # difference between a hole's rim and the background; less around what is merely bright, such as a highlight
RIM = 2  # pixels around a hole that are looked at
LARGER, RESOLUTION = 1.5, 64  # how a stated box is checked, see holding_box


def border_shares(rgba, file):
    """(white, black) shares of a picture's border pixels that have these colours."""
    border = np.concatenate([rgba[0], rgba[-1], rgba[1:-1, 0], rgba[1:-1, -1]])
    return tuple(float(_is_color(border, color, file).mean()) for color in (WHITE, BLACK))


def with_mask(rgba, mask):
    """The picture `rgba` (H,W,4) uint8 that is transparent where the picture in the file `mask` is black."""
    shape = read_rgba(mask)
    if shape.shape != rgba.shape:
        sizes = [f"{part.shape[1]}x{part.shape[0]}" for part in (shape, rgba)]
        raise DataError("{}: {} pixels, the picture that it is for has {}".format(mask, *sizes))
    # Its own alpha, if it has one that says something; else how bright it is.
    alpha = shape[..., 3] if shape[..., 3].min() < 255 else shape[..., :3].max(-1)
    return np.dstack([rgba[..., :3], np.minimum(rgba[..., 3], alpha)])


def without_background(rgba, color, file):
    """The picture `rgba` (H,W,4) uint8 that is transparent where it shows a background of `color`, 0 or 255.

    This is what of that colour reaches the picture's edge, and what lies in a hole: a part inside whose surroundings
    are not nearly of that colour, too.
    """
    import cv2

    background = _is_color(rgba, color, file)
    count, parts = cv2.connectedComponents(background.astype(np.uint8), connectivity=4)
    at_edge = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    transparent = np.isin(np.arange(count), at_edge)
    difference = np.abs(rgba[..., :3].astype(np.int16) - color).max(-1)
    kernel = np.ones((2 * RIM + 1,) * 2, np.uint8)
    for part in np.flatnonzero(~transparent):
        inside = parts == part
        around = cv2.dilate(inside.astype(np.uint8), kernel).astype(bool) & ~background
        transparent[part] = around.any() and difference[around].mean() > EDGE
    transparent[0] = False  # what is not of that colour
    return np.dstack([rgba[..., :3], np.where(transparent[parts], 0, rgba[..., 3])])


def _is_color(pixels, color, file):
    """Whether each of `pixels` (...,C) uint8 is grey of the value `color`, within what the file's format loses."""
    noise = NOISE if file.name.lower().endswith(COMPRESSED) else 0
    return (np.abs(pixels[..., :3].astype(np.int16) - color) <= noise).all(-1)


def holding_box(box, silhouettes, focal, center):
    """The stated box (2,3), made larger where it may cut the object; None where that is not enough.

    silhouettes    (mask (H,W) bool, pose (4,4)) of views
    focal, center  of their pinhole, in pixels

    What every view shows as the object's, or does not show because the object goes on beyond the picture's edge, may be
    the object. This is looked for in a box LARGER times as large, in RESOLUTION cells along an edge; where it reaches
    that one's edge, the stated box is not the object's.
    """
    middle, half = box.mean(0), (box[1] - box[0]).max() / 2 * LARGER
    steps = ((np.arange(RESOLUTION) + 0.5) / RESOLUTION * 2 - 1) * half
    cells = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3) + middle
    radius = np.sqrt(3) * half / RESOLUTION  # of the ball around a cell
    for mask, pose in silhouettes:
        cells = cells[_may_be_object(cells, radius, mask, pose, focal, center)]
        if not len(cells):  # wrong poses, about which the trainer complains
            return None
    found = np.stack([cells.min(0), cells.max(0)]) + half / RESOLUTION * np.array([[-1], [1]])
    if np.abs(found - middle).max() >= half * (1 - 1e-9):
        return None
    return np.stack([np.minimum(box[0], found[0]), np.maximum(box[1], found[1])])


def _may_be_object(cells, radius, mask, pose, focal, center):
    """Which of the balls of `radius` around `cells` (N,3) a view does not show to be empty."""
    height, width = mask.shape
    pixels, depth = project(cells, pose, focal, center)
    ahead = depth > 2 * radius
    reach = focal * radius / np.where(ahead, depth - radius, radius)
    (left, top), (right, bottom) = (np.where(ahead, pixels.T + side * reach, 0) for side in (-1, 1))
    total = np.pad(mask, ((1, 0), (1, 0))).astype(np.int32).cumsum(0).cumsum(1)  # summed-area table (Crow 1984)
    x = [np.clip(np.floor(edge) + more, 0, width).astype(int) for edge, more in ((left, 0), (right, 1))]
    y = [np.clip(np.floor(edge) + more, 0, height).astype(int) for edge, more in ((top, 0), (bottom, 1))]
    shown = total[y[1], x[1]] - total[y[0], x[1]] - total[y[1], x[0]] + total[y[0], x[0]] > 0
    if mask[[0, -1]].any() or mask[:, [0, -1]].any():
        shown |= (left < 0) | (right >= width) | (top < 0) | (bottom >= height)
    return shown & ahead
