"""The mesh that is rendered: mended, centred, scaled, doubled faces made one. No Blender."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from obj2ngp.common.cameras import focal_length
from obj2ngp.common.files import UserError
from obj2ngp.scene.cameras import camera_poses, largest_visible_sphere
from obj2ngp.scene.mesh import UP, build_mesh
from obj2ngp.scene.obj_file import read_obj
from obj2ngp.scene.problems import Problems
from obj2ngp.scene.settings import Cameras, Settings
from scene_helpers import BOX_FACES, box_corners, sphere, write_obj

QUAD = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)


def build(path, textured=False, up="Y", scale=0.9, sphere_radius=None, **policy):
    obj = read_obj(path)
    problems = Problems(Settings(**policy))
    mesh = build_mesh(obj, path, np.full(len(obj.materials) + 1, textured), up, scale, sphere_radius, problems)
    return mesh, problems.warnings


@given(
    st.integers(0, 2**32 - 1), st.sampled_from(["Y", "Z"]), st.floats(0.1, 1), st.floats(-4, 4), st.floats(-100, 100)
)
def test_centred_with_the_longest_side_asked_for(tmp_path_factory, seed, up, scale, exponent, shift):
    points = np.random.default_rng(seed).random((9, 3)) * 10**exponent + shift
    points[0] = 1e6  # a vertex that no face uses does not count
    path = write_obj(tmp_path_factory.mktemp("box") / "box.obj", points, [(None, [[2, 3, 4, 5], [6, 7, 8, 9]])])
    mesh, _ = build(path, up=up, scale=scale)
    np.testing.assert_allclose(mesh.corners.max(axis=0) + mesh.corners.min(axis=0), 0, atol=1e-9)
    assert (mesh.corners.max(axis=0) - mesh.corners.min(axis=0)).max() == pytest.approx(scale)
    written = read_obj(path).positions[1:]
    np.testing.assert_allclose(mesh.corners, mesh.scale * written @ UP[up].T + mesh.translation, atol=1e-9)


@given(st.integers(0, 2**32 - 1), st.floats(0.6, 4), st.floats(20, 90), st.integers(16, 300), st.integers(16, 300))
def test_no_camera_cuts_the_object(tmp_path_factory, seed, radius, fov, width, height):
    random = np.random.default_rng(seed)
    points = box_corners(random.uniform(0.05, 1, 3))
    path = write_obj(tmp_path_factory.mktemp("fit") / "box.obj", points, [(None, BOX_FACES)])
    cameras = Cameras("uniform", elevation=(-90, 90), radius=radius, fov=fov)
    mesh, _ = build(path, sphere_radius=largest_visible_sphere(cameras, (width, height)))
    focal = focal_length(width, np.radians(fov))
    for pose in camera_poses(cameras, 10, seed):
        x, y, z = (np.linalg.inv(pose) @ np.c_[mesh.corners, np.ones(len(mesh.corners))].T)[:3]
        assert (z < 0).all()
        assert np.abs(focal * x / z).max() < width / 2 and np.abs(focal * y / z).max() < height / 2


def test_objects_that_fit_keep_their_scale(tmp_path):
    path = write_obj(tmp_path / "long.obj", box_corners((1, 0.4, 0.4)), [(None, BOX_FACES)])
    mesh, _ = build(path, sphere_radius=largest_visible_sphere(Cameras(), (128, 128)))
    assert mesh.scale == pytest.approx(0.9)


def doubled(path, points, faces, shift=0.0):
    """A model whose faces all have a copy with other points, the other winding and another material."""
    copies = [list(np.roll(np.array(face)[::-1], i) + len(points)) for i, face in enumerate(faces)]
    return write_obj(path, np.vstack([points, np.array(points) + shift]), [("outer", faces), ("inner", copies)])


def test_doubled_faces_become_one_with_a_look_for_each_side(tmp_path):
    points, faces = sphere()
    plain, _ = build(write_obj(tmp_path / "plain.obj", points, [("outer", faces)]))
    mesh, _ = build(doubled(tmp_path / "doubled.obj", points, faces, shift=1e-7))
    assert mesh.statistics["twin_faces"] == 2 * len(faces) == mesh.statistics["faces"]
    assert mesh.statistics["faces_drawn"] == len(faces) and mesh.statistics["repeated_faces"] == 0
    assert mesh.looks == [((0, False), (1, False))]
    np.testing.assert_allclose(mesh.corners, plain.corners, atol=1e-6)
    np.testing.assert_allclose(mesh.normals, plain.normals, atol=1e-5)  # smooth as without the copies


def test_faces_without_a_twin_look_the_same_from_both_sides(tmp_path):
    path = write_obj(
        tmp_path / "mixed.obj", QUAD, [("a", [[1, 2, 3]]), ("b", [[3, 2, 1], [1, 3, 4]]), ("a", [[2, 3, 1]])]
    )
    mesh, _ = build(path)
    assert [mesh.looks[i] for i in mesh.face_look] == [((0, False), (1, False)), ((1, False), None)]
    assert mesh.statistics["twin_faces"] == 2 and mesh.statistics["repeated_faces"] == 1


def test_a_bow_tie_does_not_take_the_quad_with_the_same_corners_along(tmp_path):
    """Its two halves are wound against each other, so that it has no area and is not drawn."""
    path = write_obj(tmp_path / "bow_tie.obj", QUAD, [("a", [[1, 3, 2, 4]]), ("b", [[1, 2, 3, 4]])])
    mesh, _ = build(path)
    assert mesh.statistics["faces_drawn"] == 1 and mesh.statistics["faces_without_area"] == 1
    assert mesh.statistics["repeated_faces"] == 0 and mesh.looks == [((1, False), None)]


def test_each_side_has_its_own_texture_coordinates(tmp_path):
    texcoords = [[0, 0], [0.5, 0], [0.5, 1], [0, 1], [0.5, 0], [1, 0], [1, 1], [0.5, 1]]
    path = write_obj(
        tmp_path / "sheet.obj",
        QUAD,
        [("a", [["1/1", "2/2", "3/3", "4/4"]]), (None, [["3/7", "2/6", "1/5", "4/8"]])],
        texcoords,
    )
    mesh, _ = build(path, textured=True)
    np.testing.assert_array_equal(mesh.uv, texcoords[:4])
    np.testing.assert_array_equal(mesh.back_uv, texcoords[4:])
    assert mesh.looks == [((0, True), (0, True))]


def test_normals_of_the_file_are_used_where_they_make_sense(tmp_path):
    tilted, wrong = np.array([0.1, 0, 1]), np.array([1, 0, 0])
    text = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
    text += "".join("vn {} {} {}\n".format(*normal) for normal in (3 * tilted, -tilted, wrong, (0, 0, 0)))
    path = tmp_path / "normals.obj"
    path.write_text(text + "f 1//1 2//2 3//3 4//4\n")
    mesh, _ = build(path, up="Z")
    unit = tilted / np.linalg.norm(tilted)
    np.testing.assert_allclose(mesh.normals, [unit, unit, [0, 0, 1], [0, 0, 1]], atol=1e-12)
    assert mesh.statistics["corners_with_file_normal"] == 2


def test_textured_faces_without_coordinates_get_the_plain_colour(tmp_path):
    path = write_obj(tmp_path / "sheet.obj", QUAD, [("a", [["1/1", "2/1", "3"], ["1/1", "3/1", "4/1"]])], [[0, 0]])
    mesh, warnings = build(path, textured=True)
    assert [mesh.looks[i] for i in mesh.face_look] == [((0, False), None), ((0, True), None)]
    assert any("1 textured faces without texture coordinates" in warning for warning in warnings)


@pytest.mark.parametrize(
    "value, reason", [("nan nan nan", r"vertex 4 at \(nan, nan, nan\)"), ("inf 0 0", "inf"), ("1e30 0 0", "1e\\+30")]
)
def test_broken_vertices_are_an_error_or_left_out(tmp_path, value, reason):
    path = tmp_path / "broken.obj"
    path.write_text(f"v 0 0 0\nv 1 0 0\nv 1 1 0\nv {value}\nf 1 2 3\nf 1 3 4\n")
    with pytest.raises(UserError, match=f"broken.obj: 1 of 2 faces are broken.*face 2.*{reason}.*broken_faces: warn"):
        build(path)
    mesh, warnings = build(path, broken_faces="warn")
    assert mesh.statistics["faces_drawn"] == 1 and mesh.statistics["broken_faces"] == 1 and len(warnings) == 1
    assert np.isfinite(mesh.corners).all()


@pytest.mark.parametrize(
    "face, reason",
    [
        ("f 1 2 9", "a vertex that does not exist"),
        ("f 1 2 -7", "a vertex that does not exist"),
        ("f 1 2 0", "a vertex that does not exist"),
        ("f 1 2", "fewer than three corners"),
    ],
)
def test_broken_faces_are_an_error(tmp_path, face, reason):
    path = tmp_path / "broken.obj"
    path.write_text(f"v 0 0 0\nv 1 0 0\nv 1 1 0\nf 1 2 3\n{face}\n")
    with pytest.raises(UserError, match=reason):
        build(path)


@pytest.mark.parametrize(
    "size, place, reason",
    [
        (1e-30, 0, r"too small where it is: its longest side is 1e-30, around \(0, 0, 0\)"),
        (1e-3, 1e7, r"longest side is 0.001, around \(1e\+07, 0, 0\)"),
        (1e-8, 0, None),
        (1e-3, 5e5, None),
    ],
)
def test_what_the_record_could_not_say_is_refused(tmp_path, size, place, reason):
    path = tmp_path / "quad.obj"
    corners = (size * (QUAD - QUAD.mean(axis=0)) + [place, 0, 0]).tolist()
    path.write_text("".join("v {!r} {!r} {!r}\n".format(*corner) for corner in corners) + "f 1 2 3 4\n")
    if reason is None:
        assert np.isfinite(build(path)[0].corners).all()
        return
    with pytest.raises(UserError, match=reason):
        build(path)


@pytest.mark.parametrize("faces, reason", [("f 1 2 9\n", "no usable face"), ("f 1 1 1\nf 1 2 2\n", "no area")])
def test_nothing_to_draw_is_always_an_error(tmp_path, faces, reason):
    path = tmp_path / "nothing.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\n" + faces)
    with pytest.raises(UserError, match=reason):
        build(path, broken_faces="warn")
