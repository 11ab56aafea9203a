"""Feed a reader what a fuzzer makes of good files: whatever it is, it is read, or refused with a UserError.

    python tests/fuzz.py TARGET [libFuzzer's options, such as -max_total_time=600]

Needs the package atheris, which `make fuzz` brings. An input that ends otherwise, or takes a minute, is left in the
working directory; it belongs into tests/test_doors*.py then.
"""

import io
import json
import struct
import sys
import tempfile
from pathlib import Path

import atheris
import numpy as np
from PIL import Image

SCRIPTS = Path(__file__).resolve().parents[1] / "workflow_scripts"
sys.path.insert(0, str(SCRIPTS))

with atheris.instrument_imports(include=["obj2ngp", "json"]):
    from obj2ngp.common.checks import mapping, number, numbers
    from obj2ngp.common.files import UserError
    from obj2ngp.common.lattice import load_lattice
    from obj2ngp.common.records import read_records
    from obj2ngp.common.tables import read_table
    from obj2ngp.common.tensor_files import read_header
    from obj2ngp.scene.lookup import find_file
    from obj2ngp.scene.mtl_file import read_mtl
    from obj2ngp.scene.obj_file import read_obj
    from obj2ngp.views.nerf_synthetic import read_cameras
    from obj2ngp.views.picture_files import read_rgba
    from obj2ngp.views.pose_folders import read_nsvf
    from obj2ngp.views.transforms_sets import read_single

FOLDER = Path(tempfile.mkdtemp(prefix="obj2ngp-fuzz-"))
OBJ = b"""mtllib a.mtl
v 0 0 0 1 1 1\nv 1 0 0 1 1 1\nv 0 1.5e-1 -2\nvt 0 1\nvt 1\nvn 0 0 1
usemtl a b\nf 1/1/1 2/2/1 3//1\nf -1 -2 -3 \\\n -1\nl 1 2\n# end
"""
MTL = b"""newmtl a b\nKd 1 0.5 0 # red\nKs 0.1\nNs 10\nd 0.5\nTr 0.5\nKe 1 1 1
map_Kd -s 2 2 1 -o 0.5 -clamp on -mm 0 1 "my wood.png"\nmap_d ..\\textures\\a.png
"""
TRANSFORMS = json.dumps(
    {
        **{"camera_angle_x": 0.8, "fl_x": 20.5, "fl_y": 20.5, "cx": 8, "cy": 8, "w": 16, "h": 16, "k1": 0, "scale": 1},
        "offset": [0.5, 0.5, 0.5],
        "frames": [{"file_path": "./a", "transform_matrix": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 2], [0, 0, 0, 1]]}],
    }
).encode()
HEADER = json.dumps(
    {
        "__metadata__": {"obj2ngp": json.dumps({"config": {}, "scale": 1.0, "offset": [0.5, 0.5, 0.5]})},
        "table": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
        "occupied": {"dtype": "U8", "shape": [8], "data_offsets": [16, 24]},
    }
).encode()
SET = json.dumps(
    {
        **{"fl_x": 20.5, "w": 16, "h": 16, "k1": 0.1, "camera_model": "OPENCV", "aabb": [[0, 0, 0], [1, 1, 1]]},
        **{"train_filenames": ["a.png"], "aabb_scale": 2, "distortion_params": [0.1, 0, 0, 0, 0, 0]},
        "frames": [
            {"file_path": "a.png", "mask_path": "b", "transform_matrix": np.eye(4).tolist(), "is_fisheye": True}
        ],
    }
).encode()
POSES = b"20.5 8 8 0.\n0. 0. 0.\n1.\n16 16\n1\n|1 0 0 0 0 1 0 0 0 0 1 2 0 0 0 1\n|-0.4 -0.4 -0.4 0.4 0.4 0.4 0.1\n"
RECORD = b'{"job":"train","rule":"train","state":"ok","parameters":{},"files":{"a":{"stamp":[1,2],"sha256":"a"}},' + (
    b'"results":{"b":"c"},"outputs":{"d":{"sha256":"e","files":{"f":null}}},"seconds":1.5}\n'
)
TABLE = b'object,view,psnr\nchair,000,"30.5"\nchair,"0""1",-inf\n'
MODEL = mapping({"config": mapping({}), "scale": number(0), "offset": numbers(3)})


def read_materials(path):
    """Materials, and the files of their textures."""
    for material in read_mtl(path).values():
        for texture in material.used_textures():
            find_file(texture.reference, path, path)


def read_poses(path):
    """A folder of poses: intrinsics, a pose, and a box, with | between them."""
    texts = path.read_bytes().split(b"|", 2)
    for name, text in zip(("intrinsics.txt", "pose/0_a.txt", "bbox.txt"), texts, strict=False):
        (FOLDER / name).write_bytes(text)
    read_nsvf(FOLDER)


def bytes_of(write, *words, **named):
    """What a function writes into a file."""
    file = io.BytesIO()
    write(file, *words, **named)
    return file.getvalue()


# Target: suffix of its files, a good one, and what reads them.
TARGETS = {
    "obj": (".obj", OBJ, read_obj),
    "mtl": (".mtl", MTL, read_materials),
    "transforms": (".json", TRANSFORMS, read_cameras),
    "model": (
        ".safetensors",
        struct.pack("<Q", len(HEADER)) + HEADER + bytes(24),
        lambda path: read_header(path, MODEL),
    ),
    "set": (".json", SET, read_single),
    "poses": (".txt", POSES, read_poses),
    "record": (".jsonl", RECORD, read_records),
    "table": (".csv", TABLE, lambda path: read_table(path, ["object"])),
    "picture": (".png", bytes_of(Image.new("RGBA", (4, 4), "red").save, "PNG"), read_rgba),
    "lattice": (
        ".npz",
        bytes_of(np.savez_compressed, code=np.ones((2, 2, 2), np.uint8), scale=1.0, offset=np.zeros(3)),
        load_lattice,
    ),
}


def main(target, options):
    """Fuzz a target until libFuzzer's `options` say that it is enough."""
    suffix, good, read = TARGETS[target]
    path, corpus = FOLDER / f"input{suffix}", FOLDER / "corpus"
    for folder in (corpus, FOLDER / "pose", FOLDER / "rgb"):
        folder.mkdir()
    (FOLDER / "rgb/0_a.png").write_bytes(TARGETS["picture"][1])
    (corpus / "good").write_bytes(good)

    def take(content):
        path.write_bytes(content)
        try:
            read(path)
        except UserError as error:
            assert str(error)

    atheris.Setup([sys.argv[0], str(corpus), "-timeout=60", "-max_len=4096", *options], take)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
