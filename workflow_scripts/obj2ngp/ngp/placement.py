"""Where an object is: its views in the unit cube, the cells that may hold something, the pixels worth drawing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from obj2ngp.common.files import UserError

from .hull import drawable_pixels, fit_unit_cube, nearest_depth, visual_hull


class PlacementError(UserError):
    """Views that no object fits; the message says why."""


@dataclass
class Placement:
    """The unit cube's position of a world point is point * scale + offset.

    scale   float                offset  (3,) float32
    hull    (G,G,G) bool: cells that may hold something, indexed [x,y,z]
    pixels  (K,) int32: flat indices into (V,H,W) of the pixels whose rays can meet the hull
    """

    scale: float
    offset: torch.Tensor
    hull: torch.Tensor
    pixels: torch.Tensor


def place(images, resolution, device="cpu"):
    """The Placement of PosedImages in a grid of `resolution` G cells along an edge.

    Where the images do not say how they lie in the unit cube, their visual hull is fitted into it. Raises
    PlacementError where the views have no point in common, or one shows nothing: there is no learning from it.
    """
    empty = [name for name, rgba in zip(images.names, images.rgba) if not rgba[..., 3].any()]
    if empty:
        raise PlacementError("no opaque pixel in view {}".format(", ".join(empty[:5])))
    if images.scale is None:
        scale, offset = fit_unit_cube(images)
    else:
        scale = images.scale
        offset = torch.full((3,), 0.5) if images.offset is None else torch.as_tensor(images.offset)
    hull = visual_hull(images, resolution, scale, offset, device)
    if not bool(hull.any()):
        raise PlacementError("no point of space is inside every view's silhouette: are the poses wrong?")
    # A cell of the hull touches the silhouette, so no part of it lies beyond that by more than the cell's diagonal.
    diagonal, depth = math.sqrt(3) / resolution, nearest_depth(images, hull, scale, offset)
    reach = images.focal * diagonal / depth + 1 if depth > diagonal else math.inf
    return Placement(float(scale), offset, hull, drawable_pixels(images, min(reach, max(images.rgba.shape[1:3]))))
