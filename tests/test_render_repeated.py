"""One Blender process that renders pass after pass: nothing of one is left in the next."""

import imageio.v3 as iio
import numpy as np
import pytest

from scene_helpers import BLENDER_PYTHON, BOX_FACES, WORKER, Blender, box_corners, write_obj

pytestmark = pytest.mark.slow

PASSES = 50
SETTLED = 10  # passes after which memory may not grow any more
TEXTURE = 256  # pixels along an edge of the texture, which takes 0.25 MB as bytes and 1 MB as floats


@pytest.fixture
def new_blender(tmp_path):
    """A process that has rendered nothing yet."""
    process = Blender([BLENDER_PYTHON, WORKER], tmp_path / "renders")
    yield process
    process.close()


def painted_cube(folder):
    texcoords = [[0, 0], [1, 0], [1, 1], [0, 1]]
    faces = [[f"{corner}/{i + 1}" for i, corner in enumerate(face)] for face in BOX_FACES]
    model = write_obj(folder / "cube.obj", box_corners((1, 0.5, 0.3)), [("m", faces)], texcoords, library="cube.mtl")
    (folder / "cube.mtl").write_text("newmtl m\nKs .4 .4 .4\nNs 90\nmap_Kd paint.png\n")
    paint = np.random.default_rng(0).integers(0, 256, (TEXTURE, TEXTURE, 3), np.uint8)
    iio.imwrite(folder / "paint.png", paint)
    return model


def files(rendered):
    return {path.name: path.read_bytes() for path in rendered.folder.iterdir()}


def test_a_pass_does_not_depend_on_those_before_it(blender, new_blender, tmp_path):
    """Another model, with everything that a pass may switch on, comes between; the record is the same, too."""
    first, second = painted_cube(tmp_path / "first"), tmp_path / "second"
    sheet = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)
    write_obj(second / "glass.obj", sheet, [("glass", [[1, 2, 3, 4]])], library="glass.mtl")
    (second / "glass.mtl").write_text("newmtl glass\nKd .2 .5 .9\nKe .1 0 0\nd .5\n")
    cameras = {"fov": 80, "radius": 2, "elevation": [30, 60]}
    other = {"depth": True, "normals": True, "preset": "high", "light": {"environment": 1, "key": 0}, "up": "Z"}

    before = files(blender.render(first, views=3))
    blender.render(second / "glass.obj", resolution=[20, 40], cameras=cameras, threads=1, **other)
    after = files(blender.render(first, views=3))
    assert before == after
    if blender.command == new_blender.command:
        assert files(new_blender.render(first, views=3)) == after


def test_memory_does_not_grow(new_blender, tmp_path):
    """By less than if each pass left its texture behind, of which there is a quarter of a megabyte."""
    model = painted_cube(tmp_path)
    sizes = []
    for _ in range(PASSES):
        new_blender.render(model, folder=tmp_path / "out", preset="draft")
        sizes.append(new_blender.memory())
    assert sizes[-1] - min(sizes[:SETTLED]) < 8e6, [round(size / 1e6) for size in sizes]
