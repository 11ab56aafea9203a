"""Coincident points, doubled faces, normals: each against a slow and obvious version or a known shape. No Blender."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counting import calls
from obj2ngp.scene import geometry
from scene_helpers import BOX_FACES, box_corners, sphere


def flat(faces):
    """face_start and corner indices (zero-based) of one-based corner lists."""
    return np.cumsum([0] + [len(face) for face in faces]), np.concatenate(faces) - 1


def normals_of(points, faces):
    start, corner = flat(faces)
    return geometry.normalized(geometry.area_vectors(points[corner], start))


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from([1e-3, 1.0, 1e6]), st.floats(-1e3, 1e3))
def test_points_are_merged_within_the_tolerance(seed, count, size, shift):
    """Copies off by half the tolerance are one point wherever they lie; points ten tolerances apart are not."""
    random = np.random.default_rng(seed)
    tolerance = 1e-6
    points = np.vstack([[0, 0, 0], [1, 1, 1], random.random((count, 3))]) / np.sqrt(3)
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2) + np.eye(len(points))
    points = points[(np.triu(gaps, 1) + np.tril(np.ones_like(gaps)) > 10 * tolerance).all(axis=0)]
    owner = np.concatenate([np.arange(len(points)), random.integers(0, len(points), 2 * count)])
    copies = points[owner] + random.uniform(-0.25, 0.25, (len(owner), 3)) * tolerance
    label = geometry.merge_points(copies * size + shift * size, tolerance)
    np.testing.assert_array_equal(label[:, None] == label[None], owner[:, None] == owner[None])


@given(st.integers(0, 2**32 - 1))
def test_twins_of_any_polygons_in_any_order(seed):
    """Random polygons among few points, some copied with another first corner, some of the copies turned over."""
    random = np.random.default_rng(seed)
    points = random.random((9, 3))
    faces = []
    for _ in range(random.integers(1, 8)):
        faces.append(list(random.choice(9, random.integers(3, 6), replace=False) + 1))
        for _ in range(random.integers(0, 3)):
            copy = list(np.roll(faces[random.integers(len(faces))], random.integers(5)))
            faces.append(copy[::-1] if random.random() < 0.5 else copy)
    order = random.permutation(len(faces))
    faces = [faces[i] for i in order]
    normal = normals_of(points, faces)
    start, corner = flat(faces)
    front, back = geometry.find_twins(corner, start, normal)
    edges = [sorted(sorted(edge) for edge in zip(face, np.roll(face, -1), strict=True)) for face in faces]
    for i in range(len(faces)):
        same = [j for j in range(len(faces)) if edges[j] == edges[i]]
        opposed = [j for j in same if normal[j] @ normal[same[0]] < 0]
        assert front[i] == (i == same[0])
        assert back[i] == (opposed[0] if front[i] and opposed else -1)
    pairs = np.flatnonzero(back >= 0)
    if len(pairs):
        match = geometry.matching_corners(corner, start, pairs, back[pairs])
        mine = np.concatenate([np.arange(start[i], start[i + 1]) for i in pairs])
        np.testing.assert_array_equal(corner[match], corner[mine])
        np.testing.assert_array_equal(
            np.searchsorted(start, match, "right") - 1, np.repeat(back[pairs], np.diff(start)[pairs])
        )


def test_a_bow_tie_is_no_twin_of_the_quad_with_the_same_corners():
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    faces = [[1, 3, 2, 4], [1, 2, 3, 4], [4, 3, 2, 1]]
    start, corner = flat(faces)
    front, back = geometry.find_twins(corner, start, normals_of(points, faces))
    assert front.tolist() == [True, True, False] and back.tolist() == [-1, 2, -1]


def test_area_vectors_of_known_polygons():
    square = np.array([[0, 0, 5], [2, 0, 5], [2, 2, 5], [0, 2, 5]], float)
    arrow = np.array([[0, 0, 0], [2, 0, 0], [2, 2, 0], [1, 1, 0]], float)  # area: half of 2 x 2, a quarter bitten out
    vectors = geometry.area_vectors(np.concatenate([square, square[::-1], arrow]), np.array([0, 4, 8, 12]))
    np.testing.assert_allclose(vectors, [[0, 0, 4], [0, 0, -4], [0, 0, 2]], atol=1e-12)


def test_a_face_that_goes_around_several_times_is_cut_to_one_round():
    start, corner = flat([[1, 2, 3, 4] * 5, [1, 2, 3], [1, 2, 3, 1, 3, 2]])
    keep = geometry.first_round(corner, start)
    np.testing.assert_array_equal(np.flatnonzero(~keep), np.arange(4, 20))


def smooth(points, faces):
    start, corner = flat(faces)
    face_normal = normals_of(points, faces)
    return geometry.smooth_normals(points[corner], corner, start, face_normal, pairs_at_once=50), corner, face_normal


@pytest.mark.parametrize("mixed", [False, True])
def test_a_sphere_is_smooth_however_its_faces_are_wound(mixed):
    points, faces = sphere()
    faces = [face[::-1] if mixed and i % 3 == 0 else face for i, face in enumerate(faces)]
    normals, corner, face_normal = smooth(points, faces)
    outwards = normals * np.sign(np.einsum("ij,ij->i", normals, points[corner]))[:, None]
    assert np.einsum("ij,ij->i", outwards, points[corner]).min() > np.cos(np.radians(3))
    own = face_normal[np.repeat(np.arange(len(faces)), [len(face) for face in faces])]
    assert np.einsum("ij,ij->i", normals, own).min() > 0.9  # each on its own face's side


def test_a_box_keeps_its_edges():
    normals, _, face_normal = smooth(box_corners(), BOX_FACES)
    np.testing.assert_allclose(normals, np.repeat(face_normal, 4, axis=0), atol=1e-12)


def test_a_thin_blade_keeps_its_edge():
    """Two faces that meet at 2 degrees are not taken for one flat surface."""
    points = np.array([[0, 0, 0], [0, 1, 0], [1, 0, 0.0175], [1, 0, -0.0175]], float)
    normals, _, face_normal = smooth(points, [[1, 3, 2], [1, 2, 4]])
    assert np.einsum("ij,ij->i", normals, np.repeat(face_normal, 3, axis=0)).min() > np.cos(np.radians(2))


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200))
def test_the_size_of_the_chunks_does_not_matter(seed, pairs_at_once):
    points = np.random.default_rng(seed).random((12, 3))
    faces = [list(np.random.default_rng(seed + i).choice(12, 3, replace=False) + 1) for i in range(30)]
    start, corner = flat(faces)
    arguments = points[corner], corner, start, normals_of(points, faces)
    np.testing.assert_allclose(
        geometry.smooth_normals(*arguments, pairs_at_once=pairs_at_once), geometry.smooth_normals(*arguments)
    )


def test_two_hundred_thousand_faces():
    """As many as would exhaust time and memory if each were compared with each."""
    points, quads = sphere(rings=100, segments=1000)
    start, corner = flat(quads + [face[::-1] for face in quads])
    point = geometry.merge_points(points)[corner]
    corners = points[corner]
    front, back = geometry.find_twins(point, start, geometry.normalized(geometry.area_vectors(corners, start)))
    assert front.sum() == len(quads) and (back[: len(quads)] == np.arange(len(quads)) + len(quads)).all()


def test_more_faces_make_no_more_calls():
    """All is done on whole arrays, so that 200,000 faces take about a second."""

    def work(segments):
        points, quads = sphere(rings=20, segments=segments)
        start, corner = flat(quads + [face[::-1] for face in quads])

        def find_twins():
            point = geometry.merge_points(points)[corner]
            corners = points[corner]
            return geometry.find_twins(point, start, geometry.normalized(geometry.area_vectors(corners, start)))

        front, back = find_twins()
        assert front.sum() == len(quads) and (back[: len(quads)] == np.arange(len(quads)) + len(quads)).all()
        return calls(find_twins)

    assert work(200) == work(50)
