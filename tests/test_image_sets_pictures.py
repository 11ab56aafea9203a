"""Image sets whose pictures or world have to change: lenses, masks, backgrounds, which way is up, and the scale."""

import dataclasses

import imageio.v3 as iio
import numpy as np
import pytest

from ball import RADIUS, around, ball_images, ball_pose
from image_set_scene import OPENCV, SIZE, edit, focal, images, imported, over, record, refused, write_single
from obj2ngp.ngp.hull import fit_unit_cube
from obj2ngp.views.pictures import psnr, truth_on_white

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


def test_a_distortion_that_leaves_nothing_of_the_object_is_refused(tmp_path):
    write_single(tmp_path, images(), k1=1e8)
    refused(tmp_path, tmp_path / "out", "nothing of the object is left in 10 pictures", "000.png")
    assert not list((tmp_path / "out").rglob("*.png"))


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
