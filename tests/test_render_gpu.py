"""Rendering on a graphics card: refused in one line where there is none, else as processor cores render."""

import pytest

from obj2ngp.common.files import UserError
from obj2ngp.views.pictures import psnr, truth_on_white
from scene_helpers import BOX_FACES, ROOT, WHITE, box_corners, sphere, write_model

pytestmark = pytest.mark.slow

SETTINGS = {"views": 4, "resolution": [64, 64]}
CHANGES = ({}, {"device": "gpu"}, {"preset": "high"})


@pytest.fixture(scope="module")
def card(blender, tmp_path_factory):
    """The kind and name of the card that Cycles takes, as records have it; skips where it finds none."""
    model = write_model(tmp_path_factory.mktemp("box"), box_corners(), [(None, BOX_FACES)])
    try:
        return blender.render(model, device="gpu").record["cycles"]["device"]
    except UserError as error:
        pytest.skip(str(error))


def test_without_a_card_rendering_is_refused_before_the_model_is_read(blender, tmp_path):
    """A model that is not there either: what is said first was found first."""
    with pytest.raises(UserError) as refused:
        blender.render(tmp_path / "none.obj", name="lamp", device="gpu")
    if "graphics card" not in str(refused.value):
        pytest.skip("there is a graphics card")
    assert str(refused.value).startswith("object lamp: render.device is gpu, and Blender ")
    assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match=r"none\.obj"):  # the same process goes on with processor cores
        blender.render(tmp_path / "none.obj", name="lamp")


def two_sided_ball(folder):
    """A white ball with a red copy of every face that looks inwards, as in ShapeNet."""
    points, faces = sphere()
    inside = [face[::-1] for face in faces]
    return write_model(folder, points, [("white", faces), ("red", inside)], WHITE + "newmtl red\nKd 1 0 0\n")


@pytest.mark.parametrize("kind", ["demo car", "two-sided ball"])
def test_a_card_takes_the_pictures_that_processor_cores_take(blender, card, tmp_path, kind):
    """Nearer to them than their own noise, and as far as they from pictures of four times the samples."""
    model = two_sided_ball(tmp_path) if "ball" in kind else ROOT / "demo/objects/car/car.obj"
    on_cores, on_card, finer = (blender.render(model, **SETTINGS, **changed) for changed in CHANGES)
    assert on_card.record["cycles"]["device"] == card
    noise, noise_of_card, difference = (
        psnr(*map(truth_on_white, pair))
        for pair in ((finer.images, on_cores.images), (finer.images, on_card.images), (on_cores.images, on_card.images))
    )
    assert difference > noise + 3
    assert noise_of_card > noise - 0.5
    seen = [(rendered.images[..., 3] > 0).mean() for rendered in (on_cores, on_card)]
    assert seen[1] == pytest.approx(seen[0], rel=0.01)
    red = [(rendered.colors.astype(int) @ [1, -1, 0] > 50).mean() for rendered in (on_cores, on_card)]
    assert red[1] == pytest.approx(red[0], abs=0.001)
