"""Reading .obj and .mtl files as the world writes them, and finding what they name. No Blender."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counting import calls
from obj2ngp.common.files import UserError
from obj2ngp.common.provenance import Job
from obj2ngp.common.records import FILE, read_records
from obj2ngp.scene.lookup import find_file, model_root
from obj2ngp.scene.mtl_file import parse_texture, read_mtl
from obj2ngp.scene.obj_file import read_obj
from obj2ngp.scene.palette import read_palette
from obj2ngp.scene.problems import LONGEST, Problems
from obj2ngp.scene.rendering import require_room
from obj2ngp.scene.settings import Settings
from scene_helpers import BOX_FACES, box_corners, write_obj

TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"


def obj_of(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "model.obj"
    path.write_bytes(text.encode(encoding))
    return read_obj(path)


def mtl_of(tmp_path, text):
    path = tmp_path / "model.mtl"
    path.write_text(text)
    return read_mtl(path)


def test_corners_of_every_form(tmp_path):
    obj = obj_of(
        tmp_path,
        TRIANGLE + "vt 0 0\nvt 1 1 0\nvn 0 0 1\n"
        "f 1 2 3\nf 1/2 2/1 3/2\nf 1//1 2//1 3//1\nf 1/1/1 2/2/1 3/1/1\nf -3/-1 -2/ -1//-1 # mixed\n",
    )
    np.testing.assert_array_equal(obj.corner_position.reshape(5, 3), [[0, 1, 2]] * 5)
    np.testing.assert_array_equal(
        obj.corner_texcoord.reshape(5, 3), [[-1] * 3, [1, 0, 1], [-1] * 3, [0, 1, 0], [1, -1, -1]]
    )
    np.testing.assert_array_equal(obj.corner_normal.reshape(5, 3), [[-1] * 3, [-1] * 3, [0] * 3, [0] * 3, [-1, -1, 0]])


@given(st.data())
def test_negative_indices_mean_the_same_as_positive_ones(tmp_path_factory, data):
    """Faces stand between the vertices, so that the place in the file matters."""
    lines, expected, total = [], [], 0
    for _ in range(data.draw(st.integers(1, 5))):
        added = data.draw(st.integers(3, 6))
        lines += [f"v {i} 0 0" for i in range(added)]
        total += added
        face = data.draw(st.lists(st.integers(1, total), min_size=3, max_size=6))
        signs = data.draw(st.lists(st.booleans(), min_size=len(face), max_size=len(face)))
        lines.append("f " + " ".join(str(i - total - 1 if minus else i) for i, minus in zip(face, signs, strict=True)))
        expected += [i - 1 for i in face]
    obj = obj_of(tmp_path_factory.mktemp("negative"), "\n".join(lines))
    np.testing.assert_array_equal(obj.corner_position, expected)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be-bom", "latin-1"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path, encoding, line_end):
    text = "# Möbel\nmtllib Möbel.mtl\n" + TRIANGLE + "usemtl grün \nf 1 2 \\\n 3\n"
    data = text.replace("\n", line_end)
    if encoding == "utf-16-be-bom":
        data, encoding = "\ufeff" + data, "utf-16-be"
    obj = obj_of(tmp_path, data, encoding)
    assert obj.libraries == ["Möbel.mtl"] and obj.materials == ["grün"]
    np.testing.assert_array_equal(obj.corner_position, [0, 1, 2])


def test_what_a_v_line_may_hold(tmp_path):
    plain = obj_of(tmp_path, TRIANGLE + "f 1 2 3\n")
    weighted = obj_of(tmp_path, TRIANGLE.replace("\n", " 1.0\n") + "f 1 2 3\n")
    colored = obj_of(tmp_path, TRIANGLE.replace("\n", " 1 .5 0\n") + "f 1 2 3\n")
    assert plain.colors is None and weighted.colors is None
    np.testing.assert_array_equal(colored.colors, [[1, 0.5, 0]] * 3)
    np.testing.assert_array_equal(colored.positions, plain.positions)


def test_materials_hold_until_the_next_and_lines_are_counted(tmp_path):
    obj = obj_of(
        tmp_path,
        TRIANGLE + "f 1 2 3\nusemtl a\ng one\nf 1 2 3\nf 1 2 3\no two\nusemtl Material #25\nusemtl b\nf 1 2 3\n"
        "l 1 2\nl 2 3\nusemtl a\nf 1 2 3\n",
    )
    assert [obj.materials[i] if i >= 0 else None for i in obj.face_material] == [None, "a", "a", "b", "a"]
    assert obj.materials == ["a", "Material #25", "b"]
    assert obj.line_elements == 2


@pytest.mark.parametrize("word", ["nan", "-nan", "NaN", "1.#QNAN", "-1.#IND", "1.#INF", "inf", "-Infinity", "1e999"])
def test_non_finite_coordinates_are_read_as_such(tmp_path, word):
    obj = obj_of(tmp_path, f"v 0 {word} 0 # comment\n" + TRIANGLE + "f 1 2 3\n")
    np.testing.assert_array_equal(np.isfinite(obj.positions), [[True, False, True]] + [[True] * 3] * 3)


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "no faces"),
        (TRIANGLE, "no faces"),
        (bytes(range(256)).decode("latin-1") * 20, "no faces"),
        (TRIANGLE + "v 1 x 2\nf 1 2 3\n", "malformed line 'v 1 x 2'"),
        (TRIANGLE + "v 1 2\nf 1 2 3\n", "malformed line 'v 1 2'"),
        (TRIANGLE + "f 1 2 3\nf 1 two 3\n", "malformed line 'f 1 two 3'"),
        (TRIANGLE + "f 1 2.5 3\n", "malformed line 'f 1 2.5 3'"),
        (TRIANGLE + "f 1/1/1/1 2 3\n", "malformed line 'f 1/1/1/1 2 3'"),
    ],
)
def test_what_is_no_model_is_refused_with_file_and_reason(tmp_path, text, reason):
    with pytest.raises(UserError, match="model.obj.*" + reason.replace(".", r"\.")):
        obj_of(tmp_path, text)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="none.obj: No such file"):
        read_obj(tmp_path / "none.obj")


def test_what_the_machine_has_no_room_for_is_refused_with_the_figure(tmp_path, monkeypatch):
    model = write_obj(tmp_path / "box.obj", box_corners(), [(None, BOX_FACES)])
    obj = read_obj(model)
    monkeypatch.setattr("obj2ngp.common.memory.memory_limit", lambda: 3 * 10**9)
    require_room(obj, Settings(), model)
    with pytest.raises(UserError, match=r"box.obj: 6 faces in pictures of 8192x8192: 3.4 GB .* needed, 3.0 GB are"):
        require_room(obj, Settings(resolution=(8192, 8192)), model)
    obj.corner_position = np.zeros(10**7, np.int8)
    with pytest.raises(UserError, match=r"5.0 GB of memory needed, 3.0 GB are there"):
        require_room(obj, Settings(), model)


def test_what_the_address_space_has_no_room_for_is_refused_with_the_figure(tmp_path, monkeypatch):
    """Blender would crash."""
    model = write_obj(tmp_path / "box.obj", box_corners(), [(None, BOX_FACES)])
    obj = read_obj(model)
    monkeypatch.setattr("resource.getrlimit", lambda which: (10**15, 10**15))
    require_room(obj, Settings(), model)
    monkeypatch.setattr("resource.getrlimit", lambda which: (10**8, 10**8))
    with pytest.raises(UserError, match=r"box.obj: 6 faces in pictures of 128x128: .* GB of address space needed"):
        require_room(obj, Settings(), model)


@given(
    st.floats(0, 10),
    st.floats(-5, 5),
    st.booleans(),
    st.sampled_from(["wood.png", "two words.png", "-odd.png", "9.png", "a/b c/d.jpg", r"a\b.png"]),
)
def test_texture_statements(scale, offset, clamp, name):
    texture = parse_texture(f"-s {scale} {scale} 1 -o {offset} -bm 0.2 -clamp {'on' if clamp else 'off'} {name}")
    assert texture.scale == (scale, scale) and texture.offset == (offset, 0) and texture.clamp == clamp
    assert texture.reference == name
    assert parse_texture(name).reference == name


def test_material_statements(tmp_path):
    materials = mtl_of(
        tmp_path,
        "Kd 1 0 0\nnewmtl Shiny White # 2\n\tKd 1 .5 0 # orange\n\tKs .2 .4 .6\nNs 250\nKe 0 0 1\n d -halo .25\nTr 0\n"
        "newmtl Glass\nTr .75\nmap_Kd tex 1.png\nmap_d mask.png\nnewmtl grey\nKd .5\nrefl x\nbump -bm 2 b.png\n",
    )
    white, glass, grey = (materials[name] for name in ("Shiny White # 2", "Glass", "grey"))
    assert white.color == (1, 0.5, 0) and white.specular == pytest.approx(0.4) and white.shininess == 250
    assert white.emission == (0, 0, 1) and white.opacity == 0.25
    assert glass.opacity == 0.25 and glass.texture.reference == "tex 1.png"
    assert glass.opacity_texture.reference == "mask.png"
    assert grey.color == (0.5, 0.5, 0.5) and grey.used_textures() == []


@pytest.fixture
def shapenet(tmp_path):
    """A ShapeNet v2 model's folder with another model beside it."""
    for name in ("images/wood.png", "images/Sub Folder/Steel.PNG", "models/near.png", "textures/cloth.jpg"):
        path = tmp_path / "root/02958343/one" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "secret.png").touch()
    return tmp_path / "root/02958343/one/models/model_normalized.obj"


@pytest.mark.parametrize(
    "reference, found",
    [
        ("../images/wood.png", "images/wood.png"),
        (r"..\images\WOOD.PNG", "images/wood.png"),
        ("wood.png", "images/wood.png"),
        ("./near.png", "models/near.png"),
        ("model://one/images/wood.png", "images/wood.png"),
        ("file:///home/someone/one/images/wood.png", "images/wood.png"),
        (r"C:\Users\me\wood.png", "images/wood.png"),
        ("/elsewhere/images/sub folder/steel.png", "images/Sub Folder/Steel.PNG"),
        ("images/cloth.jpg", "textures/cloth.jpg"),
        ("oak.png", None),
        ("../images", None),
        ("../../../../secret.png", None),
    ],
)
def test_textures_are_found_where_they_are(shapenet, reference, found):
    root = shapenet.parents[1]
    assert find_file(reference, shapenet, shapenet) == (found and str(root / found))


def test_nothing_outside_the_root_is_read(shapenet, tmp_path):
    assert model_root(shapenet) == str(tmp_path / "root/02958343")
    assert find_file(str(tmp_path / "secret.png"), shapenet, shapenet) is None


@pytest.mark.parametrize(
    "reference, noted",
    [
        ("near.png", "models/near.png"),
        ("oak.png", "models/oak.png"),
        (r"..\images\oak.png", "images/oak.png"),
        ("../../../oak.png", None),
        ("/dev/zero", None),
        ("/", None),
        ("..", None),
        ("pipe.png", None),
        ("loop.png", None),
        ("oak\0.png", None),
        ("o" * 252 + ".png", None),
        ("d/" * 2000 + "oak.png", None),
    ],
)
@pytest.mark.parametrize("statement", ["mtllib", "map_Kd"])
def test_of_what_is_not_found_the_place_is_noted_where_it_could_be(shapenet, statement, reference, noted):
    """So that it is seen when it comes; what is no file, or lies outside the root, is not even looked at."""
    folder, root = shapenet.parent, shapenet.parents[1]
    os.mkfifo(folder / "pipe.png")
    (folder / "loop.png").symlink_to("loop.png")
    library = reference if statement == "mtllib" else "paint.mtl"
    (folder / "paint.mtl").write_text(f"newmtl paint\nmap_Kd {reference}\n")
    shapenet.write_text(f"mtllib {library}\nusemtl paint\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    job = Job(root / FILE, "render_train", "render", {}, [])
    warn = Problems(Settings(missing_texture="warn", missing_material="warn"))
    read_palette(read_obj(shapenet), str(shapenet), {0}, warn, job.uses)
    job.finish()
    files = set(read_records(root / FILE)["render_train"]["files"]) - {str(folder / "paint.mtl")}
    assert files == ({str(root / noted)} if noted else set())


def test_what_is_said_of_a_model_has_an_end():
    problems = Problems(Settings(missing_material="warn"))
    problems.report("missing_material", "oak, " * 10**6)
    assert len(problems.warnings[0]) <= LONGEST
    with pytest.raises(UserError) as error:
        problems.report("missing_texture", "oak, " * 10**6)
    assert len(str(error.value)) <= LONGEST + 60


def test_the_root_of_a_shallow_model_is_not_the_whole_disk():
    assert model_root("/data/models/chair.obj") == model_root("/data/chair.obj") == "/data"


def test_reading_takes_work_in_proportion_to_the_file(tmp_path):
    """So that a file of 100,000 faces is read in about a second."""

    def work(count):
        points = np.random.default_rng(0).random((count, 3))
        corners = np.random.default_rng(1).integers(1, count, (count, 3))
        path = write_obj(tmp_path / "large.obj", points, [(None, corners)])
        obj = read_obj(path)
        np.testing.assert_array_equal(obj.corner_position, corners.ravel() - 1)
        np.testing.assert_allclose(obj.positions, points, rtol=1e-8)
        return calls(read_obj, path)

    assert work(2000) < 2.1 * work(1000)
