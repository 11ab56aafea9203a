"""A trained field's surface, and the colour that it shows there."""

import numpy as np

from obj2ngp.common.files import UserError
from obj2ngp.ngp.lattice import density_lattice
from obj2ngp.ngp.rendering import Renderer
from obj2ngp.surface.extraction import drop_unseen, extract
from obj2ngp.views.reading import read_images

IN_FRONT, BEHIND, SAMPLES = 1, 3, 12  # hundredths of the unit cube around a surface that make its colour, and steps
CHUNK = 1 << 16  # points whose colours are taken together


def field_surface(source, model):
    """The Surface (surface.extraction), in the world, of a Source's Model, on the lattice that its settings ask for.

    Raises UserError where it has none.
    """
    resolution, images = source.lattice_of(model), read_images(source.transforms("train"))
    surface = extract(density_lattice(Renderer(model), resolution), images)
    if surface:
        surface = drop_unseen(surface, images)
    if not surface:
        raise UserError("the field has no surface that its training views see")
    return surface


def head_on_colors(model, points, normals):
    """sRGB colours (N,3) in [0,1] that a Model shows at surface points (N,3) to who looks against the normals (N,3).

    World coordinates. The samples of a short ray through each point are composited (Max 1995), as a picture's are.
    """
    parts = range(0, len(points), CHUNK)
    return np.concatenate([_colors(model, points[i : i + CHUNK], normals[i : i + CHUNK]) for i in parts])


def _colors(model, points, normals):
    step = (IN_FRONT + BEHIND) / 100 / SAMPLES / model.scale
    depth = (np.arange(SAMPLES) + 0.5) * step - IN_FRONT / 100 / model.scale
    places = points[:, None] - depth[:, None] * normals[:, None]
    directions = np.broadcast_to(-normals[:, None], places.shape)
    density, rgb = model.query(places.reshape(-1, 3), directions.reshape(-1, 3))
    thickness = density.cpu().numpy().reshape(-1, SAMPLES).astype(float) * step
    in_front = np.cumsum(thickness, axis=1) - thickness
    weight = np.exp(-in_front) * -np.expm1(-thickness) + 1e-9  # where nothing is met, the mean
    rgb = rgb.cpu().numpy().reshape(-1, SAMPLES, 3)
    return np.clip((weight[..., None] * rgb).sum(axis=1) / weight.sum(axis=1, keepdims=True), 0, 1)


def as_bytes(colors):
    """Colours in [0,1] as uint8."""
    return (np.asarray(colors) * 255 + 0.5).astype(np.uint8)
