"""Image sets of other programs: each layout gives the trainer the same views, and what cannot be right is refused."""

import dataclasses
import json

import imageio.v3 as iio
import numpy as np
import pytest

import export
from ball import RADIUS, around, ball_images, ball_pose
from export_scene import write_results
from image_set_scene import (
    OPENCV,
    SIZE,
    TEST_POSES,
    edit,
    focal,
    images,
    imported,
    over,
    record,
    write_ball,
    write_pose_folder,
    write_single,
)
from obj2ngp.common.files import UserError
from obj2ngp.ngp.hull import fit_unit_cube
from obj2ngp.views.formats import READERS, read_set
from obj2ngp.views.importing import import_set
from obj2ngp.views.kinds import KINDS, recognise
from obj2ngp.views.pictures import psnr, truth_on_white
from obj2ngp.views.reading import read_images
from obj2ngp.views.settings import Settings
from obj2ngp.views.writing import WRITERS, read_views

MIDDLE = SIZE / 2


def assert_same(read, wanted):
    for split, views in wanted.items():
        np.testing.assert_array_equal(read[split].rgba, views.rgba)
        np.testing.assert_allclose(read[split].pose, views.pose, atol=1e-6)
        assert read[split].focal == pytest.approx(views.focal) and read[split].center == pytest.approx(views.center)


def refused(source, out, *words, **settings):
    with pytest.raises(UserError) as caught:
        imported(source, out, **settings)
    message = str(caught.value)
    assert message.startswith("object ball: ") and "\n" not in message
    assert all(word in message for word in words), message
    assert not list(out.glob("*/*.png")), "pictures were left behind"


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


# nerfstudio and instant-ngp


def test_splits_of_nerfstudio(tmp_path):
    path = write_single(tmp_path, images())
    names = [f"images/{i:03d}.png" for i in range(12)]
    edit(
        path,
        lambda content: content.update(
            train_filenames=names[:6], val_filenames=names[6:8], test_filenames=["./" + names[9]]
        ),
    )
    read = imported(tmp_path, tmp_path / "out", ("train", "val", "test"))
    assert [views.names for views in read.values()] == [[f"{i:03d}" for i in part] for part in (range(6), (6, 7), (9,))]
    edit(path, lambda content: content.update(val_filenames=["images/none.png"]))
    refused(tmp_path, tmp_path / "out2", "val_filenames: images/none.png is the file_path of no frame")


def test_validation_views_are_for_testing_where_there_are_no_others(tmp_path):
    path = write_single(tmp_path, images())
    names = [f"images/{i:03d}.png" for i in range(12)]
    edit(path, lambda content: content.update(train_filenames=names[:6], val_filenames=names[6:8]))
    assert imported(tmp_path, tmp_path / "out")["test"].names == ["006", "007"]


def test_drawn_test_views_follow_from_the_seed(tmp_path):
    write_single(tmp_path, images())
    drawn = [imported(tmp_path, tmp_path / "out", seed=seed, test_fraction=0.25)["test"].names for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2] and len(drawn[0]) == 3


@pytest.mark.parametrize(
    "content, half, middle",
    [
        ({"aabb": [[-0.4, -0.4, -0.5], [0.4, 0.4, 0.5]]}, 0.5, (0, 0, 0)),
        ({"scale": 0.5, "offset": [0.6, 0.5, 0.5], "aabb_scale": 1}, 1.0, (-0.2, 0, 0)),
        ({"scale": 1, "offset": 0.4, "aabb_scale": 2}, 1.0, (0.1, 0.1, 0.1)),
        ({"offset": [0.5, 0.5, 0.5]}, 0.5 / 0.33, (0, 0, 0)),
    ],
)
def test_the_boxes_of_instant_ngp(tmp_path, content, half, middle):
    write_single(tmp_path, images(), **content)
    read = imported(tmp_path, tmp_path / "out")["train"]
    corners = (np.array([[0, 0, 0], [1, 1, 1]]) - read.offset) / read.scale
    np.testing.assert_allclose(corners, np.array(middle) + [[-half] * 3, [half] * 3], atol=1e-6)


@pytest.mark.parametrize(
    "content, words",
    [
        ({"aabb": [[0, 0, 0], [1, 1]]}, ["aabb: no 2x3 matrix"]),
        ({"aabb": [[0, 0, 0], [1, 1, 0]]}, ["aabb: its first corner is not below"]),
        ({"camera_model": "FISHEYE624"}, ['camera_model: "FISHEYE624" is not one of']),
        ({"equirectangular": True}, ["equirectangular: cameras of this kind"]),
        ({"rolling_shutter": [0, 0, 1, 0]}, ["rolling_shutter: cameras of this kind"]),
        ({"k4": 0.1}, ["k4: a fourth radial coefficient"]),
        ({"distortion_params": [1, 2]}, ["distortion_params: "]),
        ({"k1": "0"}, ['k1: "0" is no number']),
        ({"train_filenames": "all"}, ["train_filenames: no list"]),
        ({"scale": 0}, ["scale: 0"]),
    ],
)
def test_what_is_wrong_in_a_transforms_file_is_named(tmp_path, content, words):
    write_single(tmp_path / "set", images(), **content)
    refused(tmp_path / "set", tmp_path / "out", "transforms.json: ", *words)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda content: content.update(fl_x=9e8), "set: camera_angle_x: 3.5"),
        (lambda content: content["frames"][0].update(fl_x=1e-2), "the cameras are so different"),
        (lambda content: content["frames"][0].update(file_path="/"), "1 of 12 images do not exist: /.png"),
        (lambda content: content["frames"][0].update(file_path="/etc/passwd"), "its format is unknown or damaged"),
    ],
)
def test_cameras_and_pictures_that_nothing_can_be_made_of_are_named(tmp_path, change, words):
    edit(write_single(tmp_path / "set", images()), change)
    refused(tmp_path / "set", tmp_path / "out", words)


def test_one_picture_that_is_ever_so_fine_does_not_fill_the_memory(tmp_path):
    edit(write_single(tmp_path / "set", images()), lambda content: content["frames"][0].update(fl_x=9e8))
    assert len(imported(tmp_path / "set", tmp_path / "out")["train"]) == 10


def test_a_split_that_a_broken_link_leads_to_is_not_left_out_silently(tmp_path):
    write_ball(tmp_path / "set")
    (tmp_path / "set/transforms_test.json").unlink()
    (tmp_path / "set/transforms_test.json").symlink_to("nothing")
    refused(tmp_path / "set", tmp_path / "out", "transforms_test.json: No such file")


def test_missing_pictures_are_listed_or_left_out(tmp_path):
    """As those of instant-ngp's fox."""
    write_single(tmp_path, images())
    for index in range(7):
        (tmp_path / f"images/{index:03d}.png").unlink()
    refused(tmp_path, tmp_path / "out", "7 of 12 images do not exist: images/000.png, images/001.png", "images/006.png")
    read = imported(tmp_path, tmp_path / "out", missing="warn")
    assert sum(map(len, read.values())) == 5
    assert "7 of 12 images do not exist" in record(tmp_path / "out")["warnings"][0]


def test_pictures_that_show_nothing_are_as_good_as_missing(tmp_path):
    views = images()
    views.rgba[4, ..., 3] = 0
    write_single(tmp_path, views)
    refused(tmp_path, tmp_path / "out", "1 of 12 images show nothing of the object", "004.png")
    assert sum(map(len, imported(tmp_path, tmp_path / "out", missing="warn").values())) == 11


# Lenses


def distorted(views, coefficients, fisheye=False):
    """PosedImages as lenses with OpenCV's coefficients take them: pinhole pictures of a finer grid, looked up."""
    import cv2

    size, fine, f = views.rgba.shape[1], 8 * views.rgba.shape[1], views.focal
    pinhole = ball_images([np.vstack([pose, [0, 0, 0, 1]]) for pose in views.pose], size=fine, focal=8 * f)
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).reshape(-1, 1, 2).astype(float)
    matrix = np.array([[f, 0, size / 2 - 0.5], [0, f, size / 2 - 0.5], [0, 0, 1]])
    undistort = cv2.fisheye.undistortPoints if fisheye else cv2.undistortPoints
    ideal = undistort(grid, matrix, np.array(coefficients, float)) * 8 * f + (fine / 2 - 0.5)
    maps = ideal.reshape(size, size, 2).astype(np.float32)
    smooth = [cv2.blur(rgba, (8, 8)) for rgba in pinhole.rgba]
    return dataclasses.replace(views, rgba=np.stack([cv2.remap(rgba, maps, None, cv2.INTER_LINEAR) for rgba in smooth]))


@pytest.mark.parametrize(
    "coefficients, keys, fisheye",
    [
        ((1.0, -1.0, 0.03, -0.02, 0.5), ("k1", "k2", "p1", "p2", "k3"), False),
        ((0.9, -0.2, 0.1, 0.01), ("k1", "k2", "k3", "k4"), True),
    ],
)
def test_lenses_are_undistorted(tmp_path, coefficients, keys, fisheye):
    """The pictures become those of a pinhole, at the object's edges too, to what resampling costs."""
    size = 64
    views = images(around(4), size=size)
    bent = distorted(views, coefficients, fisheye)
    write_single(
        tmp_path,
        bent,
        fl_x=views.focal,
        fl_y=views.focal,
        w=size,
        h=size,
        is_fisheye=fisheye,
        **dict(zip(keys, coefficients, strict=True)),
    )
    read = imported(tmp_path, tmp_path / "out", test_fraction=0.25)
    for split in read.values():
        assert split.rgba.shape[1:3] == (size, size) and split.focal == pytest.approx(views.focal)
        for name, rgba in zip(split.names, split.rgba, strict=True):
            truth, crooked = (truth_on_white(part.rgba[int(name)]) for part in (views, bent))
            assert psnr(truth, truth_on_white(rgba)) > max(30, psnr(truth, crooked) + 5)


def test_cameras_that_differ_become_one(tmp_path):
    """Two zooms, principal points and sizes, and pixels that are not square: the same ball as from one pinhole."""
    views = images(around(6), size=48)
    path = write_single(tmp_path, views)
    for index in (1, 3):
        other = ball_images([np.vstack([views.pose[index], [0, 0, 0, 1]])], size=64, focal=1.15 * views.focal).rgba[0]
        other = np.pad(other, ((0, 8), (0, 0), (0, 0)))  # the picture goes on below
        iio.imwrite(tmp_path / f"images/{index:03d}.png", other)
        own = dict(fl_x=1.15 * views.focal, fl_y=1.15 * views.focal, cx=32, cy=32, w=64, h=72)
        edit(path, lambda content, i=index, own=own: content["frames"][i].update(own))
    squeezed = np.repeat(views.rgba[5], 2, axis=1)
    iio.imwrite(tmp_path / "images/005.png", squeezed)
    edit(path, lambda content: content["frames"][5].update(fl_x=2 * views.focal, fl_y=views.focal, w=96, h=48))
    read = imported(tmp_path, tmp_path / "out", test_fraction=0.2)
    assert record(tmp_path / "out")["pinhole"]["size"] == [48, 48]
    for split in read.values():
        assert split.center == pytest.approx((24, 24))
        ratio = split.focal / views.focal
        assert 1 <= ratio < 1.16
        for name, rgba in zip(split.names, split.rgba, strict=True):
            pose = np.vstack([views.pose[int(name)], [0, 0, 0, 1]])
            truth = ball_images([pose], size=48, focal=split.focal).rgba[0]
            assert psnr(truth_on_white(truth), truth_on_white(rgba)) > 27, name


def test_the_common_picture_is_made_larger_where_it_would_cut_the_object(tmp_path):
    """Crops around the object, whose principal points differ."""
    views = images(around(6), size=48)
    path = write_single(tmp_path, views)
    for index, shift in enumerate((0, 6, -6, 4, 0, 0)):
        moved = np.roll(views.rgba[index], shift, axis=1)
        iio.imwrite(tmp_path / f"images/{index:03d}.png", moved)
        own = dict(fl_x=views.focal, cx=24 + shift, cy=24, w=48, h=48)
        edit(path, lambda content, i=index, own=own: content["frames"][i].update(own))
    read = imported(tmp_path, tmp_path / "out", test_fraction=0.2)
    for split in read.values():
        assert not split.rgba[:, [0, -1], :, 3].any() and not split.rgba[:, :, [0, -1], 3].any()


# Masks and backgrounds


def test_masks(tmp_path):
    views = images()
    path = write_single(tmp_path, over(views, 120))
    (tmp_path / "masks").mkdir()
    for index, rgba in enumerate(views.rgba):
        iio.imwrite(tmp_path / f"masks/{index}.png", rgba[..., 3])
    edit(path, lambda content: [frame.update(mask_path=f"masks/{i}.png") for i, frame in enumerate(content["frames"])])
    read = imported(tmp_path, tmp_path / "out")["train"]
    for name, rgba in zip(read.names, read.rgba, strict=True):
        np.testing.assert_array_equal(rgba[..., 3], views.rgba[int(name)][..., 3])
    edit(path, lambda content: content["frames"][3].pop("mask_path"))
    refused(tmp_path, tmp_path / "out2", "003.png: has no mask")
    edit(path, lambda content: content["frames"][3].update(mask_path="masks/none.png"))
    refused(tmp_path, tmp_path / "out2", "1 of 12 images do not exist", "none.png")
    iio.imwrite(tmp_path / "masks/none.png", np.zeros((4, 4), np.uint8))
    refused(tmp_path, tmp_path / "out2", "none.png: 4x4 pixels, the picture that it is for has 32x32")
    iio.imwrite(tmp_path / "masks/none.png", np.zeros((SIZE, SIZE), np.uint8))
    edit(path, lambda content: content.update(k1=0.01))
    refused(tmp_path, tmp_path / "out2", "1 of 12 images show nothing of the object", "003.png")


def test_alpha_in_files_beside_the_pictures(tmp_path):
    """As instant-ngp has them."""
    views = images()
    write_single(tmp_path, over(views, 120))
    for index, rgba in enumerate(views.rgba):
        iio.imwrite(tmp_path / f"images/{index:03d}.png.alpha.png", rgba[..., 3])
    read = imported(tmp_path, tmp_path / "out")["train"]
    np.testing.assert_array_equal(read.rgba[0, ..., 3], views.rgba[int(read.names[0]), ..., 3])


def test_photographs_with_a_background_are_refused_with_the_reason(tmp_path):
    """Like instant-ngp's fox; JPEG, distorted, more views listed than there are."""
    path = write_single(tmp_path, over(images(), 120), k1=0.05, fl_y=1.001 * focal(), fl_x=focal(), w=SIZE, h=SIZE)
    refused(tmp_path, tmp_path / "out", "opaque and show a background, which the field has no model of")
    assert imported(path, tmp_path / "out", background="none")["train"].rgba.shape == (10, SIZE, SIZE, 4)


@pytest.mark.parametrize("color", [0, 255])
def test_plain_backgrounds_become_transparent(tmp_path, color):
    """A highlight of that colour inside the object stays, a hole becomes transparent."""
    views = over(images(), color)
    views.rgba[0, 12:20, 12:20] = abs(color - 20)
    views.rgba[0, 15:17, 15:17] = color
    views.rgba[1, 13:19, 13:19] = 255 - color
    views.rgba[1, 15:17, 15:17] = color
    write_single(tmp_path, views)
    read = imported(tmp_path, tmp_path / "out")
    found = {name: rgba[..., 3] for split in read.values() for name, rgba in zip(split.names, split.rgba, strict=True)}
    truth = images().rgba[..., 3]
    assert found["000"][15, 15] == 255 and found["001"][15, 15] == 0
    for name, alpha in found.items():
        if name > "001":
            assert (alpha[truth[int(name)] == 0] == 0).all() and (alpha[truth[int(name)] == 255] == 255).all()
    assert record(tmp_path / "out")["background"] == {0: "black", 255: "white"}[color]


# Which way is up, and where the object is


TURNS = {
    "y": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "-z": np.diag([1, -1, -1]),
    "x": np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]]),
}


@pytest.mark.parametrize("up", TURNS)
@pytest.mark.parametrize("stated", [True, False])
def test_the_world_is_turned_so_that_z_is_up(tmp_path, up, stated):
    views = images()
    turned = dataclasses.replace(views, pose=(TURNS[up] @ views.pose).astype(np.float32))
    write_single(tmp_path, turned, aabb=[[-0.4, -0.45, -0.5], [0.4, 0.45, 0.5]])
    read = imported(tmp_path, tmp_path / "out", **({"up": up} if stated else {}))
    for split in read.values():
        for name, pose in zip(split.names, split.pose, strict=True):
            original = views.pose[int(name)]
            assert pose[2] == pytest.approx(original[2], abs=1e-6), "heights and tilts are those of the original"
    matrix = np.array(record(tmp_path / "out")["normalization"]["matrix"])
    np.testing.assert_array_equal(np.abs(matrix), np.abs(matrix).round())


def test_a_tilted_world_is_put_upright(tmp_path):
    angle = np.radians(25)
    tilt = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    views = images()
    write_single(tmp_path, dataclasses.replace(views, pose=(tilt @ views.pose).astype(np.float32)))
    read = imported(tmp_path, tmp_path / "out")["train"]
    for name, pose in zip(read.names, read.pose, strict=True):
        assert pose[2] == pytest.approx(views.pose[int(name)][2], abs=1e-5)


def test_the_silhouettes_tell_the_box_also_of_an_object_that_pictures_cut():
    """Cameras that look past the ball, so that their pictures show a part of it: the rest is not cut away."""
    whole = ball_images(around(12), size=64, placed=False)
    aside = np.stack([ball_pose(0.7 * i, 0.2) for i in range(4)])
    aside[:, :3, 3] += 0.6 * aside[:, :3, 0]
    cut = ball_images(aside, size=64, placed=False)
    assert cut.rgba[:, :, 0, 3].any(1).all()
    both = dataclasses.replace(
        whole, rgba=np.concatenate([whole.rgba, cut.rgba]), pose=np.concatenate([whole.pose, cut.pose]), names=None
    )
    scale, offset = fit_unit_cube(both)
    for corner in (-RADIUS, RADIUS):
        assert (0 < corner * scale + offset).all() and (corner * scale + offset < 1).all()


def test_scale_does_not_matter(tmp_path):
    """A set a thousand times as large is the same set."""
    views = images()
    large = dataclasses.replace(views, pose=views.pose * np.array([[[1, 1, 1, 1000]]], np.float32))
    write_single(tmp_path, large)
    read = imported(tmp_path, tmp_path / "out")["train"]
    scale, offset = fit_unit_cube(read)
    small, same = fit_unit_cube(dataclasses.replace(read, pose=read.pose / np.array([[[1, 1, 1, 1000]]], np.float32)))
    assert scale * 1000 == pytest.approx(small, rel=1e-4) and offset == pytest.approx(same, abs=1e-3)


def test_opencv_poses_are_ours_with_two_axes_turned():
    np.testing.assert_array_equal(OPENCV @ OPENCV, np.eye(4))
