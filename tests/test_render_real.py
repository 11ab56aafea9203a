"""A real model through Blender and the trainer, with its faces doubled and without."""

import shutil

import numpy as np
import pytest

from obj2ngp.ngp.backends import select
from obj2ngp.ngp.config import resolve
from obj2ngp.ngp.model_file import load_model, save_model
from obj2ngp.ngp.rendering import Renderer, on_white
from obj2ngp.ngp.training import TrainingRun, steps
from obj2ngp.views.pictures import psnr, truth_on_white
from obj2ngp.views.reading import read_images
from scene_helpers import SHARED


def cow_and_double(tmp_path):
    """Two models: the cow, and the cow with a red copy of every face that looks the other way."""
    plain, doubled = (
        shutil.copytree(SHARED / "pytorch3d_cow", tmp_path / name, copy_function=shutil.copyfile)
        for name in ("plain", "doubled")
    )
    doubled.chmod(0o755)
    text = (doubled / "cow.obj").read_text()
    copies = [line.split()[:0:-1] for line in text.splitlines() if line.startswith("f ")]
    text += "\nusemtl inner\n" + "\n".join("f " + " ".join(corners) for corners in copies) + "\n"
    (doubled / "cow.obj").write_text(text)
    (doubled / "cow.mtl").write_text((doubled / "cow.mtl").read_text() + "\nnewmtl inner\nKd 1 0 0\n")
    return plain / "cow.obj", doubled / "cow.obj", 2 * len(copies)


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/objects")
def test_a_real_model_doubled_and_recoloured_looks_as_before(blender, tmp_path):
    *models, twins = cow_and_double(tmp_path)
    plain, doubled = (blender.render(model, views=3, resolution=[64, 64]) for model in models)
    assert doubled.record["mesh"]["twin_faces"] == twins
    assert np.abs(doubled.images.astype(int) - plain.images).mean() < 0.5


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/objects")
def test_a_doubled_model_trains_as_well_as_the_plain_one(blender, tmp_path):
    quality = []
    for model in cow_and_double(tmp_path)[:2]:
        folder, settings = model.parent / "renders", {"resolution": [64, 64], "preset": "draft"}
        blender.render(model, folder=folder, views=24, **settings)
        blender.render(model, folder=folder, split="test", views=8, **settings)
        training, test = (read_images(folder / f"transforms_{split}.json") for split in ("train", "test"))
        run = TrainingRun.alone(training, resolve({"steps": 500}, "cpu", 24, 64), select("cpu"))
        list(steps(run))
        save_model(folder / "model.safetensors", run, {})
        views = Renderer(load_model(folder / "model.safetensors"), "cpu").render_views(test.pose, 64, 64, test.focal)
        pairs = zip(test.rgba, views, strict=True)
        quality.append(
            np.mean([psnr(truth_on_white(truth), on_white(rgb, opacity)) for truth, (rgb, opacity, _) in pairs])
        )
    assert quality[0] > 24
    assert quality[1] > quality[0] - 0.5
