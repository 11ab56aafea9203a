"""The surface of a density lattice, as who sees it best sees it: one level an object, no specks, nothing unseen."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import trimesh
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from skimage.measure import marching_cubes

from .light import gaps, hiding, peaks
from .rays import Triangles, pixel_rays

LEVELS = 0.05 * 2 ** (np.arange(11) / 2)  # optical thicknesses that are tried
LEAST = 1e-4  # what thinner counts as
EDGE = 3  # pixels on either side of a silhouette's edge in which levels are compared: elsewhere all of them agree
SPECK = 0.05  # of the longest side: what is smaller and joined to nothing is dropped
SMOOTHING = 20  # steps of Taubin's filter


@dataclass
class Surface:
    """A triangle mesh: vertices (V,3), faces (F,3) of indices into them, outside on their front.

    level           optical thickness in front of it, for who sees it best
    silhouette_iou  of the level set's silhouettes and the views', within EDGE pixels of their edges
    """

    vertices: np.ndarray
    faces: np.ndarray
    level: float = np.nan
    silhouette_iou: float = np.nan

    def __bool__(self):
        return len(self.faces) > 0


def level_set(logarithm, level):
    """The Surface, in the unit cube, of the set where a lattice (R,R,R) of logarithms is at least that of `level`.

    Marching cubes (Lorensen & Cline 1987; Lewiner et al. 2003).
    """
    value = logarithm - np.float32(np.log(level))
    inside = value >= 0
    occupied = [np.flatnonzero(inside.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not len(occupied[0]):
        return Surface(np.zeros((0, 3)), np.zeros((0, 3), np.int64), level)
    low = np.array([max(index[0] - 1, 0) for index in occupied])
    part = value[tuple(slice(start, index[-1] + 2) for start, index in zip(low, occupied, strict=True))]
    part = np.pad(part, 1, constant_values=np.log(LEAST / level))  # closed where it meets the cube's wall
    vertices, faces, _, _ = marching_cubes(part, 0.0, gradient_direction="ascent", allow_degenerate=False)
    return Surface((vertices + low - 0.5) / len(value), faces.astype(np.int64), level)


def in_unit_cube(images, scale, offset):
    """PosedImages with their cameras in the unit cube's coordinates, where a world point is at point * scale + offset.

    Poses become float64.
    """
    pose = np.array(images.pose, np.float64)
    pose[:, :3, 3] = pose[:, :3, 3] * scale + offset
    return dataclasses.replace(images, pose=pose, scale=1.0, offset=np.zeros(3))


def edge_rays(images):
    """Rays through the middles of pixels within EDGE of a silhouette's edge.

    Returns origins (N,3), directions (N,3) of length 1, and whether the object covers half of the pixel (N,) bool.
    """
    from scipy.ndimage import binary_dilation, binary_erosion

    parts = []
    for rgba, pose in zip(images.rgba, images.pose, strict=True):
        covered = rgba[..., 3] >= 128
        near = binary_dilation(covered, iterations=EDGE) & ~binary_erosion(covered, iterations=EDGE, border_value=1)
        rows, columns = np.nonzero(near)
        parts.append((*pixel_rays(pose, images.focal, images.center, rows, columns), covered[near]))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def best_level(logarithm, images):
    """The level of LEVELS whose set has the silhouettes in `images` that are most like theirs, and that likeness.

    logarithm  (R,R,R) float32, of optical thickness
    images     PosedImages in the unit cube's coordinates

    Likeness is intersection over union of what the set and the views cover of the pixels of `edge_rays`. Images without
    silhouettes leave the middle level.
    """
    origins, directions, covered = edge_rays(images)
    if not covered.any():
        return LEVELS[len(LEVELS) // 2], np.nan
    lowest = np.float32(np.log(LEAST))
    value = logarithm - lowest
    rays, enough = (origins * len(value) - 0.5, np.ascontiguousarray(directions)), np.log(LEVELS[-1]) - lowest
    peak = peaks(value, gaps(value), *rays, enough) + lowest
    hit = peak >= np.log(LEVELS)[:, None]
    likeness = (hit & covered).sum(axis=1) / (hit | covered).sum(axis=1)
    best = int(np.argmax(likeness))
    return LEVELS[best], float(likeness[best])


def parts(surface):
    """A number (F,) for each face, the same for faces that are joined through vertices."""
    faces = surface.faces
    pairs = np.concatenate([faces[:, :2], faces[:, 1:]])
    graph = coo_matrix((np.ones(len(pairs), bool), tuple(pairs.T)), shape=(len(surface.vertices),) * 2)
    return connected_components(graph, directed=False)[1][faces[:, 0]]


def keep_faces(surface, keep):
    """The Surface of the faces `keep` (F,) bool, without the vertices that no face needs."""
    faces = surface.faces[keep]
    used, index = np.unique(faces, return_inverse=True)
    return dataclasses.replace(surface, vertices=surface.vertices[used], faces=index.reshape(-1, 3))


def drop_specks(surface):
    """The Surface without parts that are smaller than SPECK of the longest side. The largest part stays."""
    part = parts(surface)
    corners = surface.vertices[surface.faces]
    order = np.argsort(part, kind="stable")
    starts = np.flatnonzero(np.diff(part[order], prepend=-1))
    low = np.minimum.reduceat(corners.min(axis=1)[order], starts)
    high = np.maximum.reduceat(corners.max(axis=1)[order], starts)
    size = (high - low).max(axis=1)
    large = size >= min(SPECK * np.ptp(surface.vertices, axis=0).max(), size.max())
    return keep_faces(surface, np.isin(part, part[order][starts[large]]))


def drop_unseen(surface, images):
    """The Surface of the faces around the vertices that some of `images` (PosedImages) sees.

    A face stays if one of its corners is seen, so that edges are not frayed.
    """
    seen = Triangles(surface.vertices, surface.faces).seen(surface.vertices, images)
    return keep_faces(surface, seen[surface.faces].any(axis=1))


def smoothed(surface):
    """The Surface with the steps of the lattice smoothed away, which shrinks nothing (Taubin 1995)."""
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    trimesh.smoothing.filter_taubin(mesh, iterations=SMOOTHING)
    return dataclasses.replace(surface, vertices=np.array(mesh.vertices))


def extract(lattice, images):
    """The Surface, in the world, of the object whose density a Lattice holds and which PosedImages show.

    It lies where the light of the camera that sees it best has met an optical thickness of `best_level`. It may have no
    faces, where nothing is dense; parts of it may be unseen, see `drop_unseen`.
    """
    images = in_unit_cube(images, lattice.scale, lattice.offset)
    thickness = hiding(lattice.density, images)
    logarithm = np.log(np.maximum(thickness, np.float32(LEAST)))
    level, likeness = best_level(logarithm, images)
    surface = dataclasses.replace(level_set(logarithm, level), silhouette_iou=likeness)
    if surface:
        surface = drop_specks(smoothed(surface))
    return dataclasses.replace(surface, vertices=lattice.to_world(surface.vertices))
