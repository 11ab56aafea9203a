"""A trained field as points of its surface, in the source model's own units and axes, with normals and colours."""

import numpy as np
import trimesh

from .coordinates import moved, turned, world_to_source
from .surface_field import as_bytes, field_surface, head_on_colors

PLACE, NORMAL, COLOR = ("x", "y", "z"), ("nx", "ny", "nz"), ("red", "green", "blue")
VERTEX = np.dtype([(name, "<f4") for name in PLACE + NORMAL] + [(name, "u1") for name in COLOR])
TYPES = {"<f4": "float", "|u1": "uchar"}


def write_ply(path, points, normals, colors):
    """Write points (N,3), normals (N,3) and colours (N,3) uint8 as a binary .ply file."""
    rows = np.empty(len(points), VERTEX)
    for names, values in ((PLACE, points), (NORMAL, normals), (COLOR, colors)):
        for name, column in zip(names, np.asarray(values).T, strict=True):
            rows[name] = column
    properties = [f"property {TYPES[VERTEX[name].str]} {name}" for name in VERTEX.names]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}", *properties, "end_header", ""]
    path.write_bytes("\n".join(header).encode() + rows.tobytes())


def write(source, folder):
    """Write the points of a Source into `folder`. Raises UserError."""
    settings, model = source.settings, source.model()
    surface = field_surface(source, model)
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    points, face = trimesh.sample.sample_surface(mesh, settings.count, seed=0)
    shares = trimesh.triangles.points_to_barycentric(mesh.triangles[face], points)
    normals = (mesh.vertex_normals[mesh.faces[face]] * shares[..., None]).sum(axis=1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    colors = as_bytes(head_on_colors(model, np.asarray(points), normals))
    to_source = world_to_source(source.record())
    write_ply(folder / f"{source.name}.ply", moved(points, to_source), turned(normals, to_source), colors)
