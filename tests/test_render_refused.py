"""What a real Blender makes of bad input: an error or a warning that names the object, the file and the reason."""

import subprocess

import numpy as np
import pytest

from obj2ngp.common.files import UserError
from scene_helpers import (
    BLENDER_PYTHON,
    BOX_FACES,
    CUBE,
    ROOT,
    WHITE,
    box_corners,
    textured_cube,
    write_model,
    write_obj,
    write_png,
)

pytestmark = pytest.mark.slow


def test_a_missing_texture_is_an_error_that_names_object_file_and_reason(blender, tmp_path):
    model = textured_cube(tmp_path, "map_Kd wood/oak.png")
    with pytest.raises(UserError, match=r"model\.obj: texture not found.*'wood/oak\.png' of material 'm'"):
        blender.render(model)
    rendered = blender.render(model, missing_texture="warn")
    assert "oak.png" in rendered.record["warnings"][0]
    assert rendered.colors.min() > 100  # the plain colour; grey, since a texture hid the black


@pytest.mark.parametrize("damage", ["junk", "truncated", "empty"])
def test_a_corrupt_texture_is_an_error(blender, tmp_path, damage):
    path = tmp_path / "oak.png"
    write_png(path, np.full((64, 64, 3), 90))
    path.write_bytes({"junk": b"junk" * 50, "truncated": path.read_bytes()[:60], "empty": b""}[damage])
    model = textured_cube(tmp_path, "map_Kd oak.png")
    with pytest.raises(UserError, match=r"texture cannot be read as an image: .*oak\.png of material 'm'"):
        blender.render(model)
    colors = blender.render(model, missing_texture="warn").colors.astype(int)
    assert np.ptp(colors, axis=1).max() <= 3  # grey, not magenta


def test_missing_materials_are_reported(blender, tmp_path):
    model = write_obj(tmp_path / "model.obj", CUBE, [("wood", BOX_FACES)], library="none.mtl")
    warnings = blender.render(model).record["warnings"]
    assert "not found: none.mtl" in warnings[0] and "not defined: wood" in warnings[1]
    with pytest.raises(UserError, match="none.mtl"):
        blender.render(model, missing_material="error")


def test_an_object_that_cannot_be_seen_is_an_error(blender, tmp_path):
    model = write_model(tmp_path, CUBE, [("ghost", BOX_FACES)], "newmtl ghost\nd 0\n")
    with pytest.raises(UserError, match="nothing of the object is seen in any view.*'ghost' is fully transparent"):
        blender.render(model, no_visible_pixel="warn")


def test_an_empty_view_is_an_error_or_a_warning(blender, tmp_path):
    """Two boxes on the x axis, seen through a keyhole at the middle: only cameras near the axis see one."""
    size = (0.2, 0.2, 0.2)
    points = np.vstack([box_corners(size, (x, 0, 0)) for x in (-0.9, 0.9)])
    faces = BOX_FACES + [[corner + 8 for corner in face] for face in BOX_FACES]
    model = write_model(tmp_path, points, [("white", faces)], WHITE)
    cameras = {"azimuth": [0, 90], "elevation": [0, 0], "fov": 5}
    settings = {"views": 12, "resolution": [8, 8], "cameras": cameras, "fit": False}
    with pytest.raises(UserError, match=r"nothing of the object is seen in view 0\d\d.*no_visible_pixel: warn"):
        blender.render(model, **settings)
    rendered = blender.render(model, no_visible_pixel="warn", **settings)
    empty = [f"{i:03d}" for i, share in enumerate(rendered.record["coverage"]) if share == 0]
    assert 0 < len(empty) < 12 and f"seen in view {', '.join(empty)}" in rendered.record["warnings"][0]


@pytest.mark.parametrize("limit", [300, 700, 1000, 1100])  # megabytes of address space
def test_a_process_without_room_for_blender_ends_in_a_line(tmp_path, limit):
    """Its module crashed as it was loaded."""
    model = write_obj(tmp_path / "model.obj", CUBE, [("wood", BOX_FACES)])
    words = f"--object box --model {model} --split val --settings {{}} --images val --transforms t.json"
    command = f"ulimit -v {limit * 1000}; exec {BLENDER_PYTHON} {ROOT}/workflow_scripts/render.py {words}"
    end = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert end.returncode == 1 and end.stderr.count("\n") == 1, end
    assert end.stderr.startswith(f"error: object box: {model}: Blender: 1.13 GB of address space needed"), end
