"""From the polygons of a file to the mesh that is rendered: checked, mended, centred and scaled."""

from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np

from obj2ngp.common.checks import LARGEST
from obj2ngp.common.files import UserError

from . import geometry

LARGEST_COORDINATE = 1e15  # above, squares of distances overflow in single precision
SMALLEST_AREA = 1e-15  # of the squared diagonal: a face below it covers no pixel and has no normal
PICTURE_MARGIN = 0.95  # of the largest sphere in view that an object may fill
LEAST_AGREEMENT = 0.2  # cosine between a file's normal and its face below which the normal is wrong

# File axes to world axes (z up).
UP = {"Y": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), "Z": np.eye(3)}

Look = Tuple[int, bool]  # material index, with its textures (False where a face has no texture coordinates)


@dataclass
class Mesh:
    """F faces with C corners; no corner is shared, so that normals and coordinates belong to one face each."""

    corners: np.ndarray  # (C, 3) positions in the unit box, z up
    normals: np.ndarray  # (C, 3) shading normals on the face's front
    uv: np.ndarray  # (C, 2)
    back_uv: np.ndarray  # (C, 2) for the back, where that has a look of its own
    colors: Optional[np.ndarray]  # (C, 3) sRGB
    face_start: np.ndarray  # (F + 1,)
    face_look: np.ndarray  # (F,) into looks
    looks: List[Tuple[Look, Optional[Look]]]  # front, and back where a twin gave it one
    scale: float
    translation: np.ndarray  # (3,); world = scale * UP[up] @ file + translation
    statistics: dict


def _usable_faces(obj, path, problems):
    """Faces (F,) bool whose corners are three or more existing, finite vertices; the others are reported."""
    with np.errstate(invalid="ignore"):
        fine = (np.abs(obj.positions) < LARGEST_COORDINATE).all(axis=1)  # false for NaN
    fine = np.append(fine, False)  # index -1: no such vertex
    counts = np.diff(obj.face_start)
    bad_corners = np.bincount(
        geometry.face_of_corner(obj.face_start), weights=~fine[obj.corner_position], minlength=len(counts)
    )
    usable = (counts >= 3) & (bad_corners == 0)
    if not usable.all():
        first = int(np.flatnonzero(~usable)[0])
        corners = obj.corner_position[obj.face_start[first] : obj.face_start[first + 1]]
        bad = [int(corner) for corner in corners if not fine[corner]]
        if not bad:
            reason = "has fewer than three corners"
        elif bad[0] < 0:
            reason = "names a vertex that does not exist"
        else:
            reason = "has vertex {} at ({:g}, {:g}, {:g})".format(bad[0] + 1, *obj.positions[bad[0]])
        problems.report(
            "broken_faces",
            f"{path}: {int((~usable).sum())} of {len(counts)} faces are broken; the first, face {first + 1}, {reason}",
        )
    return usable


def _merged_points(positions, corner_position):
    """The number (C,) that tells which corners are at the same point."""
    used, corner_used = np.unique(corner_position, return_inverse=True)
    return geometry.merge_points(positions[used])[corner_used.reshape(-1)]


def _shading_normals(file_normals, corner_normal, corners, corner_point, face_start, face_normal):
    """Normals (C, 3): the file's, turned to the face's front; by angle where it gives none or a wrong one."""
    own = face_normal[geometry.face_of_corner(face_start)]
    normals = np.vstack([file_normals, np.zeros((1, 3))])[corner_normal]
    agreement = np.einsum("ij,ij->i", normals, own)
    normals[agreement < 0] *= -1
    wrong = np.abs(agreement) < LEAST_AGREEMENT
    if wrong.any():
        normals[wrong] = geometry.smooth_normals(corners, corner_point, face_start, face_normal)[wrong]
    return normals, int((~wrong).sum())


def _normalization(corners, longest_side, largest_sphere):
    """Scale and translation (3,) that centre the box of ``corners`` (C, 3) and give it the longest side asked for."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    middle = (low + high) / 2
    scale = longest_side / (high - low).max()
    if largest_sphere is not None:
        reach = np.linalg.norm(corners - middle, axis=1).max()
        scale = min(scale, PICTURE_MARGIN * largest_sphere / reach)
    return scale, -scale * middle


def build_mesh(obj, path, textured, up, longest_side, largest_sphere, problems):
    """The Mesh of ``obj``, read from ``path``.

    ``textured`` (M + 1,) bool tells which materials have textures, the last standing for faces without a material.
    ``largest_sphere`` is the radius that the bounding sphere is shrunk to where it is larger.

    Faces that lie on one another become one: its front looks as the first of them, its back as the first that is wound
    the other way. So each copy is seen from its own side, nothing is drawn twice in one place, and a transparent
    surface counts once. Faces without such a twin look the same from both sides.

    Raises UserError where no face is left to draw, or the whole is so small, or so far away for its size, that others
    would refuse what the record says of that.
    """
    usable = _usable_faces(obj, path, problems)
    corner_kept, start = geometry.select_corners(obj.face_start, usable)
    position, texcoord, normal = (
        index[corner_kept] for index in (obj.corner_position, obj.corner_texcoord, obj.corner_normal)
    )
    material = np.where(obj.face_material < 0, len(obj.materials), obj.face_material)[usable]
    if not usable.any():
        raise UserError(f"{path}: no usable face in it")

    point = _merged_points(obj.positions, position)
    once = geometry.first_round(point, start)
    if not once.all():
        start = np.concatenate([[0], np.cumsum(np.add.reduceat(once, start[:-1], dtype=np.int64))])
        position, texcoord, normal, point = (index[once] for index in (position, texcoord, normal, point))

    turn = UP[up]
    corners = obj.positions[position] @ turn.T
    extent = corners.max(axis=0) - corners.min(axis=0)
    areas = geometry.area_vectors(corners, start)
    face_normal = geometry.normalized(areas)
    drawn = np.linalg.norm(areas, axis=1) > SMALLEST_AREA * (extent**2).sum()
    if not drawn.any():
        raise UserError(f"{path}: all faces have no area")
    front, back = geometry.find_twins(point, start, face_normal)
    keep = front & drawn
    back[~keep] = -1

    has_uv = np.logical_and.reduceat(texcoord >= 0, start[:-1])
    code = 2 * material + (has_uv & textured[material])
    twin = np.flatnonzero(back >= 0)
    uv = np.vstack([obj.texcoords, np.zeros((1, 2))])[texcoord]
    back_uv = uv.copy()
    if len(twin):
        in_twin, _ = geometry.select_corners(start, back >= 0)
        back_uv[in_twin] = uv[geometry.matching_corners(point, start, twin, back[twin])]
    back_code = np.where(back >= 0, code[back], -1)
    pairs, look = np.unique(np.stack([code, back_code], axis=1)[keep], axis=0, return_inverse=True)

    shown, shown_start = geometry.select_corners(start, keep)
    scale, translation = _normalization(corners[shown], longest_side, largest_sphere)
    if not max(scale, *np.abs(translation)) < LARGEST:
        side, middle = np.ptp(corners[shown], axis=0).max(), -translation / scale @ turn
        where = "({:g}, {:g}, {:g})".format(*(middle + 0.0))  # no negative zeros
        raise UserError(f"{path}: too small where it is: its longest side is {side:g}, around {where}")
    normals, from_file = _shading_normals(
        geometry.normalized(obj.normals @ turn.T),
        normal[shown],
        corners[shown],
        point[shown],
        shown_start,
        face_normal[keep],
    )
    missing_uv = int((textured[material] & ~has_uv).sum())
    if missing_uv:
        problems.warn(f"{path}: {missing_uv} textured faces without texture coordinates get the plain colour")
    return Mesh(
        corners=scale * corners[shown] + translation,
        normals=normals,
        uv=uv[shown],
        back_uv=back_uv[shown],
        colors=None if obj.colors is None else obj.colors[position[shown]],
        face_start=shown_start,
        face_look=look.reshape(-1),
        looks=[(_look(a), None if b < 0 else _look(b)) for a, b in pairs],
        scale=scale,
        translation=translation,
        statistics={
            "vertices": len(obj.positions),
            "faces": len(usable),
            "faces_drawn": int(keep.sum()),
            "broken_faces": int((~usable).sum()),
            "faces_without_area": int((~drawn).sum()),
            "twin_faces": 2 * len(twin),
            "repeated_faces": int((drawn & ~front).sum()) - len(twin),
            "corners_with_file_normal": from_file,
            "corners": int(shown.sum()),
            "line_elements": obj.line_elements,
        },
    )


def _look(code):
    return int(code) // 2, bool(code % 2)
