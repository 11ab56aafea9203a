"""render.py in a real Blender: pictures, files, and what happens to bad input.

By default with the bpy module of the project; with ``-m blenders`` with all other supported versions.
"""

import json
import math
import re
import subprocess

import imageio.v3 as iio
import numpy as np
import OpenEXR
import pytest

from blender_versions import VERSIONS, command
from obj2ngp.common.files import UserError
from scene_helpers import (
    BLENDER_PYTHON,
    BOX_FACES,
    CUBE,
    ROOT,
    WHITE,
    box_corners,
    from_side,
    sphere,
    textured_cube,
    write_model,
    write_png,
)

pytestmark = pytest.mark.slow

SIDES = [(0, 0), (90, 0), (180, 0), (270, 0), (0, 90), (0, -90)]
SHEET = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)  # seen from +z of a z-up file


COLORS = "newmtl red\nKd .8 .1 .1\nnewmtl blue\nKd .1 .1 .8\n"


@pytest.fixture
def cube(tmp_path):
    return write_model(tmp_path / "cube", CUBE, [("white", BOX_FACES)], WHITE)


@pytest.fixture
def white_sphere(tmp_path):
    points, faces = sphere(rings=24, segments=48)
    return write_model(tmp_path / "sphere", points, [("white", faces)], WHITE)


# ---------------------------------------------------------------- files


def test_pictures_cameras_and_record_agree(blender, tmp_path):
    """The model's vertices, taken through record and camera file, bound the silhouette that Blender drew."""
    points = box_corners((1, 2, 3), (10, -5, 3)) @ np.array([[0.8, 0.6, 0], [-0.6, 0.8, 0], [0, 0, 1]])
    model = write_model(tmp_path, points, [("white", BOX_FACES)], WHITE)
    rendered = blender.render(model, views=3, resolution=[96, 64], split="val", cameras={"radius": 3})
    assert rendered.images.shape == (3, 64, 96, 4)
    world = np.array(rendered.record["normalization"]["matrix"]) @ np.c_[points, np.ones(8)].T
    assert np.ptp(world, axis=1)[:3].max() == pytest.approx(0.9)
    file = rendered.transforms
    assert [frame["file_path"] for frame in file["frames"]] == ["./val/000", "./val/001", "./val/002"]
    assert file["near"] == pytest.approx(3 - math.sqrt(0.75)) and file["far"] == pytest.approx(3 + math.sqrt(0.75))
    assert file["fl_x"] == pytest.approx(48 / math.tan(file["camera_angle_x"] / 2))
    for pose, image in zip(rendered.poses, rendered.images, strict=True):
        x, y, z, _ = np.linalg.inv(pose) @ world
        column, row = file["cx"] - file["fl_x"] * x / z, file["cy"] + file["fl_y"] * y / z
        rows, columns = np.nonzero(image[..., 3])
        np.testing.assert_allclose([rows.min(), columns.min()], [row.min(), column.min()], atol=1.01)
        np.testing.assert_allclose([rows.max() + 1, columns.max() + 1], [row.max(), column.max()], atol=1.01)


def test_record(blender, cube):
    record = blender.render(cube, split="test", name="box", seed=3, resolution=[16, 16]).record
    assert (record["object"], record["model"], record["split"]) == ("box", "model.obj", "test")
    assert re.match(r"\d+\.\d+", record["versions"]["blender"])
    assert record["settings"]["seed"] == 3 and record["settings"]["cameras"]["radius"] == 1.5
    assert record["cycles"] == {"device": "CPU", "samples": 64}
    assert record["mesh"]["faces"] == 6 and record["mesh"]["twin_faces"] == 0
    assert record["warnings"] == []


def test_presets(blender, cube):
    cycles = [blender.render(cube, preset=p, resolution=[16, 16]).record["cycles"] for p in ("draft", "high")]
    assert [used["samples"] for used in cycles] == [16, 256]


def test_with_one_thread_the_threads_that_wait_take_no_core(blender, cube):
    """They asked the system for their turn all the time, as far as there were idle cores."""
    begin = blender.core_seconds()
    blender.render(cube, views=4, resolution=[128, 128], threads=1)
    own, of_system = blender.core_seconds() - begin
    assert of_system < 0.1 * own


def test_same_seed_same_pixels(blender, cube):
    """Whatever the number of threads, and down to the bytes of the files."""
    first = blender.render(cube, views=2)
    again = blender.render(cube, views=2, threads=1)
    other = blender.render(cube, views=2, seed=1)
    np.testing.assert_array_equal(first.images, again.images)
    for name in ("000.png", "001.png"):
        assert (first.folder / name).read_bytes() == (again.folder / name).read_bytes()
    assert (first.images != other.images).any() and (first.poses != other.poses).any()


def test_nerfbaselines_is_told_how_to_read_the_set(blender, cube):
    """Once for an object, beside its sets, by the pass that every object has."""
    assert not (blender.render(cube, split="val").folder.parent / "nb-info.json").exists()
    told = json.loads((blender.render(cube, name="box").folder.parent / "nb-info.json").read_text())
    assert told["loader"] == "nerfbaselines.datasets.blender:load_blender_dataset" and told["scene"] == "box"
    assert told["depth_range"] == pytest.approx([1.5 - math.sqrt(0.75), 1.5 + math.sqrt(0.75)])


def thin_and_off_centre(tmp_path):
    """A glass sheet that ends in a spike: little of its box is seen, and all of it where it lies edge on."""
    points = np.array([[0, 0, 0], [1, 0.2, 0], [0.1, 0.3, 0], [0.4, 0.1, 2]])
    return write_model(tmp_path, points, [("glass", [[1, 2, 3], [1, 2, 4]])], "newmtl glass\nKd .5 .9 .2\nd .6\n")


@pytest.mark.parametrize(
    "settings",
    [
        {"resolution": [45, 31]},
        {"resolution": [31, 45], "scale": 0.05, "up": "Z"},
        {"cameras": {"radius": 0.7, "elevation": [-90, 90]}, "fit": False},  # cut by the edges
        {"cameras": {"radius": 0.2}, "fit": False, "no_visible_pixel": "warn"},  # from within its box
        {"cameras": {"fov": 100}, "normals": True},
    ],
    ids=["wide", "tall", "cut", "within", "normals"],
)
def test_rendering_only_the_pixels_around_the_object_changes_none(blender, tmp_path, settings):
    """Where depths are asked for, the whole picture is rendered."""
    model = thin_and_off_centre(tmp_path)
    part, whole = (blender.render(model, views=4, preset="draft", depth=depth, **settings) for depth in (False, True))
    assert part.images.any()
    np.testing.assert_array_equal(part.images, whole.images)
    if "normals" in settings:
        for name in ("000.exr", "001.exr"):
            layers, expected = (OpenEXR.File(str(r.folder / name)).channels() for r in (part, whole))
            assert len(layers) == 4 and len(expected) == 5  # the picture, three axes, depth
            for layer in layers:
                np.testing.assert_array_equal(layers[layer].pixels, expected[layer].pixels)


@pytest.mark.parametrize("version", VERSIONS)
def test_only_the_rectangle_is_rendered(version, tmp_path):
    """The pixels that are named, counted from the picture's upper left corner, as in the whole picture; no others."""
    script = ROOT / "tests/rectangle_script.py"
    words = [BLENDER_PYTHON, script] if version == "default" else command(version, script)
    words += ["--"] if "-P" in words else []
    done = subprocess.run(words + [tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    whole, part = (iio.imread(tmp_path / f"{name}.png") for name in ("whole", "part"))
    assert whole.shape == (24, 32, 4) and (whole[..., 3] == 255).all()
    inside = np.zeros((24, 32), bool)
    inside[3:8, 5:21] = True
    np.testing.assert_array_equal(part, np.where(inside[..., None], whole, 0))


def test_depth_and_normals(blender, tmp_path):
    """A wall seen head on: its depth is its distance from the camera's plane all over, its normal faces the camera."""
    model = write_model(tmp_path, SHEET, [("white", [[1, 2, 3, 4]])], WHITE)
    settings = {"cameras": from_side(20, 0), "fit": False}
    rendered = blender.render(model, depth=True, normals=True, **settings)
    plain = blender.render(model, **settings)
    np.testing.assert_array_equal(rendered.images, plain.images)
    channels = OpenEXR.File(str(rendered.folder / "000.exr")).channels()
    depth = channels["ViewLayer.Depth.Z"].pixels
    normal = np.stack([channels[f"ViewLayer.Normal.{axis}"].pixels for axis in "XYZ"], axis=-1)
    inside = rendered.images[0, ..., 3] == 255
    # In the world the wall is the plane y = 0, its front towards -y; the camera looks along -(cos 20, sin 20, 0).
    pose = rendered.poses[0]
    focal = rendered.transforms["fl_x"]
    x, y = np.meshgrid((np.arange(32) + 0.5 - 16) / focal, (16 - np.arange(32) - 0.5) / focal)
    directions = np.stack([x, y, -np.ones_like(x)], axis=-1) @ pose[:3, :3].T
    expected = -pose[1, 3] / directions[..., 1]
    assert inside.sum() > 20
    np.testing.assert_allclose(depth[inside], expected[inside], rtol=0.05)
    np.testing.assert_allclose(normal[inside], np.tile([0, 1, 0], (inside.sum(), 1)), atol=1e-3)


def test_outputs_appear_whole_or_not_at_all(blender, cube, tmp_path):
    folder = tmp_path / "out"
    first = blender.render(cube, folder=folder, views=3)
    before = first.images.copy()
    (cube.parent / "model.mtl").write_text("newmtl white\nmap_Kd none.png\n")
    with pytest.raises(UserError):
        blender.render(cube, folder=folder)
    assert sorted(path.name for path in folder.iterdir()) == ["nb-info.json", "train", "transforms_train.json"]
    np.testing.assert_array_equal(np.stack([iio.imread(p) for p in sorted(first.folder.glob("*.png"))]), before)
    (cube.parent / "model.mtl").write_text(WHITE)
    assert len(blender.render(cube, folder=folder, views=2).images) == 2  # none of the three views remains


@pytest.mark.parametrize("version", VERSIONS)
def test_the_program(version, cube, tmp_path):
    """Exit status and output; what stands in the log when all goes well is one line a view."""
    program = ROOT / "workflow_scripts/render.py"
    words = [BLENDER_PYTHON, program] if version == "default" else command(version, program)
    words += ["--"] if "-P" in words else []
    words += ["--object", "box", "--split", "val", "--settings", '{"views": 2, "resolution": [16, 16]}']
    words += ["--images", tmp_path / "val", "--transforms", tmp_path / "transforms_val.json", "--model"]
    done = subprocess.run(words + [cube], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^view \d of 2: .*%.* s$", done.stdout, re.M)) == 2
    assert len(done.stdout.splitlines()) <= 5  # the executable greets and leaves
    assert (tmp_path / "val/001.png").exists() and (tmp_path / "transforms_val.json").exists()
    failed = subprocess.run(words + [tmp_path / "none.obj"], capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr == f"error: object box: {tmp_path}/none.obj: No such file or directory\n"


# ---------------------------------------------------------------- light


def test_no_side_is_black_and_white_keeps_its_shape(blender, white_sphere):
    """From all six sides; a third of the sphere's brightness range is left to tell its shape by."""
    for azimuth, elevation in SIDES:
        colors = blender.render(white_sphere, cameras=from_side(azimuth, elevation), resolution=[48, 48]).colors
        assert (colors == 255).all(axis=1).mean() <= 0.01
        assert colors.min() > 120
    seen_lit = blender.render(white_sphere, cameras=from_side(-50, 40), resolution=[48, 48]).colors
    assert np.ptp(seen_lit.mean(axis=1)) > 25


def test_the_faces_of_a_white_cube_can_be_told_apart(blender, cube):
    shades = [
        float(np.median(blender.render(cube, cameras=from_side(*side), resolution=[16, 16]).colors)) for side in SIDES
    ]
    front, right, back, left, top, bottom = shades
    assert min(shades) > 120 and max(shades) < 252
    assert top > max(front, left) > min(back, right, bottom)


def test_colours_of_materials_come_through(blender, tmp_path):
    """Albedo 1/5 in light of one: under the key light alone, facing it, a surface shows its own colour."""
    model = write_model(tmp_path, SHEET, [("grey", [[1, 2, 3, 4]])], "newmtl grey\nKd .2 .4 .6\n")
    rendered = blender.render(
        model, up="Z", cameras=from_side(0, 90), light={"environment": 1, "key": 0}, resolution=[8, 8]
    )
    linear = np.array([0.2, 0.4, 0.6])
    srgb = 255 * (1.055 * linear ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(rendered.colors.mean(axis=0), srgb, atol=2)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 0.5, 0.3), (1, 1, 0.02)])
def test_nothing_is_cut_at_the_edge(blender, tmp_path, shape):
    model = write_model(tmp_path, box_corners(shape), [("white", BOX_FACES)], WHITE)
    rendered = blender.render(model, views=8, resolution=[64, 64], preset="draft", cameras={"elevation": [-90, 90]})
    border = np.concatenate([rendered.images[:, [0, -1]].ravel(), rendered.images[:, :, [0, -1]].ravel()])
    assert not border.any() and rendered.record["warnings"] == []
    cut = blender.render(model, preset="draft", cameras=from_side(45, 0, radius=0.8), fit=False)
    assert any("edge cuts the object in view 000" in warning for warning in cut.record["warnings"])


# ---------------------------------------------------------------- doubled faces


def bowl(folder, faces_of):
    """The lower half of a sphere, z up; ``faces_of(faces, copies)`` gives the groups, with outer faces and copies."""
    points, faces = sphere(rings=6, segments=24, lowest=-90, highest=0)
    points = points[:, [0, 2, 1]] * [1, -1, 1]
    copies = [list(np.roll(np.array(face)[::-1], i) + len(points)) for i, face in enumerate(faces)]
    noise = np.random.default_rng(0).uniform(-1e-7, 1e-7, points.shape)
    return write_model(folder, np.vstack([points, points + noise]), faces_of(faces, copies), COLORS)


@pytest.mark.parametrize("first", ["outer", "inner"])
def test_each_copy_of_a_doubled_face_is_seen_from_its_own_side(blender, tmp_path, first):
    """As the same bowl without copies, all blue from below and all red from above, pixel by pixel."""

    def both(faces, copies):
        groups = [("blue", faces), ("red", copies)]
        return groups if first == "outer" else groups[::-1]

    doubled = bowl(tmp_path / "doubled", both)
    for color, elevation in (("blue", -90), ("red", 90)):
        single = bowl(tmp_path / color, lambda faces, copies, color=color: [(color, faces)])
        settings = {"up": "Z", "cameras": from_side(30, elevation), "resolution": [48, 48], "preset": "high"}
        expected, got = (blender.render(model, **settings) for model in (single, doubled))
        assert got.record["mesh"]["twin_faces"] == got.record["mesh"]["faces"]
        difference = np.abs(expected.images.astype(int) - got.images)
        assert difference.mean() < 0.5 and np.percentile(difference, 99.5) <= 8
        assert (got.images[..., 3] > 0).mean() > 0.15


def test_plain_faces_are_seen_from_both_sides(blender, tmp_path):
    model = write_model(tmp_path, SHEET, [("red", [[1, 2, 3, 4]])], COLORS)
    for elevation in (90, -90):
        colors = blender.render(model, up="Z", cameras=from_side(0, elevation)).colors
        assert len(colors) > 100 and (colors[:, 0] > 2 * colors[:, 2]).all()


def test_each_side_shows_its_own_part_of_the_texture(blender, tmp_path):
    write_png(tmp_path / "halves.png", [[[200, 40, 40]] * 8 + [[40, 40, 200]] * 8])
    texcoords = [[0.1, 0], [0.2, 0], [0.2, 1], [0.1, 1], [0.8, 0], [0.9, 0], [0.9, 1], [0.8, 1]]
    model = write_model(
        tmp_path,
        SHEET,
        [("m", [["1/1", "2/2", "3/3", "4/4"], ["4/8", "3/7", "2/6", "1/5"]])],
        "newmtl m\nmap_Kd halves.png\n",
        texcoords=texcoords,
    )
    above, below = (blender.render(model, up="Z", cameras=from_side(0, side)).colors for side in (90, -90))
    assert (above[:, 0] > 2 * above[:, 2]).all() and (below[:, 2] > 2 * below[:, 0]).all()


@pytest.mark.parametrize("doubled", [False, True])
def test_transparent_faces_count_once(blender, tmp_path, doubled):
    faces = [[1, 2, 3, 4], [2, 1, 4, 3]] if doubled else [[1, 2, 3, 4]]
    model = write_model(tmp_path, SHEET, [("glass", faces)], "newmtl glass\nKd .3 .6 .3\nd .5\n")
    rendered = blender.render(model, up="Z", cameras=from_side(0, 90), preset="high")
    alpha = rendered.images[0, 14:18, 14:18, 3]
    assert abs(alpha.mean() - 127.5) < 4 and np.ptp(alpha) < 60


def test_a_transparent_bottle_is_visible(blender, tmp_path):
    """A closed body of d 0.5 has two walls on each ray: alpha 1 - 0.5 * 0.5."""
    points, faces = sphere()
    model = write_model(tmp_path, points, [("glass", faces)], "newmtl glass\nKd .3 .6 .3\nTr .5\n")
    image = blender.render(model, preset="high").images[0]
    assert abs(image[12:20, 12:20, 3].mean() / 255 - 0.75) < 0.03


# ---------------------------------------------------------------- materials and textures


def test_textures_of_a_shapenet_v2_model(blender, tmp_path):
    write_png(tmp_path / "images/Red Oak.PNG", np.full((4, 4, 3), [200, 30, 30]))
    model = textured_cube(tmp_path / "models", r"map_Kd ..\images\red oak.png", "model_normalized.obj")
    colors = blender.render(model).colors
    assert (colors[:, 0] > 2 * colors[:, 1]).all() and colors[:, 0].mean() > 100


def test_texture_coordinates_are_scaled_and_moved(blender, tmp_path):
    """Half the coordinates, moved by a half: only the right upper quarter of the image, which is green."""
    image = np.full((8, 8, 3), [200, 30, 30])
    image[:4, 4:] = [30, 200, 30]
    write_png(tmp_path / "quarters.png", image)
    model = textured_cube(tmp_path, "map_Kd -s .4 .4 1 -o .55 .55 -clamp on quarters.png")
    colors = blender.render(model).colors
    assert (colors[:, 1] > 2 * colors[:, 0]).mean() > 0.99


def test_opacity_textures(blender, tmp_path):
    mask = np.zeros((8, 8, 4))
    mask[:, :4] = 255  # the left half is opaque white
    write_png(tmp_path / "mask.png", mask)
    texcoords = [[0, 0], [1, 0], [1, 1], [0, 1]]
    model = write_model(
        tmp_path,
        SHEET,
        [("m", [["1/1", "2/2", "3/3", "4/4"]])],
        "newmtl m\nKd 1 1 1\nmap_d mask.png\n",
        texcoords=texcoords,
    )
    alpha = blender.render(model, up="Z", cameras=from_side(-90, 90), fit=False).images[0, ..., 3]
    assert alpha[16, 12] == 255 and alpha[16, 20] == 0


def test_vertex_colours_without_a_material(blender, tmp_path):
    path = tmp_path / "colors.obj"
    path.write_text(
        "".join("v {} {} {} .2 .9 .2\n".format(*p) for p in CUBE)
        + "".join("f {} {} {} {}\n".format(*face) for face in BOX_FACES)
    )
    colors = blender.render(path).colors
    assert (colors[:, 1] > 2 * colors[:, 0]).all()
