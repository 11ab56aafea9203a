"""The source mesh in few bytes, to be shown beside the field: triangles with colours and normals at their corners.

Corners are put on a lattice: the finest on which the mesh takes at most LARGEST bytes, so that a large mesh loses what
is too small to be seen. Textures become the colours of corners, of which large textured triangles get more.
"""

import zlib

import numpy as np
import torch

from obj2ngp.common.files import UserError
from obj2ngp.ngp.light import srgb_of
from obj2ngp.scene.source_mesh import read_source, solid_triangles
from obj2ngp.views.picture_files import block_means, read_rgba
from obj2ngp.views.posed_images import DataError

from .packing import Unsuited

LARGEST = 70_000  # bytes, deflated
LATTICES = (2048, 1024, 512, 256, 128, 64, 32)  # points along the mesh's longest side
MERGED = 256  # points from which on down corners at one point become one, with their mean normal and colour
SPLIT = 11_000  # triangles up to which textured ones are split
SHORTEST = 0.02  # of the mesh's longest side: edges that are not split
MOST_VERTICES = 1 << 16
MOST_TRIANGLES = LARGEST // 2  # more never fit
NORMAL, COLOR = 15, 31  # steps from 0 to 1
BITS = (11, 11, 11, 5, 5, 5, 5, 5, 5)  # of the columns of a vertex: place, normal, colour
LARGEST_TEXTURE = 256  # pixels along a side, after shrinking
POSITION, NORMALS, UV, COLORS = slice(0, 3), slice(3, 6), slice(6, 8), slice(8, 11)


def packed_source(model, record):
    """(description, bytes) of the .obj file `model`, whose render wrote `record`. Raises Unsuited or UserError."""
    mesh, palette = read_source(model, record)
    triangles, face = solid_triangles(mesh, palette)
    if not len(triangles):
        raise Unsuited("all of it lets more than half of the light through")
    fronts = [front for front, _ in mesh.looks]
    material = np.array([index for index, _ in fronts])[mesh.face_look[face]]
    textured = np.array([with_texture for _, with_texture in fronts])[mesh.face_look[face]]
    corners = np.concatenate(
        [mesh.corners, mesh.normals, mesh.uv, _plain_colors(mesh, palette, triangles, material)], 1
    )
    corners, source = split(corners[triangles], textured)
    material, textured = material[source], textured[source]
    for index in np.unique(material[textured]):
        of = textured & (material == index)
        corners[of, :, COLORS] = _texture_colors(palette[index].texture, corners[of, :, UV], corners[of, :, COLORS])
    low = corners[..., POSITION].min(axis=(0, 1))
    side = float((corners[..., POSITION].max(axis=(0, 1)) - low).max()) or 1.0
    for points in LATTICES:
        vertices, indices = on_lattice(corners, low, side, points)
        if len(vertices) <= MOST_VERTICES and len(indices) <= MOST_TRIANGLES:
            content = packed_mesh(vertices, indices)
            if len(zlib.compress(content, 9)) <= LARGEST:
                step = side / (points - 1)
                sizes = {"vertices": len(vertices), "triangles": len(indices), "faces": len(mesh.face_start) - 1}
                return {**sizes, "low": low.tolist(), "step": step, "normal": NORMAL, "color": COLOR}, content
    raise Unsuited("it is too large: it has {:,} triangles".format(len(triangles)))


def _plain_colors(mesh, palette, triangles, material):
    """The colour (C,3), sRGB, of each corner without textures: that of its material, or its own."""
    colors = np.ones_like(mesh.corners)
    light = torch.tensor([entry.color for entry in palette], dtype=torch.float64).clamp(0, 1)
    colors[triangles] = srgb_of(light).numpy()[material][:, None]
    if mesh.colors is not None:
        bare = triangles[material == len(palette) - 1]  # vertex colours are for faces without a material
        colors[bare] = mesh.colors[bare]
    return colors


def split(corners, chosen):
    """(corners (S,3,K), the triangle (S,) that each comes from): `chosen` triangles (T,) of (T,3,K) in smaller ones."""
    source = np.arange(len(corners))
    side = np.ptp(corners[..., POSITION], axis=(0, 1)).max()
    while True:
        edges = np.linalg.norm(corners[..., POSITION] - np.roll(corners[..., POSITION], 1, axis=1), axis=2).max(axis=1)
        longest = max(SHORTEST * side, edges[chosen[source]].max(initial=0) / 2)
        large = chosen[source] & (edges > longest)
        if not large.any() or len(corners) + 3 * large.sum() > SPLIT:
            return corners, source
        whole, (a, b, c) = corners[~large], corners[large].transpose(1, 0, 2)
        ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
        parts = [np.stack(part, axis=1) for part in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
        corners, source = np.concatenate([whole, *parts]), np.concatenate([source[~large], *[source[large]] * 4])


def _texture_colors(texture, uv, fallback):
    """The texture's colours (T,3,3) at texture coordinates (T,3,2); `fallback` where it cannot be read."""
    try:
        picture = read_rgba(texture.path)[..., :3] / 255
    except (OSError, DataError, UserError):
        return fallback
    factor = -(-max(picture.shape[:2]) // LARGEST_TEXTURE)
    rows, columns = (min(factor, size) for size in picture.shape[:2])
    picture = block_means(picture, rows, columns)
    height, width = picture.shape[:2]
    uv = uv + 0.02 * (uv.mean(axis=1, keepdims=True) - uv)  # inwards, where an edge is one of the picture's
    place = np.nan_to_num(uv * texture.scale + texture.offset)
    place = np.clip(place, 0, 1) if texture.clamp else place - np.floor(place)
    column = np.minimum((place[..., 0] * width).astype(int), width - 1)
    row = np.minimum(((1 - place[..., 1]) * height).astype(int), height - 1)
    return picture[row, column]


def on_lattice(corners, low, side, points):
    """Vertices (V,9) of whole numbers (place, normal, colour) and triangles (T,3) of `corners` on a lattice."""
    place = np.rint((corners[..., POSITION] - low) * ((points - 1) / side)).astype(np.int64)
    seen = (place != np.roll(place, 1, axis=1)).any(axis=2).all(axis=1)  # no two corners are at one point
    place, looks = place[seen].reshape(-1, 3), corners[seen].reshape(-1, corners.shape[2])
    normal, color = np.clip(looks[:, NORMALS], -1, 1), np.clip(looks[:, COLORS], 0, 1)
    rows = np.concatenate([place, np.rint(NORMAL * normal) + NORMAL, np.rint(COLOR * color)], axis=1).astype(np.int64)
    chosen = slice(0, 3) if points <= MERGED else slice(None)
    _, first, index = np.unique(_keys(rows[:, chosen], BITS), return_index=True, return_inverse=True)
    index, vertices = index.reshape(-1), rows[first]
    if points <= MERGED:
        count = np.bincount(index)
        for column in range(3, 9):
            vertices[:, column] = np.rint(np.bincount(index, rows[:, column]) / count)
    vertices[:, NORMALS] -= NORMAL
    index = index.reshape(-1, 3)
    turn = index.argmin(axis=1)[:, None] + np.arange(3)
    index = np.take_along_axis(index, turn % 3, axis=1)
    if len(vertices) > MOST_VERTICES:
        return vertices, index
    return vertices, index[np.unique(_keys(index, (16, 16, 16)), return_index=True)[1]]


def _keys(rows, bits):
    """A number for each row of whole numbers from 0, in the same order; `bits` are the widths of their columns."""
    key = np.zeros(len(rows), np.int64)
    for column, width in zip(rows.T, bits):
        key = (key << width) | column
    return key


def packed_mesh(vertices, triangles):
    """The bytes of a mesh: by columns, of places and triangles the differences to the row before, modulo 2^16."""
    differences = [np.diff(columns, axis=0, prepend=0) % MOST_VERTICES for columns in (vertices[:, :3], triangles)]
    places, indices = (columns.T.astype("<u2").tobytes() for columns in differences)
    return (
        places + indices + vertices[:, 3:6].T.astype(np.int8).tobytes() + vertices[:, 6:].T.astype(np.uint8).tobytes()
    )
