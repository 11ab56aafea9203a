"""Image sets of nerfstudio and instant-ngp: one transforms file, its splits and boxes, and what is wrong in it."""

import numpy as np
import pytest

from image_set_scene import edit, images, imported, record, refused, write_ball, write_single


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
        ({"is_fisheye": "false"}, ['is_fisheye: "false" is neither true nor false']),
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
        (lambda content: content["frames"][3].update(file_path="images/./000"), "is the picture of frames[0], too"),
        (lambda content: content["frames"][0].update(file_path="/etc/passwd"), "its format is unknown or damaged"),
    ],
)
def test_cameras_and_pictures_that_nothing_can_be_made_of_are_named(tmp_path, change, words):
    edit(write_single(tmp_path / "set", images()), change)
    refused(tmp_path / "set", tmp_path / "out", words)


def test_a_fisheye_s_frames_may_have_coefficients_of_their_own(tmp_path):
    def change(content):
        content["camera_model"] = "OPENCV_FISHEYE"
        content["frames"][0].update(k1=0.01, k4=0.001)

    edit(write_single(tmp_path / "set", images()), change)
    assert imported(tmp_path / "set", tmp_path / "out")


def test_one_picture_that_is_ever_so_fine_does_not_fill_the_memory(tmp_path):
    edit(write_single(tmp_path / "set", images()), lambda content: content["frames"][0].update(fl_x=9e8))
    refused(tmp_path / "set", tmp_path / "out", "nothing of the object is left in 1 pictures", "000.png")


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
