"""Polygons as flat arrays: normals, coincident points, doubled faces, smooth shading. All of it plain numpy.

Faces are given by ``face_start`` (F + 1,): face f has the corners face_start[f] to face_start[f + 1] - 1.
"""

import itertools
import math

import numpy as np

MERGE_TOLERANCE = 1e-6  # of the diagonal: closer points are one
CREASE_ANGLE = math.radians(35)  # faces that meet at a smaller angle are shaded as one smooth surface
MOST_FACES_AROUND_A_POINT = 512  # smoothing compares all pairs of faces around a point; more stay flat


def face_of_corner(face_start):
    """The face (C,) that each corner belongs to."""
    return np.repeat(np.arange(len(face_start) - 1), np.diff(face_start))


def next_corner(face_start):
    """The corner (C,) that follows each corner around its face."""
    following = np.arange(1, face_start[-1] + 1)
    following[face_start[1:] - 1] = face_start[:-1]
    return following


def select_corners(face_start, keep):
    """Corners (C,) bool of the faces ``keep`` (F,) bool, and the face_start of what is left."""
    counts = np.diff(face_start)
    return np.repeat(keep, counts), np.concatenate([[0], np.cumsum(counts[keep])])


def area_vectors(corners, face_start):
    """Normals (F, 3) with the faces' area as length, for corner positions (C, 3) (Newell's method)."""
    relative = corners - corners[face_start[:-1]][face_of_corner(face_start)]
    cross = np.cross(relative, relative[next_corner(face_start)])
    return 0.5 * np.add.reduceat(cross, face_start[:-1], axis=0)


def normalized(vectors):
    """``vectors`` (N, 3) with length 1; zero and non-finite ones become zero."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    unit[~np.isfinite(unit).all(axis=1)] = 0.0
    return unit


def merge_points(points, tolerance=MERGE_TOLERANCE):
    """A number (N,) for each of ``points`` (N, 3), the same for points closer than ``tolerance`` times the diagonal.

    Points share a number where they share a cell of any of eight grids, moved against each other by half a cell of
    twice the tolerance: two points closer than the tolerance on each axis cannot be parted by all of them.
    """
    low = points.min(axis=0)
    diagonal = np.linalg.norm(points.max(axis=0) - low)
    places, label = np.unique(points, axis=0, return_inverse=True)
    label = label.reshape(-1)
    if diagonal == 0:
        return label
    cells = (places - low) / (2 * tolerance * diagonal)
    group = np.arange(len(places))
    while True:
        before = group
        for shift in itertools.product((0.0, 0.5), repeat=3):
            x, y, z = np.floor(cells + shift).astype(np.int64).T
            key = (x << 42) | (y << 21) | z  # at most 1 / (2 * tolerance) + 1 cells on an axis: 20 bits
            order = np.argsort(key, kind="stable")
            first = np.flatnonzero(np.diff(key[order], prepend=-1))
            smallest = np.minimum.reduceat(group[order], first)
            group = group.copy()
            group[order] = np.repeat(smallest, np.diff(np.append(first, len(order))))
        if (group == before).all():
            return group[label]


def first_round(corner_point, face_start):
    """Corners (C,) bool that leave one round of each face that goes around the same points several times.

    ``corner_point`` (C,): numbers from merge_points.
    """
    keep = np.ones(len(corner_point), bool)
    face = face_of_corner(face_start)
    order = np.lexsort((corner_point, face))
    new = np.diff(corner_point[order], prepend=-1) != 0
    new[face_start[:-1]] = True
    distinct = np.add.reduceat(new, face_start[:-1], dtype=np.int64)
    for f in np.flatnonzero(np.diff(face_start) >= 2 * distinct):
        begin, end, round_length = face_start[f], face_start[f + 1], distinct[f]
        if (corner_point[begin + round_length : end] == corner_point[begin : end - round_length]).all():
            keep[begin + round_length : end] = False
    return keep


def find_twins(corner_point, face_start, face_normal):
    """Which faces lie on one another, and which of two such is the other's back.

    ``corner_point`` (C,) numbers from merge_points. Returns ``front`` (F,) bool, the first face of each set that has
    the same edges, whatever its first corner and direction, and ``back`` (F,): for such a face, the first one of its
    set that is wound the other way, or -1. The other faces of the set are copies that nobody can see.

    The same points are not enough: a bow-tie has those of a quad. Sets of edges are compared by the sum of a random
    64-bit number for each edge (Zobrist 1970), the product of two odd ones for its points: two of a million different
    faces agree with a probability below 1e-6.
    """
    faces = len(face_start) - 1
    numbers = np.random.Generator(np.random.PCG64(0)).integers(
        0, 2**64 - 1, size=corner_point.max() + 1, dtype=np.uint64
    )
    number = numbers[corner_point] | np.uint64(1)
    key = np.add.reduceat(number * number[next_corner(face_start)], face_start[:-1])
    _, first, member = np.unique(key, return_index=True, return_inverse=True)
    leader = first[member.reshape(-1)]
    front = leader == np.arange(faces)
    opposed = np.einsum("ij,ij->i", face_normal, face_normal[leader]) < 0
    back = np.full(faces, -1)
    candidates = np.flatnonzero(opposed)[::-1]  # reversed, so that the first one is written last
    back[leader[candidates]] = candidates
    return front, back


def matching_corners(corner_point, face_start, face, other):
    """For each corner of the faces ``face`` (K,), in order, the corner of ``other`` (K,) at the same point."""
    by_point = np.lexsort((corner_point, face_of_corner(face_start)))  # sorts within each face
    counts = np.diff(face_start)[face]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    mine = by_point[np.repeat(face_start[face], counts) + within]
    theirs = by_point[np.repeat(face_start[other], counts) + within]
    match = np.empty(face_start[-1], np.int64)
    match[mine] = theirs
    return match[np.repeat(face_start[face], counts) + within]


def corner_angles(corners, face_start):
    """The inner angle (C,) in radians of each face at each of its corners."""
    following = next_corner(face_start)
    ahead = normalized(corners[following] - corners)
    behind = np.empty_like(ahead)
    behind[following] = -ahead
    return np.arccos(np.clip(np.einsum("ij,ij->i", ahead, behind), -1.0, 1.0))


def smooth_normals(corners, corner_point, face_start, face_normal, pairs_at_once=2000000):
    """Shading normals (C, 3): the mean, weighted by angle, of the faces around the point within the crease angle.

    Faces are taken as sheets without a preferred side (n and -n are one), so that neighbours that are wound the other
    way smooth as they should, and each normal points to the side of its own face.
    """
    face = face_of_corner(face_start)
    weight = corner_angles(corners, face_start)
    result = face_normal[face].copy()
    order = np.argsort(corner_point, kind="stable")
    start = np.flatnonzero(np.diff(corner_point[order], prepend=-1))
    size = np.diff(np.append(start, len(order)))
    busy = np.repeat((size > 1) & (size <= MOST_FACES_AROUND_A_POINT), size)
    mine = np.flatnonzero(busy)  # places in `order`
    partners, partner_start = np.repeat(size, size)[mine], np.repeat(start, size)[mine]
    total = np.cumsum(partners)
    limit = math.cos(CREASE_ANGLE)
    begin = 0
    while begin < len(mine):
        done = total[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(total, done + pairs_at_once, side="right")))
        count, first = partners[begin:end], partner_start[begin:end]
        place = np.cumsum(count) - count
        other = order[np.arange(count.sum()) + np.repeat(first - place, count)]
        me = order[mine[begin:end]]
        normal = face_normal[face[other]]
        cosine = np.einsum("ij,ij->i", normal, np.repeat(face_normal[face[me]], count, axis=0))
        share = np.where(np.abs(cosine) >= limit, np.sign(cosine) * weight[other], 0.0)
        mean = normalized(np.add.reduceat(share[:, None] * normal, place, axis=0))
        found = mean.any(axis=1)
        result[me[found]] = mean[found]
        begin = end
    return result
