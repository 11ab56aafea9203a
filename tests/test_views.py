"""Image sets: what is written is read again, and what cannot be read right is refused by file and key."""

import dataclasses
import json
import re

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ball import ball_images
from obj2ngp.common.cameras import field_of_view, orbit_pose
from obj2ngp.views.nerf_synthetic import write_images
from obj2ngp.views.pictures import pixel_width
from obj2ngp.views.posed_images import DataError
from obj2ngp.views.reading import read_cameras, read_images

IDENTITY = np.eye(4).tolist()
GOOD = {"camera_angle_x": 0.8, "frames": [{"file_path": "./a", "transform_matrix": IDENTITY}]}


def described(folder, content):
    """A transforms file with the text or the value `content`."""
    path = folder / "transforms.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def changed(value, where):
    """GOOD with `value` at the path `where`, such as "frames.0.file_path"; left out where it is `...`."""
    content = json.loads(json.dumps(GOOD))
    *parents, last = [int(key) if key.isdigit() else key for key in where.split(".")]
    part = content
    for key in parents:
        part = part[key]
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return content


@pytest.mark.parametrize("placed", [True, False])
def test_what_is_written_is_read_again(tmp_path, placed):
    images = dataclasses.replace(ball_images(placed=placed, size=16), center=(7.0, 9.5))
    write_images(images, tmp_path, "train")
    read = read_images(tmp_path / "transforms_train.json")
    np.testing.assert_array_equal(read.rgba, images.rgba)
    np.testing.assert_array_equal(read.pose, images.pose)
    assert read.focal == pytest.approx(images.focal) and read.center == images.center
    assert read.names == images.names and read.scale == images.scale
    np.testing.assert_array_equal(read.offset, images.offset)


def test_intrinsics_are_those_of_the_images_that_are_there(tmp_path):
    """Stated for 64x48, used for 32x24; and from the angle alone."""
    stated = {"fl_x": 70, "fl_y": 70, "cx": 30, "cy": 25, "w": 64, "h": 48.0}
    frames = GOOD["frames"]
    assert read_cameras(described(tmp_path, {**stated, "frames": frames})).pinhole(32, 24) == (35, (15, 12.5))
    angle = {"camera_angle_x": field_of_view(32, 35.0), "frames": frames}
    focal, center = read_cameras(described(tmp_path, angle)).pinhole(32, 24)
    assert focal == pytest.approx(35) and center == (16, 12)


def test_a_file_path_may_have_a_suffix_or_a_dot_in_its_name(tmp_path):
    pose = {"transform_matrix": IDENTITY}
    frames = [{"file_path": path, **pose} for path in ("v0.5_0", "b.JPG", "c/d.png", "e")]
    cameras = read_cameras(described(tmp_path, {"fl_x": 9, "frames": frames}))
    assert cameras.files == [tmp_path / name for name in ("v0.5_0.png", "b.JPG", "c/d.png", "e.png")]


NAN, INF = float("NaN"), float("inf")
SCALED = np.diag([0.5, 0.5, 0.5, 1]).tolist()
MIRRORED = np.diag([1, 1, -1, 1]).tolist()
SHEARED = [[1, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
POSE = "frames.0.transform_matrix"


@pytest.mark.parametrize(
    "where, value, reason",
    [
        ("camera_angle_x", ..., "missing, and fl_x too"),
        ("camera_angle_x", 0, "0 is not between"),
        ("camera_angle_x", 3.2, "3.2 is not between"),
        ("camera_angle_x", "0.8", '"0.8" is no number'),
        ("camera_angle_x", NAN, "NaN"),
        ("fl_x", -5, "-5"),
        ("fl_x", True, "true is no number"),
        ("cx", INF, "Infinity"),
        ("cy", None, "null"),
        ("w", 0, "0 is not between"),
        ("h", 2.5, "2.5 is no whole number"),
        ("w", 10**400, "1000"),
        ("scale", 0, "0 is not"),
        ("offset", [0.5, 0.5], ".* no list of 3 numbers"),
        ("offset", [0.5, 0.5, NAN], "NaN"),
        ("frames", ..., "missing"),
        ("frames", [], "no frames"),
        ("frames", {}, "no list of frames"),
        ("frames.0", 3, "3 holds no keys"),
        ("frames.0.file_path", ..., "missing"),
        ("frames.0.file_path", 7, "7 is no text"),
        (POSE, ..., "missing"),
        (POSE, [[1, 2], [3]], "no 4x4 matrix"),
        (POSE, np.eye(3).tolist(), "no 4x4 matrix"),
        (POSE, [["1", "0", "0", "0"]] * 4, "no 4x4 matrix"),
        (POSE, (np.eye(4) * NAN).tolist(), "not finite"),
        (POSE, np.zeros((4, 4)).tolist(), "not a rotation"),
        (POSE, SCALED, "not a rotation"),
        (POSE, SHEARED, "not a rotation"),
        (POSE, MIRRORED, "not a rotation"),
        (POSE, [*IDENTITY[:3], [0, 0, 1, 1]], "the last row"),
        ("k1", 0.01, "lens distortion is not supported"),
        ("k7", 0.01, "lens distortion is not supported"),
        ("is_fisheye", True, "lens distortion"),
        ("camera_model", "OPENCV_FISHEYE", '"OPENCV_FISHEYE" is not supported'),
        ("fl_y", 50, "cannot be compared"),
        ("frames.0.fl_x", 50, "intrinsics of single frames"),
        ("frames.0.k1", 0.1, "lens distortion"),
    ],
)
def test_what_cannot_be_read_right_is_refused_by_file_and_key(tmp_path, where, value, reason):
    path = described(tmp_path, changed(value, where))
    key = where.replace("frames.0", "frames[0]")
    with pytest.raises(DataError, match=f"^{re.escape(f'{path}: {key}: ')}{reason}") as caught:
        read_cameras(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < len(str(path)) + 120


@pytest.mark.parametrize(
    "vertical, fine",
    [
        ({"fl_y": 100.005}, True),
        ({"fl_y": 101}, False),
        ({"camera_angle_y": field_of_view(48, 100.0)}, True),
        ({"camera_angle_y": 0.9}, False),
    ],
)
def test_only_square_pixels_are_read(tmp_path, vertical, fine):
    path = described(tmp_path, {**GOOD, "fl_x": 100, "w": 64, "h": 48, **vertical})
    if fine:
        assert read_cameras(path).pinhole(64, 48)[0] == 100
    else:
        with pytest.raises(DataError, match=f"{next(iter(vertical))}: .*only square pixels"):
            read_cameras(path)


def test_keys_that_say_nothing_else_are_fine(tmp_path):
    """No distortion, the frame's own copy of the focal length, and keys that other programs add."""
    frame = {**GOOD["frames"][0], "rotation": 0.01, "fl_x": 50, "k1": 0.0}
    content = {"fl_x": 50, "k1": 0, "p2": 0.0, "is_fisheye": False, "camera_model": "OPENCV", "aabb_scale": 16}
    assert len(read_cameras(described(tmp_path, {**content, "frames": [frame]})).files) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"frames"', "[" * 100000, "\ud800", '{"frames": 1}'])
def test_what_is_no_transforms_file_is_refused_by_name(tmp_path, text):
    path = tmp_path / "transforms.json"
    path.write_bytes(text.encode("utf-16-le", "surrogatepass") if text == "\ud800" else text.encode())
    with pytest.raises(DataError, match=r"transforms\.json: "):
        read_cameras(path)


def test_other_files_are_no_image_set(tmp_path):
    for path in (tmp_path, tmp_path / "cameras.npz"):
        with pytest.raises(DataError, match=r"no known image set \(known: NeRF-synthetic"):
            read_cameras(path)
    with pytest.raises(DataError, match="none.json: No such file"):
        read_cameras(tmp_path / "none.json")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["fl_x", "k1", "a"]), inner),
    max_leaves=8,
)


@given(st.sampled_from(["camera_angle_x", "fl_y", "w", "offset", "k1", "camera_model", "frames", POSE]), VALUES)
def test_any_value_is_read_or_refused(tmp_path_factory, where, value):
    path = described(tmp_path_factory.mktemp("any"), changed(value, where))
    try:
        cameras = read_cameras(path)
    except DataError as error:
        assert str(path) in str(error)
    else:
        focal, center = cameras.pinhole(32, 32)
        assert focal > 0 and np.isfinite([focal, *center]).all() and np.isfinite(cameras.pose).all()


def test_images_of_another_shape_than_stated_are_refused(tmp_path):
    iio.imwrite(tmp_path / "a.png", np.zeros((20, 30, 4), np.uint8))
    assert read_images(described(tmp_path, {**GOOD, "w": 60, "h": 40})).rgba.shape == (1, 20, 30, 4)
    with pytest.raises(DataError, match="transforms.json: h: images of 30x20 cannot be 60x60 made smaller"):
        read_images(described(tmp_path, {**GOOD, "w": 60, "h": 60}))


def test_the_images_that_do_not_exist_are_named(tmp_path):
    frames = [{"file_path": f"{i}", "transform_matrix": orbit_pose(i, 0, 1).tolist()} for i in range(7)]
    path = described(tmp_path, {**GOOD, "frames": frames})
    iio.imwrite(tmp_path / "3.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DataError, match=r"6 of 7 images do not exist: .*0\.png, .*5\.png, \.\.\.$"):
        read_images(path)


def silhouettes(width, size=48):
    """Pictures (2,H,W,4) of polygons, each pixel the mean over a square `width` pixels wide around its middle."""
    fine, generator = 16, np.random.default_rng(1)
    at = (np.arange(size * fine) + 0.5) / fine
    x, y = np.meshgrid(at, at)
    half = int(round(width * fine / 2))
    pictures = []
    for _ in range(2):
        inside = np.ones((size * fine, size * fine))
        for angle in generator.uniform(0, 2 * np.pi, 5):
            inside *= (x - size / 2) * np.cos(angle) + (y - size / 2) * np.sin(angle) < 0.35 * size
        sums = np.pad(inside, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        middle = (np.arange(size) * fine + fine // 2).clip(half, size * fine - half)
        low, high = middle - half, middle + half
        mean = sums[np.ix_(high, high)] - sums[np.ix_(low, high)] - sums[np.ix_(high, low)] + sums[np.ix_(low, low)]
        rgba = np.zeros((size, size, 4), np.uint8)
        rgba[..., 3] = np.round(255 * mean / (2 * half) ** 2)
        pictures.append(rgba)
    return np.stack(pictures)


@pytest.mark.parametrize("width, expected", [(0.75, 0.75), (1.0, 1.0), (1.25, 1.25), (1.75, 1.75), (0.125, 1.0)])
def test_the_width_of_a_pixel_follows_from_silhouettes(width, expected):
    assert pixel_width(silhouettes(width)) == pytest.approx(expected, rel=0.08)


def test_pictures_without_silhouettes_say_nothing_of_a_pixel_s_width():
    for alpha in (0, 128, 255):
        assert pixel_width(np.full((2, 9, 9, 4), alpha, np.uint8)) == 1.0
