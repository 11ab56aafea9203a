"""Reader of Wavefront .obj files: polygons, texture coordinates, normals, vertex colours, material names.

Our own and not Blender's, because what is done to doubled faces and normals needs the file as written, the same in
every version of Blender.
"""

import codecs
import re
import warnings
from dataclasses import dataclass
from typing import List, Optional

import numpy as np

from obj2ngp.common.checks import read_bytes
from obj2ngp.common.files import UserError
from obj2ngp.common.memory import memory_limit

BYTES_TO_READ = 8  # of memory, at least, that a byte of a file takes while it is read


@dataclass
class ObjFile:
    """What the file says. V, T, N: its v, vt, vn lines; F faces with C corners in all; axes as in the file."""

    positions: np.ndarray  # (V, 3) float64
    colors: Optional[np.ndarray]  # (V, 3) sRGB in [0, 1], where the v lines have colours
    texcoords: np.ndarray  # (T, 2)
    normals: np.ndarray  # (N, 3), not normalised
    corner_position: np.ndarray  # (C,) into positions; -1: no such vertex
    corner_texcoord: np.ndarray  # (C,) into texcoords; -1: none
    corner_normal: np.ndarray  # (C,) into normals; -1: none
    face_start: np.ndarray  # (F + 1,) first corner of each face
    face_material: np.ndarray  # (F,) into materials; -1: none
    materials: List[str]
    libraries: List[str]  # what stands behind each mtllib, unsplit: names may contain spaces
    line_elements: int  # `l` elements; they are not drawn
    maybe_truncated: bool  # the last line is a face and has no line end


def read_text(path):
    """The text of an .obj or .mtl file in UTF-8, UTF-16 or Latin-1, continued lines joined. Raises UserError."""
    data = read_bytes(path, memory_limit() // BYTES_TO_READ)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", errors="replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"\\[ \t]*\n", " ", text) if "\\" in text else text


def _parse(text, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy's, where the text is malformed: seen by the size
        try:
            return np.fromstring(text, dtype=dtype, sep=" ")
        except ValueError:
            return np.empty(0, dtype)


def _malformed(path, keyword, lines, is_good):
    bad = next((line for line in lines if not is_good(line)), "")
    return UserError(f"{path}: malformed line '{keyword} {bad.strip()[:60]}'")


def _is_numbers(line):
    try:
        return all(np.isscalar(float(word)) for word in line.split())
    except ValueError:
        return False


def _number_rows(path, keyword, lines, least, most):
    """The numbers of ``lines`` as (len(lines), most) float64, absent ones NaN; at least ``least`` on each line."""
    counts = np.fromiter((len(line.split()) for line in lines), np.int64, len(lines))
    values = _parse(" ".join(lines), np.float64)
    if len(values) != counts.sum():
        raise _malformed(path, keyword, lines, _is_numbers)
    if len(lines) and counts.min() < least:
        raise _malformed(path, keyword, lines, lambda line: len(line.split()) >= least)
    start = np.cumsum(counts) - counts
    rows = np.full((len(lines), most), np.nan)
    for column in range(most):
        has = counts > column
        rows[has, column] = values[start[has] + column]
    return rows


_COMMENT = re.compile(r"(^|\s)#.*")
_NOT_A_NUMBER = re.compile(r"-?\d*\.?#\w+")  # 1.#QNAN, -1.#IND, 1.#INF as Microsoft's C library writes them
_BACKWARDS = re.compile(r"-\d+", re.ASCII)
_CORNER = re.compile(r"-?\d+(/(-?\d+)?){0,2}")


def _absolute(line, totals):
    """A face line whose negative indices, counted back from the last of ``totals`` (v, vt, vn), are made absolute."""
    corners = []
    for corner in line.split():
        indices = corner.split("/")
        for which, index in enumerate(indices[:3]):
            if _BACKWARDS.fullmatch(index):  # what else is no index is seen later
                # Index 0 means "none", so one that reaches back too far points past the end instead.
                value = totals[which] + 1 + int(index[:19])
                indices[which] = str(value if value > 0 else 2**62)
        corners.append("/".join(indices))
    return " ".join(corners)


def _face_indices(path, lines):
    """Corner counts (F,) and zero-based indices (C, 3) of position, texture coordinate and normal; -1: none."""
    counts = np.fromiter((len(line.split()) for line in lines), np.int64, len(lines))
    text = " ".join(lines)
    slashes = np.fromiter((corner.count("/") for corner in text.split()), np.int64, counts.sum())
    numbers = re.sub(r"/(?=[/\s]|$)", "/0", text).replace("/", " ")
    values = _parse(numbers, np.int64)
    if "-" in text or len(values) != (slashes + 1).sum() or (len(slashes) and slashes.max() > 2):
        raise _malformed(path, "f", lines, lambda line: all(_CORNER.fullmatch(c) for c in line.split()))
    start = np.cumsum(slashes + 1) - (slashes + 1)
    indices = np.zeros((len(slashes), 3), np.int64)
    for which in range(3):
        has = slashes >= which
        indices[has, which] = values[start[has] + which]
    return counts, indices - 1


def read_obj(path):
    """Read ``path``. Raises UserError where it cannot be read, is malformed, or holds no face.

    Indices that point nowhere become -1; what to do about such faces is the caller's decision.
    """
    text = read_text(path)
    rows = {"v": [], "vt": [], "vn": []}
    faces, materials, material_runs, libraries = [], {}, [], []
    line_elements = 0
    vertices, texcoords, normals = rows["v"], rows["vt"], rows["vn"]
    for line in text.split("\n"):
        words = line.split(None, 1)
        if len(words) < 2:
            continue
        keyword, rest = words
        if keyword in rows:
            if "#" in rest:
                rest = _NOT_A_NUMBER.sub("nan", _COMMENT.sub("", rest))
            rows[keyword].append(rest)
        elif keyword == "f":
            rest = _COMMENT.sub("", rest) if "#" in rest else rest
            if "-" in rest:
                rest = _absolute(rest, (len(vertices), len(texcoords), len(normals)))
            faces.append(rest)
        elif keyword == "usemtl":
            material_runs.append((len(faces), materials.setdefault(rest.strip(), len(materials))))
        elif keyword == "mtllib":
            libraries.append(rest.strip())
        elif keyword == "l":
            line_elements += 1
    if not faces:
        raise UserError(f"{path}: no faces in it (not an .obj file, empty or truncated)")

    vertex_rows = _number_rows(path, "v", vertices, 3, 6)
    counts, indices = _face_indices(path, faces)
    for which, total in enumerate((len(vertices), len(texcoords), len(normals))):
        indices[indices[:, which] >= total, which] = -1
    first_face, material = np.array([(0, -1)] + material_runs).T  # each usemtl holds until the next
    face_material = np.repeat(material, np.diff(np.append(first_face, len(faces))))
    has_colors = len(vertices) > 0 and np.isfinite(vertex_rows[:, 3:]).all()
    return ObjFile(
        positions=vertex_rows[:, :3],
        colors=vertex_rows[:, 3:] if has_colors else None,
        texcoords=np.nan_to_num(_number_rows(path, "vt", texcoords, 1, 2)),
        normals=_number_rows(path, "vn", normals, 3, 3),
        corner_position=indices[:, 0],
        corner_texcoord=indices[:, 1],
        corner_normal=indices[:, 2],
        face_start=np.concatenate([[0], np.cumsum(counts)]),
        face_material=face_material,
        materials=list(materials),
        libraries=libraries,
        line_elements=line_elements,
        maybe_truncated=text.rsplit("\n", 1)[-1].startswith("f "),
    )
