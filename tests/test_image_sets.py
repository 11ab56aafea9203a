"""Image sets of other programs: each layout gives the trainer the same views, and what cannot be right is refused."""

import json

import imageio.v3 as iio
import numpy as np
import pytest

import export
from ball import RADIUS, around
from export_scene import write_results
from image_set_scene import (
    MIDDLE,
    SIZE,
    TEST_POSES,
    assert_same,
    edit,
    focal,
    images,
    imported,
    over,
    record,
    refused,
    write_ball,
    write_pose_folder,
    write_single,
)
from obj2ngp.common.files import UserError
from obj2ngp.views.formats import READERS, read_set
from obj2ngp.views.importing import import_set
from obj2ngp.views.kinds import KINDS, recognise
from obj2ngp.views.pictures import truth_on_white
from obj2ngp.views.reading import read_images
from obj2ngp.views.settings import Settings
from obj2ngp.views.writing import WRITERS, read_views

# Every layout


def test_every_kind_has_a_reader():
    assert set(READERS) == set(KINDS) and set(WRITERS) <= set(KINDS)


@pytest.mark.parametrize("layout", WRITERS)
def test_what_is_written_in_a_layout_is_brought_in_as_it_was(tmp_path, layout):
    """The same poses, bytes of pictures, and order; the same names but for NSVF's prefixes."""
    splits = write_ball(tmp_path / "renders", name="r_{}")
    views = read_views(tmp_path / "renders", {"scale": 1.25, "offset": [0.5, 0.5, 0.5]})
    (tmp_path / "set").mkdir()
    WRITERS[layout](views, tmp_path / "set", "ball")
    source = tmp_path / "set/objects_train/ball" if layout == "srn" else tmp_path / "set"
    assert recognise(str(source)) == layout
    read = imported(source, tmp_path / "out")
    assert_same(read, splits)
    assert record(tmp_path / "out")["source"]["kind"] in (layout, "instant-ngp")
    for split in splits:
        for file in (tmp_path / "renders" / split).glob("*.png"):
            [copy] = (tmp_path / "out" / split).glob(f"*{file.name}")
            assert copy.read_bytes() == file.read_bytes()
    if layout == "nsvf":
        assert read["train"].scale == pytest.approx(1.25)


def test_the_cube_of_rendered_views_is_kept(tmp_path):
    write_ball(tmp_path / "renders", placed=True)
    views = read_views(tmp_path / "renders", {"scale": 7, "offset": [0, 0, 0]})
    assert views.cube == {"scale": 1.0, "offset": [0.5] * 3}
    for layout in ("nerf-synthetic", "nerfstudio", "tutorial", "nsvf"):
        (tmp_path / layout).mkdir()
        WRITERS[layout](views, tmp_path / layout, "ball")
        read = imported(tmp_path / layout, tmp_path / "out" / layout)
        assert read["test"].scale == pytest.approx(1) and read["test"].offset == pytest.approx(0.5)


def test_nsvf_needs_a_box(tmp_path):
    write_ball(tmp_path)
    with pytest.raises(UserError, match="nsvf: needs a box"):
        WRITERS["nsvf"](read_views(tmp_path), tmp_path / "set", "ball")


@pytest.mark.parametrize("split", ["train", "test"])
def test_views_that_lie_behind_a_broken_link_are_not_left_out_silently(tmp_path, split):
    write_ball(tmp_path)
    (tmp_path / f"transforms_{split}.json").rename(tmp_path / "moved.json")
    (tmp_path / f"transforms_{split}.json").symlink_to("nothing")
    with pytest.raises(UserError, match=f"transforms_{split}.json: No such file"):
        read_views(tmp_path)


def test_views_without_those_to_train_on_are_refused(tmp_path):
    write_ball(tmp_path)
    (tmp_path / "transforms_train.json").unlink()
    with pytest.raises(UserError, match="transforms_train.json: No such file"):
        read_views(tmp_path)


def test_what_is_no_set_is_refused_by_name(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    for path in (tmp_path, tmp_path / "notes.txt", tmp_path / "none"):
        with pytest.raises(UserError, match=r"no known image set \(known: nerf-synthetic, .*srn\)"):
            read_set(path)


def test_a_stated_kind_is_read_as_such(tmp_path):
    write_ball(tmp_path / "set")
    refused(tmp_path / "set", tmp_path / "out", "rgb: No such file or directory", kind="nsvf")
    write_single(tmp_path / "set", images(TEST_POSES))
    assert len(imported(tmp_path / "set", tmp_path / "out", kind="get3d")["test"]) == 1
    assert record(tmp_path / "out")["source"]["kind"] == "get3d"


@pytest.mark.parametrize("layout", WRITERS)
def test_exports_of_views(tmp_path, layout):
    """The rule's program; NSVF's box is the model's."""
    results = write_results(tmp_path / "chair", scale=0.5, offset=(0.5, 0.4, 0.5))
    out = results / "export" / layout
    export.main(["--object", "chair", "--format", layout, "--results", str(results), "--out", str(out)])
    read = read_set(out / "objects_train/chair" if layout == "srn" else out)
    assert [frame.split for frame in read.frames] == ["train"] * 3 + ["test"] * 3
    assert all(frame.file.read_bytes() for frame in read.frames)
    if layout == "nsvf":
        np.testing.assert_allclose(read.box, [[-1, -0.8, -1], [1, 1.2, 1]])


# NeRF-synthetic


def test_genuine_nerf_synthetic(tmp_path):
    """Only `camera_angle_x`; more pictures in test/ than views; colours under alpha 0."""
    splits = write_ball(tmp_path / "set")
    splits["val"] = images(around(3))
    splits["val"].rgba[splits["val"].rgba[..., 3] == 0] = (9, 8, 7, 0)
    for split, views in splits.items():
        poses = [[*pose.tolist(), [0.0, 0.0, 0.0, 1.0]] for pose in views.pose]
        frames = [
            {"file_path": f"./{split}/r_{i}", "rotation": 0.01, "transform_matrix": pose}
            for i, pose in enumerate(poses)
        ]
        (tmp_path / "set" / split).mkdir(exist_ok=True)
        for i, rgba in enumerate(views.rgba):
            iio.imwrite(tmp_path / "set" / split / f"r_{i}.png", rgba)
            iio.imwrite(tmp_path / "set" / split / f"r_{i}_depth_0001.png", rgba)
        angle = 2 * np.arctan(0.5 * SIZE / focal())
        content = json.dumps({"camera_angle_x": angle, "frames": frames})
        (tmp_path / "set" / f"transforms_{split}.json").write_text(content)
    out = tmp_path / "out"
    assert_same(imported(tmp_path / "set", out, splits), splits)
    assert {file.name for file in (out / "test").iterdir()} == {"record.json", *(f"r_{i}.png" for i in range(5))}


def test_smaller_pictures_than_stated(tmp_path):
    """As a set of 800x800 that somebody has made 400x400."""
    path = write_single(tmp_path, images(), fl_x=2 * focal(), fl_y=2 * focal(), cx=30, cy=34, w=2 * SIZE, h=2 * SIZE)
    read = imported(tmp_path, tmp_path / "out")["train"]
    assert read.focal == pytest.approx(focal()) and read.center == pytest.approx((15, 17))
    edit(path, lambda content: content.update(h=SIZE))
    refused(tmp_path, tmp_path / "out2", "32x32 pixels, which is not the stated 64x32 made smaller")


def test_file_paths_with_and_without_suffix(tmp_path):
    path = write_single(tmp_path, images())
    edit(path, lambda content: content["frames"][0].update(file_path="images\\000"))
    edit(path, lambda content: content["frames"][1].update(file_path=str(tmp_path / "images/001.png")))
    (tmp_path / "images/002.png").rename(tmp_path / "images/v0.5_0.png")
    edit(path, lambda content: content["frames"][2].update(file_path="./images/v0.5_0"))
    read = imported(path, tmp_path / "out")
    assert sum(map(len, read.values())) == 12


def test_names_that_collide_become_numbers(tmp_path):
    path = write_single(tmp_path, images())
    for index in (0, 1):
        (tmp_path / f"camera{index}").mkdir()
        (tmp_path / f"images/00{index}.png").rename(tmp_path / f"camera{index}/a.png")
        edit(path, lambda content, i=index: content["frames"][i].update(file_path=f"camera{i}/a.png"))
    edit(
        path,
        lambda content: content.update(
            test_filenames=["images/011.png"], train_filenames=[frame["file_path"] for frame in content["frames"][:11]]
        ),
    )
    assert imported(tmp_path, tmp_path / "out")["train"].names == [f"{i:03d}" for i in range(11)]


@pytest.mark.parametrize("name", [".hidden.png", "...png", "a.jpg.png"])
@pytest.mark.parametrize("pack", [False, True])
def test_names_that_would_be_hidden_or_have_two_suffixes_become_numbers(tmp_path, name, pack):
    path = write_single(tmp_path, images())
    (tmp_path / "images/000.png").rename(tmp_path / "images" / name)
    edit(path, lambda content: content["frames"][0].update(file_path=f"images/{name}"))
    import_set("ball", tmp_path, Settings(), tmp_path / "out", pack=pack)
    assert sum(len(read_images(tmp_path / f"out/transforms_{split}.json")) for split in ("train", "test")) == 12


# NSVF and SRN


INTRINSICS = f"{focal()} {MIDDLE} {MIDDLE} 0.\n0. 0. 0.\n0.\n1.\n{SIZE} {SIZE}\n"
MATRIX = f"{focal()} 0 {MIDDLE} 0\n0 {focal()} {MIDDLE} 0\n0 0 1 0\n0 0 0 1\n"


@pytest.mark.parametrize("intrinsics", [INTRINSICS, MATRIX, f"{2 * focal()} {SIZE} {SIZE} 0.\n0. 0. 0.\n0.\n1.\n"])
def test_genuine_nsvf(tmp_path, intrinsics):
    """With what else lies in such folders; intrinsics as lines, as a matrix, and for larger pictures."""
    wanted = {"train": images(), "val": images(around(3)), "test": images(TEST_POSES)}
    for digit, views in enumerate(wanted.values()):
        write_pose_folder(tmp_path, views, intrinsics, prefix=f"{digit}_")
    (tmp_path / "bbox.txt").write_text("-0.4 -0.4 -0.4 0.4 0.4 0.4 0.1\n")
    (tmp_path / "test_traj.txt").write_text("1 0 0 0\n")
    (tmp_path / "near_and_far.txt").write_text("0.5 3\n")
    read = imported(tmp_path, tmp_path / "out", wanted)
    assert_same(read, wanted)
    assert read["train"].scale == pytest.approx(1 / 0.8) and record(tmp_path / "out")["warnings"] == []


def test_a_box_that_cuts_the_object_is_made_larger(tmp_path):
    """As that of NSVF's lego is."""
    write_pose_folder(tmp_path, images(), INTRINSICS, prefix="0_")
    (tmp_path / "bbox.txt").write_text("-0.3 -0.3 -0.3 0.3 0.3 0.3 0.1\n")
    read = imported(tmp_path, tmp_path / "out")["train"]
    assert RADIUS < 0.5 / read.scale < 1.25 * RADIUS and read.offset == pytest.approx(0.5, abs=0.05)
    assert "cuts the object" in record(tmp_path / "out")["warnings"][0]
    (tmp_path / "bbox.txt").write_text("1 1 1 2 2 2 0.1\n")
    assert imported(tmp_path, tmp_path / "out")["train"].scale is None
    (tmp_path / "bbox.txt").write_text("1 1 1 2 2\n")
    refused(tmp_path, tmp_path / "out2", "bbox.txt: no lower and upper corner")


def test_two_prefixes_are_training_and_test(tmp_path):
    """As in NSVF's sets of photographs."""
    for digit, views in enumerate([images(), images(TEST_POSES)]):
        write_pose_folder(tmp_path, views, INTRINSICS, prefix=f"{digit}_")
    read = imported(tmp_path, tmp_path / "out")
    assert (len(read["train"]), len(read["test"])) == (12, 5) and not (tmp_path / "out/val").exists()


@pytest.mark.parametrize("inverted", [False, True])
def test_genuine_srn(tmp_path, inverted):
    """White background, poses in one line, no splits; world-to-camera where the fifth line says so."""
    views = images()
    folder = tmp_path / "cars_train" / "abc"
    lines = f"{focal()} {MIDDLE} {MIDDLE} 0.\n0. 0. 0.\n1.\n{SIZE} {SIZE}\n" + ("1\n" if inverted else "")
    write_pose_folder(folder, over(views, 255), lines, flat=True)
    if inverted:
        for file in (folder / "pose").iterdir():
            np.savetxt(file, np.linalg.inv(np.loadtxt(file).reshape(4, 4)))
    read = imported(folder, tmp_path / "out")
    assert (len(read["train"]), len(read["test"])) == (10, 2)
    whole = dict(zip(views.names, zip(views.pose, views.rgba, strict=True), strict=True))
    for split in read.values():
        for name, pose, rgba in zip(split.names, split.pose, split.rgba, strict=True):
            np.testing.assert_allclose(pose, whole[name[1:]][0], atol=1e-6)
            np.testing.assert_array_equal(truth_on_white(rgba), truth_on_white(whole[name[1:]][1]))
            assert (rgba[..., 3] == 0)[whole[name[1:]][1][..., 3] == 0].all()


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda f: (f / "pose/0003.txt").write_text("1 2 3\n"), ["0003.txt: 3 numbers, no 4x4 matrix"]),
        (lambda f: (f / "pose/0003.txt").write_text("nan " * 16), ["0003.txt: not finite"]),
        (lambda f: (f / "pose/0003.txt").write_text("2 " * 16), ["0003.txt: not a rotation"]),
        (lambda f: (f / "pose/0003.txt").write_text("one"), ["0003.txt: could not convert"]),
        (lambda f: (f / "pose/0003.txt").write_bytes(b"\xff"), ["0003.txt: not UTF-8"]),
        (lambda f: (f / "pose/0003.txt").unlink(), ["0003.png: there is no pose/0003.txt"]),
        (lambda f: (f / "rgb/0003.png").unlink(), ["1 of 12 images do not exist", "0003.png"]),
        (lambda f: (f / "intrinsics.txt").write_text(""), ["intrinsics.txt: no numbers"]),
        (lambda f: (f / "intrinsics.txt").write_text("1 2\n"), ["intrinsics.txt: neither a matrix nor"]),
        (lambda f: (f / "intrinsics.txt").write_text("-9 16 16 0\n"), ["intrinsics.txt: fl_x: -9"]),
        (lambda f: (f / "intrinsics.txt").write_text("9 -1e300 16 0\n"), ["intrinsics.txt: cx: -1e+300"]),
        (lambda f: (f / "bbox.txt").symlink_to("nothing"), ["bbox.txt: No such file"]),
        (lambda f: [file.unlink() for file in (f / "pose").iterdir()], ["pose: no poses"]),
    ],
)
def test_what_is_wrong_in_a_folder_of_poses_is_named(tmp_path, change, words):
    write_pose_folder(tmp_path / "set", images(), INTRINSICS)
    change(tmp_path / "set")
    refused(tmp_path / "set", tmp_path / "out", *words)
