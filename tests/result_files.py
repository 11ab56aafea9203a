"""Result files of objects as the programs write them, without rendering or training."""

import csv
import json

import imageio.v3 as iio
import numpy as np
from safetensors.numpy import save_file

from obj2ngp.views.pictures import truth_on_white

RESULTS = ["metrics.csv", "orbit.gif", "renders/transforms_val.json"]


def write_views(folder, count=3, size=(16, 20)):
    """`folder`/transforms_test.json with random true views, and renders of them in `folder`/test, a little off."""
    random = np.random.default_rng(0)
    frames = []
    for name in ("true", "test"):
        (folder / name).mkdir(parents=True)
    for index in range(count):
        rgba = random.integers(0, 256, (*size, 4), dtype=np.uint8)
        rgba[:4, ..., 3] = 0
        frames.append({"file_path": f"./true/{index:03d}", "transform_matrix": np.eye(4).tolist()})
        iio.imwrite(folder / "true" / f"{index:03d}.png", rgba)
        iio.imwrite(folder / "test" / f"{index:03d}.png", truth_on_white(rgba) // 2 + 127)
    content = {"camera_angle_x": 0.8, "frames": frames}
    (folder / "transforms_test.json").write_text(json.dumps(content))


def write_object(folder, psnrs, seconds=40.0, lpips=None):
    """The results of one object that the summary reads or asks for; `psnrs` are those of its views."""
    (folder / "renders" / "train").mkdir(parents=True)
    for file in RESULTS:
        (folder / file).write_text("content")
    record = {"versions": {"blender": "4.5.15 LTS"}, "mesh": {"faces": 12, "vertices": 8}}
    (folder / "renders" / "train" / "record.json").write_text(json.dumps(record))
    write_model(folder, training_seconds=seconds)
    with open(folder / "metrics.csv", "w", newline="") as file:
        writer = csv.writer(file)
        optional = {} if lpips is None else {"lpips": lpips}
        writer.writerow(["object", "view", "psnr", "ssim", "flip", *optional])
        for index, psnr in enumerate(psnrs):
            writer.writerow([folder.name, f"{index:03d}", psnr, 0.9, 0.1 * index, *optional.values()])


def write_model(folder, **figures):
    """A model file whose header says `figures` of its training."""
    header = {
        "training_seconds": 40.0,
        "steps": 2500,
        "backend": "cpu",
        "device": "2 threads",
        "versions": {"torch": "2.13.0"},
        "resolution": [128, 96],
        **figures,
    }
    save_file({"table": np.zeros(1, np.float32)}, folder / "model.safetensors", {"obj2ngp": json.dumps(header)})


def write_objects(file, names, more=()):
    """The table of objects that the summary and the gallery read; each has RESULTS and `more`."""
    with open(file, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter="\t")
        writer.writerow(["object", "results"])
        writer.writerows([name, " ".join([*RESULTS, *more])] for name in names)
    return file
