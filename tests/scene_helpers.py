"""A Blender process that serves many tests, and small models written by the tests."""

import dataclasses
import itertools
import json
import os
import subprocess
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from obj2ngp.common.files import UserError

ROOT = Path(__file__).resolve().parent.parent
WORKER = ROOT / "tests/scene_worker.py"
BLENDER_PYTHON = ROOT / ".venv-blender/bin/python"
SHARED = ROOT.parent / "shared/objects"


@dataclasses.dataclass
class Rendered:
    """What one pass left behind."""

    images: np.ndarray  # (N, H, W, 4) uint8, straight alpha
    record: dict
    transforms: dict
    folder: Path

    @property
    def poses(self):
        return np.array([frame["transform_matrix"] for frame in self.transforms["frames"]])

    @property
    def colors(self):
        """The opaque pixels of all views (K, 3)."""
        return self.images[self.images[..., 3] == 255][:, :3]


class Blender:
    """One Blender process; ``command`` starts Python with bpy, or Blender, on scene_worker.py."""

    def __init__(self, command, folder):
        self.command = command
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, errors="replace"
        )
        self._folder = Path(folder)
        self._numbers = itertools.count()

    def memory(self):
        """Bytes of memory that the process has now."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def core_seconds(self):
        """Seconds of all cores that the process has used so far (2): its own, and the system's for it."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return np.array(fields[11:13], int) / os.sysconf("SC_CLK_TCK")

    def close(self):
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def render(self, model, split="train", name="thing", folder=None, threads=0, **settings):
        """Render ``model``; small, few views and quick unless the settings say otherwise. Raises UserError."""
        folder = folder or self._folder / f"{next(self._numbers):03d}"
        settings = {"views": 1, "resolution": [32, 32], **settings}
        images, transforms = folder / split, folder / f"transforms_{split}.json"
        arguments = {
            "object": name,
            "model": model,
            "split": split,
            "settings": json.dumps(settings),
            "images": images,
            "transforms": transforms,
            "threads": threads,
        }
        words = [word for key, value in arguments.items() for word in (f"--{key}", str(value))]
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("answer "):
                answer = json.loads(line[7:])
                break
        else:
            pytest.fail(f"Blender ended with exit status {self._process.wait()}")
        if answer["error"]:
            raise UserError(answer["error"])
        if "crash" in answer:
            pytest.fail(answer["crash"])
        return Rendered(
            np.stack([iio.imread(path) for path in sorted(images.glob("*.png"))]),
            json.loads((images / "record.json").read_text()),
            json.loads(transforms.read_text()),
            images,
        )


def from_side(azimuth, elevation, **cameras):
    """Settings of a camera that stands at these angles (degrees)."""
    return {"azimuth": [azimuth, azimuth + 1e-3], "elevation": [elevation, elevation], **cameras}


def write_obj(path, positions, faces, texcoords=(), library=None):
    """Write an .obj file. ``faces``: (material or None, corner lists); a corner is an index or a text like "1/2"."""
    lines = [f"mtllib {library}"] if library else []
    lines += ["v {:.9g} {:.9g} {:.9g}".format(*position) for position in positions]
    lines += ["vt {:.9g} {:.9g}".format(*texcoord) for texcoord in texcoords]
    for material, corners in faces:
        lines += [f"usemtl {material}"] if material else []
        lines += ["f " + " ".join(map(str, face)) for face in corners]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


BOX_FACES = [[1, 2, 4, 3], [5, 7, 8, 6], [1, 5, 6, 2], [3, 4, 8, 7], [1, 3, 7, 5], [2, 6, 8, 4]]


def box_corners(size=(1, 1, 1), centre=(0, 0, 0)):
    """Corners (8, 3) in the order that BOX_FACES takes: x changes slowest."""
    signs = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
    return signs * np.array(size) + np.array(centre)


def sphere(rings=12, segments=24, lowest=-90.0, highest=90.0):
    """Points and quads (triangles at the poles) of a unit sphere between two latitudes, y up, wound outwards."""
    latitudes = np.radians(np.linspace(lowest, highest, rings + 1))
    longitudes = np.arange(segments) * 2 * np.pi / segments
    points = np.array(
        [[np.cos(a) * np.cos(b), np.sin(a), -np.cos(a) * np.sin(b)] for a in latitudes for b in longitudes]
    )
    faces = []
    for ring in range(rings):
        for i in range(segments):
            j = (i + 1) % segments
            a, b = ring * segments + 1, (ring + 1) * segments + 1
            corners = [a + i, a + j, b + j, b + i]
            if ring == 0 and lowest == -90:
                corners = [a, b + j, b + i]
            elif ring == rings - 1 and highest == 90:
                corners = [a + i, a + j, b]
            faces.append(corners)
    return points, faces


CUBE = box_corners()
WHITE = "newmtl white\nKd 1 1 1\n"


def write_model(folder, points, faces, materials="", **kwargs):
    """An .obj file with its .mtl; ``materials`` is the text of the latter."""
    path = write_obj(folder / "model.obj", points, faces, library="model.mtl", **kwargs)
    (folder / "model.mtl").write_text(materials)
    return path


def write_png(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    iio.imwrite(path, np.asarray(pixels, np.uint8))


def textured_cube(folder, statement, name="model.obj"):
    """An .obj file of a cube whose one material has a black diffuse colour and `statement`."""
    texcoords = [[0, 0], [1, 0], [1, 1], [0, 1]]
    faces = [[f"{corner}/{i + 1}" for i, corner in enumerate(face)] for face in BOX_FACES]
    path = write_obj(folder / name, CUBE, [("m", faces)], texcoords, library="model.mtl")
    (path.parent / "model.mtl").write_text(f"newmtl m\nKd 0 0 0\n{statement}\n")
    return path
