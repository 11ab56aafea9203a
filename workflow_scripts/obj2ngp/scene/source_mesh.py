"""A source model again after its render, in the world of its views."""

import dataclasses

import numpy as np

from obj2ngp.common.checks import choice, mapping, number, numbers, read_json
from obj2ngp.common.files import UserError

from .mesh import UP, build_mesh
from .obj_file import read_obj
from .palette import read_palette
from .problems import Problems

LONGEST_SIDE = 1e-4, 1e2  # of the model in the world, between which render.scale puts it with room to spare
SOLID = 0.5  # opacity from which on a material is a surface: median depth, at half of the light, passes the others

RECORD = mapping(  # of a render; that of a set of pictures may have another `up`
    {
        "settings": mapping({"up": choice(*UP)}),
        "normalization": mapping({"scale": number(above=0), "translation": numbers(3)}),
    }
)


class Lenient:
    """A policy for problems.Problems: the render program, which stops where it should, has read the model before."""

    missing_texture = missing_material = broken_faces = no_visible_pixel = "warn"


def triangulated(face_start):
    """Corners (T,3) of the triangles of polygons, a fan of each, and the polygon (T,) of each triangle."""
    corners = np.diff(face_start)
    face = np.repeat(np.arange(len(corners)), corners - 2)
    number = np.arange(len(face)) - np.repeat(np.cumsum(corners - 2) - (corners - 2), corners - 2)
    first = face_start[face]
    return np.stack([first, first + number + 1, first + number + 2], axis=1), face


def read_source(model, record):
    """(Mesh, its palette) of an .obj file; the mesh's corners lie in the world of the views.

    model   path of the file
    record  path of the record.json that the render program wrote of its views

    Faces that lie on one another are one, and broken ones are left out, as in the render. Raises UserError where the
    record or the model cannot be read, or the record is not one of this model's size.
    """
    content = read_json(record, RECORD)
    up, scale = content["settings"]["up"], content["normalization"]["scale"]
    translation = np.array(content["normalization"]["translation"], float)
    problems = Problems(Lenient)
    obj = read_obj(model)
    used = set(np.where(obj.face_material < 0, len(obj.materials), obj.face_material).tolist())
    palette = read_palette(obj, str(model), used, problems, lambda path: None)  # the render's record has these files
    textured = np.array([material.texture is not None for material in palette])
    mesh = build_mesh(obj, model, textured, up, 1.0, None, problems)
    side = scale / mesh.scale
    if not LONGEST_SIDE[0] < side < LONGEST_SIDE[1]:
        raise UserError(f"{record}: normalization.scale: {scale:g} makes the longest side of {model} {side:g}")
    corners = side * (mesh.corners - mesh.translation) + translation
    return dataclasses.replace(mesh, corners=corners), palette


def solid_triangles(mesh, palette):
    """Corners (T,3) of the triangles that let less than half of the light by, and the face (T,) of each."""
    triangles, face = triangulated(mesh.face_start)
    solid = np.array([palette[front[0]].opacity >= SOLID for front, _ in mesh.looks])[mesh.face_look[face]]
    return triangles[solid], face[solid]


def source_surface(model, record):
    """Vertices (V,3), in the world of the views, and triangles (T,3) of an .obj file's solid faces.

    Arguments and errors as of `read_source`; raises UserError, too, where nothing is solid.
    """
    mesh, palette = read_source(model, record)
    triangles, _ = solid_triangles(mesh, palette)
    if not len(triangles):
        raise UserError(f"{model}: all of it lets more than half of the light through")
    return mesh.corners, triangles
