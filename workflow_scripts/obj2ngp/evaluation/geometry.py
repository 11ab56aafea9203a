"""How near a trained field's surface is to the source mesh's: what the metrics of geometry compare.

Lengths are shares of the source's longest side, so that objects of any scale compare. What measures is imported where
it is called, so that the summary, which wants the metrics' names alone, starts quickly.
"""

from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from obj2ngp.common.files import UserError
from obj2ngp.common.lattice import load_lattice, spread_bits
from obj2ngp.common.packing import folder_of
from obj2ngp.views.pictures import DEPTH_SUFFIX, DEPTH_UNITS_PER_STEP, LATTICE
from obj2ngp.views.posed_images import PosedImages

POINTS = 100_000  # on each of the two surfaces
CANDIDATES = 8  # for each of these points, at most, among which those that some camera sees are looked for
LEAF = 32  # points in a leaf of the trees that find the nearest: twice SciPy's, 15 % faster here
WORST = 1.0  # the distance that counts where there is nothing to measure to: a whole side


def obstacle():
    """Why this machine cannot measure geometry, or None."""
    missing = [name for name in ("embreex", "scipy", "skimage", "trimesh") if find_spec(name) is None]
    return f"{' and '.join(missing)} not installed" if missing else None


@dataclass
class SurfacePair:
    """Points of two surfaces, each with its nearest neighbour on the other.

    to_true, to_found  distances (N,), (M,): of the points found from the true ones, and of the true from those found
    agreement_true, agreement_found  |cosine| of the angles between the normals of such neighbours
    """

    to_true: np.ndarray
    to_found: np.ndarray
    agreement_true: np.ndarray
    agreement_found: np.ndarray


@dataclass
class DepthPair:
    """Distances along the rays of one view's pixels, true and predicted (H,W), inf where the ray meets nothing."""

    truth: np.ndarray
    prediction: np.ndarray


def chamfer(pair):
    """Chamfer-L1 in tenths of the longest side: the mean of both surfaces' mean distances (Mescheder et al. 2019)."""
    return 10 * (pair.to_true.mean() + pair.to_found.mean()) / 2


def f_score(pair, threshold):
    """The harmonic mean of precision and recall at a distance (Tatarchenko et al. 2019), from 0 to 1."""
    precision, recall = (pair.to_true < threshold).mean(), (pair.to_found < threshold).mean()
    return 2 * precision * recall / max(precision + recall, 1e-12)


def f_score_1(pair):
    """The F-score at 1 % of the longest side."""
    return f_score(pair, 0.01)


def f_score_2(pair):
    """The F-score at 2 % of the longest side."""
    return f_score(pair, 0.02)


def normal_consistency(pair):
    """The mean of both surfaces' mean |cosine| between a point's normal and its neighbour's (Mescheder et al. 2019)."""
    return (pair.agreement_true.mean() + pair.agreement_found.mean()) / 2


def depth_error(pair):
    """The mean difference of distances, in per cent of the longest side, of pixels that meet a surface in both."""
    both = np.isfinite(pair.truth) & np.isfinite(pair.prediction)
    return 100 * (np.abs(pair.truth[both] - pair.prediction[both]).mean() if both.any() else WORST)


def silhouette_iou(pair):
    """Intersection over union of the pixels that meet a surface; 1 where neither has any."""
    truth, prediction = np.isfinite(pair.truth), np.isfinite(pair.prediction)
    union = (truth | prediction).sum()
    return (truth & prediction).sum() / union if union else 1.0


def sample_surface(vertices, faces, count, random):
    """`count` points (N,3) spread evenly over triangles, and their unit normals (N,3).

    random  numpy Generator
    """
    corner, one, two = (vertices[faces[:, i]] for i in range(3))
    one, two = one - corner, two - corner
    normal = np.cross(one, two)
    length = np.linalg.norm(normal, axis=1)
    total = np.cumsum(length)
    place = np.sort(random.random(count)) * total[-1]  # face by face: rays to neighbours are traced faster
    face = np.minimum(np.searchsorted(total, place, side="right"), len(faces) - 1)
    share = random.random((count, 2))
    share = np.where(share.sum(axis=1, keepdims=True) > 1, 1 - share, share)
    points = corner[face] + share[:, :1] * one[face] + share[:, 1:] * two[face]
    return points, normal[face] / np.maximum(length[face], 1e-300)[:, None]


def sample_seen(triangles, images):
    """Up to POINTS points (N,3), spread evenly over the part of Triangles that PosedImages see; their normals (N,3)."""
    random = np.random.default_rng(0)
    found, count, tried, batch = [], 0, 0, POINTS
    while batch:
        points, normals = sample_surface(triangles.vertices, triangles.faces, batch, random)
        seen = triangles.seen(points, images, normals)
        found.append((points[seen], normals[seen]))
        count, tried = count + int(seen.sum()), tried + batch
        batch = int(1.05 * tried * (POINTS - count) / max(count, 1)) + 1 if count < POINTS else 0
        batch = min(batch, CANDIDATES * POINTS - tried)
    points, normals = (np.concatenate(part) for part in zip(*found, strict=True))
    chosen = np.sort(random.permutation(len(points))[:POINTS])
    return points[chosen], normals[chosen]


def along_a_curve(points, normals):
    """Points (N,3) and their normals in an order in which neighbours are near (Morton 1966): searches go faster."""
    low = points.min(axis=0)
    cell = ((points - low) * (63.99 / max(np.ptp(points, axis=0).max(), 1e-300))).astype(np.int64)
    order = np.argsort((spread_bits(cell, 6) << np.arange(3)).sum(axis=1), kind="stable")
    return points[order], normals[order]


def pair_surfaces(found, true, side):
    """The SurfacePair of points and normals found and true, whose longest side is `side`.

    All is worst where one of the two has no point.
    """
    from scipy.spatial import cKDTree

    if not len(found[0]) or not len(true[0]):
        return SurfacePair(*(np.full(1, value) for value in (WORST, WORST, 0.0, 0.0)))
    (points, normals), (true_points, true_normals) = along_a_curve(*found), along_a_curve(*true)
    to_true, near_true = cKDTree(true_points, LEAF, balanced_tree=False).query(points)
    to_found, near_found = cKDTree(points, LEAF, balanced_tree=False).query(true_points)
    return SurfacePair(
        to_true / side,
        to_found / side,
        np.abs((normals * true_normals[near_true]).sum(axis=1)),
        np.abs((true_normals * normals[near_found]).sum(axis=1)),
    )


@dataclass
class Geometry:
    """The source mesh of an object, and what its field makes of it.

    vertices, faces  the source's solid triangles in the world of the views, see source_mesh.source_surface
    training         PosedImages that the field was trained on: they say what can be seen
    predictions      folder of render_views.py, with the depths of the test views and the density lattice
    """

    vertices: np.ndarray
    faces: np.ndarray
    training: PosedImages
    predictions: Path

    @cached_property
    def side(self):
        """The source's longest side, in world units."""
        return float(np.ptp(self.vertices[self.faces].reshape(-1, 3), axis=0).max())

    @cached_property
    def triangles(self):
        """The source mesh to shoot rays at."""
        from obj2ngp.surface.rays import Triangles

        return Triangles(self.vertices, self.faces)

    @cached_property
    def surfaces(self):
        """The SurfacePair of the field's surface and the source's, of what the training views see. Raises UserError."""
        from obj2ngp.surface.extraction import extract
        from obj2ngp.surface.rays import Triangles

        surface = extract(load_lattice(self.predictions / LATTICE), self.training)
        found = sample_seen(Triangles(surface.vertices, surface.faces), self.training) if surface else ([], [])
        return pair_surfaces(found, sample_seen(self.triangles, self.training), self.side)

    def depths(self, views, index):
        """The DepthPair of the test view number `index` of PosedImages. Raises UserError."""
        from obj2ngp.surface.rays import pixel_rays
        from obj2ngp.views.picture_files import read_picture

        height, width = views.rgba.shape[1:3]
        rows, columns = np.divmod(np.arange(height * width), width)
        rays = pixel_rays(views.pose[index], views.focal, views.center, rows, columns)
        truth = self.triangles.first_hit(*rays)[0].reshape(height, width)
        path = self.predictions / f"{views.names[index]}{DEPTH_SUFFIX}.png"
        steps = read_picture(path)
        if steps.dtype != np.uint16 or steps.shape != truth.shape:
            raise UserError(f"{path}: shape {steps.shape} of {steps.dtype}, expected {truth.shape} of uint16")
        prediction = np.where(steps > 0, steps * DEPTH_UNITS_PER_STEP, np.inf)
        return DepthPair(truth / self.side, prediction / self.side)


def read_geometry(model, transforms, predictions):
    """The Geometry of an object: its .obj file, transforms_train.json of its views, and its renders. Raises UserError.

    The record beside the training views says how the model lies in their world.
    """
    from obj2ngp.scene.source_mesh import source_surface
    from obj2ngp.views.reading import read_images

    training = read_images(transforms)
    vertices, faces = source_surface(model, transforms.parent / "train" / "record.json")
    return Geometry(vertices, faces, training, folder_of(predictions))
