"""Image sets of the ball, in the layouts of other programs and with their quirks. Pictures are small and exact."""

import dataclasses
import json

import imageio.v3 as iio
import numpy as np
import pytest

import import_views
from ball import FOCAL, around, ball_images
from obj2ngp.common.cameras import field_of_view
from obj2ngp.common.files import UserError
from obj2ngp.views.nerf_synthetic import write_images
from obj2ngp.views.reading import read_images

SIZE = 32
MIDDLE = SIZE / 2
TEST_POSES = around(5)
OPENCV = np.diag([1, -1, -1, 1])


def images(poses=None, size=SIZE, placed=False, **changes):
    """PosedImages of the ball; their world does not say where the unit cube lies, unless `placed`."""
    return dataclasses.replace(ball_images(poses, size=size, placed=placed), **changes)


def write_ball(folder, placed=False, name="{:03d}"):
    """A NeRF-synthetic set with a training and a test split; split -> its PosedImages, numbered as `name` has it."""
    splits = {"train": images(placed=placed), "test": images(TEST_POSES, placed=placed)}
    for views in splits.values():
        views.names = [name.format(index) for index in range(len(views))]
    for split, views in splits.items():
        write_images(views, folder, split)
    return splits


def write_single(folder, views, name="transforms.json", **content):
    """A folder with pictures and one transforms file, in which `content` goes before what the views say."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    frames = []
    for index, (rgba, pose) in enumerate(zip(views.rgba, views.pose, strict=True)):
        file = f"images/{index:03d}.png"
        iio.imwrite(folder / file, rgba)
        frames.append({"file_path": file, "transform_matrix": [*pose.tolist(), [0, 0, 0, 1]]})
    angle = {"camera_angle_x": field_of_view(views.rgba.shape[2], views.focal)}
    path = folder / name
    path.write_text(json.dumps({**angle, **content, "frames": frames}))
    return path


def edit(path, change):
    """Change the content of a transforms file by a function of it."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def write_pose_folder(folder, views, intrinsics, prefix="", flat=False):
    """A folder as NSVF and SRN have it; `flat`: poses in one line."""
    for name in ("rgb", "pose"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index, (rgba, pose) in enumerate(zip(views.rgba, views.pose, strict=True)):
        iio.imwrite(folder / "rgb" / f"{prefix}{index:04d}.png", rgba)
        matrix = np.vstack([pose, [0, 0, 0, 1]]) @ OPENCV
        np.savetxt(folder / "pose" / f"{prefix}{index:04d}.txt", matrix.reshape(1, 16) if flat else matrix)
    (folder / "intrinsics.txt").write_text(intrinsics)


def over(views, color):
    """PosedImages without alpha, over a grey background."""
    alpha = views.rgba[..., 3:] / 255
    opaque = np.round(views.rgba[..., :3] * alpha + color * (1 - alpha)).astype(np.uint8)
    return dataclasses.replace(views, rgba=opaque)


def imported(source, out, splits=("train", "test"), **settings):
    """split -> PosedImages that the trainer gets of the set `source`; the record is in `record`."""
    arguments = ["--object", "ball", "--source", str(source), "--renders", str(out), "--threads", "2"]
    import_views.main([*arguments, "--settings", json.dumps(settings)])
    return {split: read_images(out / f"transforms_{split}.json") for split in splits}


def record(out, split="train"):
    return json.loads((out / split / "record.json").read_text())


def focal(size=SIZE):
    return FOCAL * size


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
