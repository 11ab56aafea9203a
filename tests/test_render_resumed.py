"""A pass that was killed goes on from the views that it has, and takes none that another pass made. Real kills."""

import json
import signal
import subprocess
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from obj2ngp.common.files import UserError
from scene_helpers import BLENDER_PYTHON, BOX_FACES, ROOT, box_corners, write_obj

pytestmark = pytest.mark.slow

VIEWS = 6
KILLED_IN_THE_MIDDLE_OF_A_FILE = """if True:
    import resource, signal, sys
    sys.path.insert(0, {scripts!r})
    import render
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, ({largest}, resource.RLIM_INFINITY))
    render.main(sys.argv[1:])
"""
STOPPED_IN_CYCLES = """if True:
    import functools, os, signal, sys
    sys.path.insert(0, {scripts!r})
    import render
    from obj2ngp.common.files import run_program
    from obj2ngp.scene import studio

    def prepared(reset, device):
        def take_picture(self, depsgraph):
            calls.append(None)
            if len(calls) == 4:
                {what}
            own(self, depsgraph)

        used = reset(device)
        calls = []
        import cycles
        own, cycles.CyclesRender.render = cycles.CyclesRender.render, take_picture
        return used

    studio.reset = functools.partial(prepared, studio.reset)
    run_program(render.main, sys.argv[1:])
"""


class Pass:
    """One pass of a cube with a texture, in processes of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.images = folder / "out/train"
        texcoords = [[0, 0], [1, 0], [1, 1], [0, 1]]
        faces = [[f"{corner}/{i + 1}" for i, corner in enumerate(face)] for face in BOX_FACES]
        self.model = write_obj(folder / "cube.obj", box_corners(), [("m", faces)], texcoords, library="cube.mtl")
        (folder / "cube.mtl").write_text("newmtl m\nmap_Kd paint.png\n")
        self.paint(90)

    def paint(self, shade):
        iio.imwrite(self.folder / "paint.png", np.full((8, 8, 3), shade, np.uint8))

    def words(self, **settings):
        settings = {"views": VIEWS, "resolution": [48, 48], **settings}
        options = {"object": "cube", "model": self.model, "split": "train", "settings": json.dumps(settings)}
        options.update(images=self.images, transforms=self.folder / "out/transforms_train.json", threads=1)
        return [str(word) for key, value in options.items() for word in (f"--{key}", value)]

    def command(self, **settings):
        return [BLENDER_PYTHON, ROOT / "workflow_scripts/render.py", *self.words(**settings)]

    def run(self, **settings):
        """Render to the end; the numbers of the views that were kept."""
        done = subprocess.run(self.command(**settings), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert [path.name for path in self.hidden()] == []
        return [int(line.split()[1]) for line in done.stdout.splitlines() if line.endswith("kept")]

    def kill_after(self, view, how=signal.SIGKILL, **settings):
        process = subprocess.Popen(self.command(**settings), stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            if line.startswith(f"view {view} of "):
                process.send_signal(how)
                break
        process.stdout.close()
        assert process.wait() != 0
        assert not self.images.exists()

    def kill_while_writing(self, largest):
        """The system kills the process as it writes beyond the byte ``largest`` of a file."""
        self.run_code(KILLED_IN_THE_MIDDLE_OF_A_FILE, -signal.SIGXFSZ, largest=largest)

    def run_code(self, code, exit_code, **values):
        code = code.format(scripts=str(ROOT / "workflow_scripts"), **values)
        done = subprocess.run([BLENDER_PYTHON, "-B", "-c", code, *self.words()], capture_output=True, text=True)
        assert done.returncode == exit_code, done.stderr
        return done.stderr

    def hidden(self):
        return sorted(Path(self.folder, "out").glob(".*"))

    def result(self):
        """What lies in the folder of the pictures: bytes by name, the record's text among them."""
        return {path.name: path.read_bytes() for path in self.images.iterdir()}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    whole = Pass(tmp_path_factory.mktemp("whole"))
    assert whole.run() == []
    return whole.result()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_pass_goes_on_from_the_views_that_it_has(tmp_path, uninterrupted, how):
    killed = Pass(tmp_path)
    killed.kill_after(3, how)
    (partial,) = killed.hidden()
    before = {path.name: path.stat().st_ino for path in partial.glob("00*.png")}
    assert set(before) >= {"000.png", "001.png", "002.png"}
    kept = killed.run()
    assert kept[:3] == [1, 2, 3] and len(kept) < VIEWS
    assert {name: (killed.images / name).stat().st_ino for name in before} == before
    assert killed.result() == uninterrupted


@pytest.mark.parametrize(
    "what, exit_code, words",
    [
        ("os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT, ""),
        ("raise MemoryError('no room')", 1, "error: object cube: {model}: out of memory: no room\n"),
    ],
)
def test_what_stops_cycles_keeps_no_empty_picture(tmp_path, uninterrupted, what, exit_code, words):
    """Blender swallows the exceptions of Cycles' Python code, that of an interrupt too."""
    killed = Pass(tmp_path)
    assert killed.run_code(STOPPED_IN_CYCLES, exit_code, what=what) == words.format(model=killed.model)
    assert killed.run() == [1, 2, 3]
    assert killed.result() == uninterrupted


def test_a_view_that_was_being_written_is_not_taken(tmp_path, uninterrupted):
    killed = Pass(tmp_path)
    killed.kill_while_writing(largest=100)
    (partial,) = killed.hidden()
    (half,) = partial.iterdir()
    assert half.name.startswith(".000-") and half.stat().st_size <= 100 < len(uninterrupted["000.png"])
    assert killed.run() == []
    assert killed.result() == uninterrupted


def test_depths_belong_to_their_view(tmp_path):
    """A picture without its .exr is not taken: that is written first."""
    killed = Pass(tmp_path)
    killed.kill_after(2, depth=True)
    (partial,) = killed.hidden()
    assert {path.stem for path in partial.glob("0*.png")} <= {path.stem for path in partial.glob("0*.exr")}
    (partial / "001.png").unlink()
    kept = killed.run(depth=True)
    assert kept[0] == 1 and 2 not in kept
    assert {f"{index:03d}.{kind}" for index in range(VIEWS) for kind in ("png", "exr")} < set(killed.result())


@pytest.mark.parametrize("change", ["settings", "seed", "model", "texture"])
def test_nothing_stale_is_taken(tmp_path, change):
    killed, settings = Pass(tmp_path / "killed"), {}
    killed.kill_after(2)
    if change == "settings":
        settings = {"light": {"key": 0.2}}
    elif change == "seed":
        settings = {"seed": 7}
    elif change == "model":
        killed.model.write_text(killed.model.read_text().replace("v 0.5 0.5 0.5", "v 0.4 0.5 0.5"))
    else:
        killed.paint(91)
    assert killed.run(**settings) == []
    fresh = Pass(tmp_path / "fresh")
    for name in ("cube.obj", "paint.png"):
        (fresh.folder / name).write_bytes((killed.folder / name).read_bytes())
    fresh.run(**settings)
    assert killed.result() == fresh.result()


def test_bad_input_leaves_nothing(blender, tmp_path):
    """A box so far from the line of sight that some views show nothing."""
    points = np.vstack([box_corners((0.2, 0.2, 0.2), (x, 0, 0)) for x in (-0.9, 0.9)])
    faces = BOX_FACES + [[corner + 8 for corner in face] for face in BOX_FACES]
    model = write_obj(tmp_path / "model.obj", points, [(None, faces)])
    settings = {"views": 12, "resolution": [8, 8], "fit": False}
    settings["cameras"] = {"azimuth": [0, 90], "elevation": [0, 0], "fov": 5}
    with pytest.raises(UserError, match="nothing of the object is seen in view"):
        blender.render(model, folder=tmp_path / "out", **settings)
    assert list((tmp_path / "out").iterdir()) == []
