"""A trained field as a triangle mesh, in the source model's own units and axes, with vertex colours or a texture."""

import dataclasses

import fast_simplification
import numpy as np
import torch
import trimesh
import xatlas
from PIL import Image
from scipy.ndimage import distance_transform_edt

from obj2ngp.ngp.light import light_of
from obj2ngp.surface.rays import Triangles

from .coordinates import moved, world_to_source
from .surface_field import as_bytes, field_surface, head_on_colors


def simplified(surface, faces):
    """The Surface with at most about as many `faces` (quadric error metrics, Garland & Heckbert 1997)."""
    if len(surface.faces) <= faces:
        return surface
    vertices, kept = fast_simplification.simplify(
        surface.vertices.astype(np.float32), surface.faces.astype(np.int32), target_count=faces
    )
    return dataclasses.replace(surface, vertices=vertices.astype(np.float64), faces=kept.astype(np.int64))


def linear(colors):
    """Linear light of sRGB colours in [0,1]: what glTF wants at vertices, though not in textures."""
    return light_of(torch.as_tensor(colors)).numpy()


def unwrapped(mesh):
    """The Trimesh with its seams cut, and texture coordinates (V,2) of its vertices, y up (xatlas)."""
    vertices, faces, uv = xatlas.parametrize(mesh.vertices, mesh.faces)
    normals = mesh.vertex_normals[vertices]
    cut = trimesh.Trimesh(mesh.vertices[vertices], faces.astype(np.int64), vertex_normals=normals, process=False)
    return cut, np.asarray(uv, float)


def texels(uv, faces, size):
    """For each texel (size,size) the face that covers its middle, -1 for none, and the shares (...,3) of its corners.

    Rows begin at the top, where v is 1.
    """
    rows, columns = np.divmod(np.arange(size * size), size)
    middles = np.stack([(columns + 0.5) / size, 1 - (rows + 0.5) / size], axis=1)
    flat = np.concatenate([uv, np.zeros((len(uv), 1))], axis=1)
    origins = np.concatenate([middles, np.ones((len(middles), 1))], axis=1)
    _, face = Triangles(flat, faces).first_hit(origins, np.broadcast_to([0.0, 0.0, -1.0], origins.shape))
    a, b, c = (uv[faces[np.maximum(face, 0), corner]] for corner in range(3))
    one, two, here = b - a, c - a, middles - a
    area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        second = (here[:, 0] * two[:, 1] - here[:, 1] * two[:, 0]) / area
        third = (one[:, 0] * here[:, 1] - one[:, 1] * here[:, 0]) / area
    shares = np.clip(np.nan_to_num(np.stack([1 - second - third, second, third], axis=1)), 0, 1)
    return face.reshape(size, size), shares.reshape(size, size, 3)


def baked(mesh, uv, size, color):
    """A texture (size,size,3) uint8: `color`(points, normals) where faces are, and beyond them the nearest of these."""
    face, shares = texels(uv, mesh.faces, size)
    covered = face >= 0
    corners, shares = mesh.faces[face[covered]], shares[covered][..., None]
    points = (mesh.vertices[corners] * shares).sum(axis=1)
    normals = (mesh.vertex_normals[corners] * shares).sum(axis=1)
    texture = np.zeros((size, size, 3), np.uint8)
    texture[covered] = as_bytes(color(points, normals / np.linalg.norm(normals, axis=1, keepdims=True)))
    rows, columns = distance_transform_edt(~covered, return_distances=False, return_indices=True)
    return texture[rows, columns]


def write(source, folder):
    """Write the mesh of a Source into `folder`, in each of the configured file types. Raises UserError."""
    settings, model = source.settings, source.model()
    surface = simplified(field_surface(source, model), settings.faces)
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    to_source = world_to_source(source.record())

    def color(points, normals):
        return head_on_colors(model, points, normals)

    if settings.colors == "texture":
        mesh, uv = unwrapped(mesh)
        picture = Image.fromarray(baked(mesh, uv, settings.texture_size, color))
        material = trimesh.visual.material.PBRMaterial(
            baseColorTexture=picture, metallicFactor=0.0, roughnessFactor=1.0, doubleSided=True
        )
        visuals: dict = {kind: trimesh.visual.TextureVisuals(uv, material=material) for kind in settings.files}
    else:
        colors = color(mesh.vertices, mesh.vertex_normals)
        shown = {kind: linear(colors) if kind == "glb" else colors for kind in settings.files}
        visuals = {kind: trimesh.visual.ColorVisuals(mesh, vertex_colors=as_bytes(shown[kind])) for kind in shown}
    for kind, visual in visuals.items():
        placed = trimesh.Trimesh(moved(mesh.vertices, to_source), mesh.faces, visual=visual, process=False)
        trimesh.exchange.export.export_mesh(placed, folder / f"{source.name}.{kind}")
