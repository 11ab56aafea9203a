"""Visual hull: the part of space that no image sees through (Laurentini 1994).

A cell that projects onto nothing but fully transparent pixels in some view is empty. This carves most
of the occupancy grid before the first step, and it finds the object in data sets that do not say where
it is. Opaque images carve nothing.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

# Of memory, that a cell takes at least: its centre, and where it lies in an image that carves. 256^3 took 1.9 GB.
CENTER_BYTES, CARVED_BYTES = 60, 110


def carving_bytes(images, resolution):
    """Bytes of memory that `visual_hull` takes, at least."""
    carves = bool((images.rgba[..., 3] == 0).any())
    return resolution**3 * (CARVED_BYTES if carves else CENTER_BYTES)


def visual_hull(images, resolution, scale, offset, device="cpu", beyond_edges=True):
    """Cells of the unit cube that may hold something: (G,G,G) bool, indexed [x,y,z].

    images         PosedImages
    scale, offset  the unit cube's position of a world point is point * scale + offset
    beyond_edges   keep cells that some image does not show, being behind its camera or beyond its edges; without it,
                   only those beyond the edges of an image whose edge cuts the object

    An image that shows none of the cells as the object's leaves none: it shows something else.
    """
    index = np.stack(np.indices((resolution,) * 3), -1).reshape(-1, 3).astype(np.float32)
    index = torch.from_numpy(index).to(device)
    offset = torch.as_tensor(offset, dtype=torch.float32, device=device)
    centers = ((index + 0.5) / resolution - offset) / scale
    radius = 0.5 * math.sqrt(3.0) / resolution / scale  # of the ball around a cell, in world units
    kept = torch.arange(len(centers), device=device)
    height, width = images.rgba.shape[1:3]
    pose = torch.as_tensor(images.pose, device=device)
    for rgba, view in zip(images.rgba, pose):
        alpha = torch.as_tensor(rgba[..., 3] > 0, device=device)
        if bool(alpha.all()):
            continue
        local = (centers[kept] - view[:, 3]) @ view[:, :3]  # world to camera: rotation's inverse is its transpose
        depth = -local[:, 2]
        ahead = depth > 2 * radius
        safe = depth.clamp(min=2 * radius)
        x = images.focal * local[:, 0] / safe + images.center[0]
        y = -images.focal * local[:, 1] / safe + images.center[1]
        reach = images.focal * radius / (safe - radius).clamp(min=radius)  # the ball's radius in pixels
        outside = ~ahead | (x - reach < 0) | (x + reach >= width) | (y - reach < 0) | (y + reach >= height)
        seen = _any_inside(alpha, x - reach, x + reach, y - reach, y + reach)
        if beyond_edges:
            kept = kept[(seen | outside) & seen.any()]
        elif bool(alpha[[0, -1]].any()) or bool(alpha[:, [0, -1]].any()):
            kept = kept[ahead & (seen | outside)]
        else:
            kept = kept[seen & ~outside]
    mask = torch.zeros(resolution**3, dtype=torch.bool, device=device)
    mask[kept] = True
    return mask.view(resolution, resolution, resolution)


def _any_inside(mask, left, right, top, bottom):
    """Whether rectangles of `mask` (H,W) hold a set pixel: bounds in pixels, any shape; clipped to the image."""
    height, width = mask.shape
    total = F.pad(mask.to(torch.int32), (1, 0, 1, 0)).cumsum(0).cumsum(1)  # summed-area table (Crow 1984)
    left, right = left.floor().long().clamp(0, width), (right.floor().long() + 1).clamp(0, width)
    top, bottom = top.floor().long().clamp(0, height), (bottom.floor().long() + 1).clamp(0, height)
    return total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left] > 0


def nearest_depth(images, hull, scale, offset):
    """How far in front of a camera the hull begins, at least: its smallest depth in any view, in edges of the cube.

    The depth of the box around the hull (G,G,G) is taken, least at one of its corners; negative where some camera
    has a corner behind it.
    """
    cells = hull.nonzero().cpu()
    bounds = torch.stack([cells.min(0).values, cells.max(0).values + 1], 1) / len(hull)
    corners = torch.cartesian_prod(*bounds)
    pose = torch.as_tensor(images.pose)
    camera = pose[:, :, 3] * scale + torch.as_tensor(offset)
    return float(((camera[:, None] - corners) * pose[:, None, :, 2]).sum(-1).min())  # the camera looks along -z


def drawable_pixels(images, reach):
    """Flat indices (int32) of the pixels whose rays can meet the hull.

    reach  pixels that the hull may lie beyond the silhouette
    """
    before, after = math.ceil(reach), math.floor(reach)  # whole pixels, counted from a pixel's corner
    near = torch.as_tensor(images.rgba[..., 3] > 0)
    for _ in range(2):  # along the rows, then along the columns
        count = F.pad(near.to(torch.int32), (before + 1, after)).cumsum(2, dtype=torch.int32)
        width = before + after + 1
        near = (count[:, :, width:] > count[:, :, :-width]).transpose(1, 2)
    return near.reshape(-1).nonzero()[:, 0].to(torch.int32)


def fit_unit_cube(images, resolution=64, margin=0.05, device="cpu"):
    """(scale, offset) that put the visual hull of images of unknown scale into the unit cube.

    The search begins in a cube around the point that the cameras look at, reaching as far as they stand off,
    and takes the object to be inside every image whose edge does not cut it. Data without transparency keeps that cube.
    """
    origin = torch.as_tensor(images.pose[:, :, 3])
    forward = -torch.as_tensor(images.pose[:, :, 2])
    # The point nearest to all optical axes: sum of (I - d d^T)(x - o) = 0.
    project = torch.eye(3) - forward[:, :, None] * forward[:, None, :]
    target = torch.linalg.lstsq(project.sum(0), (project @ origin[:, :, None]).sum(0)).solution[:, 0]
    extent = 2.0 * float((origin - target).norm(dim=1).median())
    scale, offset = 1.0 / extent, 0.5 - target / extent
    for _ in range(2):  # the second look is finer: the first cube is far larger than the object
        hull = visual_hull(images, resolution, scale, offset, device, beyond_edges=False)
        if bool(hull.all()) or not bool(hull.any()):
            break
        cells = hull.nonzero().float().cpu()
        low = (cells.min(0).values / resolution - offset) / scale
        high = ((cells.max(0).values + 1) / resolution - offset) / scale
        extent = float((high - low).max()) / (1 - 2 * margin)
        scale, offset = 1.0 / extent, 0.5 - (low + high) / 2 / extent
    return scale, offset
