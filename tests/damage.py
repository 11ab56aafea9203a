"""Ways to damage a file that a program reads: tables of (name, function of the file's path, words of the message)."""

import json
import os
import struct
import subprocess
import zlib

import numpy as np

from obj2ngp.common.checks import LARGEST_FILE

GARBAGE = b"\x89\x00\xff\xfejunk" * 40


def written(content):
    """Puts `content` in the file's place."""

    def damage(path):
        path.unlink()
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return damage


def cut(share):
    """Leaves a share of the file, or all but -share bytes."""

    def damage(path):
        content = path.read_bytes()
        path.write_bytes(content[:share] if share < 0 else content[: int(len(content) * share)])

    return damage


def gone(path):
    """Takes the file or folder away, however deep it is."""
    subprocess.run(["rm", "-rf", "--", str(path)], check=True)


def folder(path):
    path.unlink()
    path.mkdir()


def fifo(path):
    path.unlink()
    os.mkfifo(path)


def linked(target):
    def damage(path):
        path.unlink()
        path.symlink_to(target)

    return damage


def sparse(path):
    """More bytes than any such file has, which take no room."""
    with open(path, "ab") as file:
        file.truncate(LARGEST_FILE + 1)


# What no file may be, whatever it should hold.
NO_FILES = [
    ("missing", lambda path: path.unlink(), "No such file"),
    ("folder", folder, "not a regular file"),
    ("fifo", fifo, "not a regular file"),
    ("device", linked("/dev/zero"), "not a regular file"),
    ("link to itself", lambda path: linked(path)(path), "symbolic links"),
    ("link to nothing", linked("nothing"), "No such file"),
    ("empty", written(b""), ""),
    ("garbage", written(GARBAGE), ""),
]
NO_JSON = [
    ("text", written("frames"), "not valid JSON"),
    ("cut", cut(0.5), "not valid JSON"),
    ("all but its end", cut(-1), "not valid JSON"),
    ("open bracket", written("{"), "not valid JSON"),
    ("list", written("[]"), "[] holds no keys"),
    ("number", written("3"), "3 holds no keys"),
    ("null", written("null"), "null holds no keys"),
    ("UTF-16", written("{}".encode("utf-16")), "not UTF-8 at byte 0"),
    ("Latin-1", written('{"ä": 1}'.encode("latin-1")), "not UTF-8"),
    ("NUL", written(b'{"a": \0}'), "not valid JSON"),
    ("deep list", written("[" * 100_000 + "]" * 100_000), "nested too deeply"),
    ("deep mapping", written('{"a":' * 100_000 + "1" + "}" * 100_000), "nested too deeply"),
    ("twice", written('{"scale": 1, "scale": 2}'), '"scale": stated twice'),
    ("long number", written('{"scale": ' + "9" * 5000 + "}"), "a number of 5000 digits"),
    ("sparse", sparse, "more than 268,435,456"),
    ("two values", written("{} {}"), "not valid JSON"),
]


def png(width, height, rows=b"", color=6, depth=8):
    """A PNG file that claims a size, with the compressed `rows` as its pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


NO_PICTURES = [
    ("text", written("no picture"), "not a readable image"),
    ("PostScript", written("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\n"), "it is PostScript"),
    ("bomb", written(png(100_000, 100_000)), "not a readable image"),
    ("greatest bomb", written(png(2**31 - 1, 2**31 - 1)), "not a readable image"),
    ("large", written(png(12_000, 12_000)), "12000x12000 pixels, more than"),
    ("no pixels", written(png(16, 16)), "not a readable image"),
    ("few pixels", written(png(16, 16, b"\0" * 20)), "not a readable image"),
    ("no width", written(png(0, 16)), "not a readable image"),
    ("half", cut(0.5), "not a readable image"),
    ("header", cut(0.2), "not a readable image"),
    ("other size", written(png(8, 4, (b"\0" + b"\xff" * 32) * 4)), ""),
]


def with_json(change):
    """Changes the value in a JSON file: a function that may return another."""

    def damage(path):
        content = json.loads(path.read_text())
        changed = change(content)
        path.write_text(json.dumps(content if changed is None else changed))

    return damage


def at(where, value):
    """Has the `value` at a dotted path of a JSON value, such as `frames.0.file_path`; `...` takes the key away."""

    def change(content):
        *parents, last = [int(key) if key.isdigit() else key for key in where.split(".")]
        for key in parents:
            content = content[key]
        if value is ...:
            del content[last]
        else:
            content[last] = value

    return change


NAN, INF = float("nan"), float("inf")
NO_NUMBERS = [NAN, INF, -INF, 0, -1, "1", None, True, [1], {}, 10**30]
I = np.eye(4)  # noqa: E741


def pose(row, column, value):
    matrix = I.tolist()
    matrix[row][column] = value
    return matrix


# (path in the content of a transforms file, value, words of the message)
BAD_TRANSFORMS = [
    *(("camera_angle_x", value, "camera_angle_x") for value in (*NO_NUMBERS, 3.15, 7, -0.8, 1e-300)),
    *(("fl_x", value, "fl_x") for value in NO_NUMBERS),
    *(("w", value, "w: ") for value in (*NO_NUMBERS, 2.5, 65536)),
    *(("h", value, "h: ") for value in (*NO_NUMBERS, 2.5, 65536)),
    *(("cx", value, "cx: ") for value in (NAN, INF, "1", None, True, [1], 10**30)),
    *(("cy", value, "cy: ") for value in (NAN, -INF, "1", None, False, {}, -(10**30))),
    *(("scale", value, "scale: ") for value in (*NO_NUMBERS, 1e-30, 1e30)),
    *(("offset", value, "offset: ") for value in ([], [0.5], [0.5] * 2, [0.5] * 4, [0.5, 0.5, NAN], "0.5", 0.5, None)),
    *(("offset", [0.5, 0.5, value], "offset: ") for value in (INF, "1", None, True, [1], 10**30)),
    *(("frames", value, "frames: ") for value in ([], {}, None, 3, "frames")),
    ("frames", ..., "frames: missing"),
    *(("frames.1", value, "frames[1]") for value in (None, 3, "frame", [], {})),
    *(("frames.1.file_path", value, "frames[1].file_path") for value in (..., None, 3, "", [], "a" * 5000, "a\0b")),
    ("frames.1.file_path", "./train/none", "1 of 3 images do not exist"),
    ("frames.1.file_path", "train/../train/000.png", '000.png" is the picture of frames[0], too'),
    *((name, True, f"{name}: only pinholes are supported") for name in ("orthographic", "equirectangular", "latlong")),
    ("frames.1.file_path", "a\ud800", "holds characters that no file name has"),
    *(
        ("frames.1.transform_matrix", value, "frames[1].transform_matrix")
        for value in (
            *(..., None, 1, [], [[]], "pose", [1] * 16, I[:2].tolist(), I[:, :3].tolist(), np.eye(5).tolist()),
            *(np.zeros((4, 4)).tolist(), (2 * I).tolist(), (0.5 * I).tolist(), (-I).tolist(), (I * NAN).tolist()),
            *(np.diag([1, 1, -1, 1]).tolist(), np.diag([1, 1, 1, 0]).tolist(), [*I[:3].tolist(), [0, 0, 1]]),
            *(pose(0, 3, NAN), pose(1, 3, INF), pose(2, 3, 1e30), pose(0, 0, "1"), pose(0, 0, True), pose(0, 0, None)),
            *(pose(0, 1, 0.1), pose(3, 3, 2), pose(3, 0, 1), pose(1, 1, [1])),
        )
    ),
]

MESH = """mtllib one.mtl
v 0 0 0
v 1 0 0
v 0 1 0
v 0 0 1
usemtl paint
f 1 2 3
f 1 2 4
"""
BAD_MODELS = [  # .obj files
    ("no face", written("v 0 0 0\n"), "no faces in it"),
    ("no vertex", written("f 1 2 3\n"), "names a vertex that does not exist"),
    ("bad number", written(MESH.replace("v 1 0 0", "v 1 x 0")), "malformed line"),
    ("too few numbers", written(MESH.replace("v 1 0 0", "v 1 0")), "malformed line"),
    ("not finite", written(MESH.replace("v 1 0 0", "v nan 0 0")), "faces are broken"),
    ("endless", written(MESH.replace("v 1 0 0", "v inf 0 0")), "faces are broken"),
    ("absurd", written(MESH.replace("v 1 0 0", "v 1e300 0 0")), "faces are broken"),
    ("bad corner", written(MESH.replace("f 1 2 4", "f 1 2 x")), "malformed line"),
    ("float corner", written(MESH.replace("f 1 2 4", "f 1 2 4.5")), "malformed line"),
    ("minus", written(MESH.replace("f 1 2 4", "f 1 2 -")), "malformed line"),
    ("far back", written(MESH.replace("f 1 2 4", "f 1 2 -9")), "faces are broken"),
    ("bad back", written(MESH.replace("f 1 2 4", "f 1 2 -x")), "malformed line"),
    ("four parts", written(MESH.replace("f 1 2 4", "f 1/1/1/1 2 4")), "malformed line"),
    ("long index", written(MESH.replace("f 1 2 4", "f 1 2 " + "9" * 6000)), ""),
    ("long negative index", written(MESH.replace("f 1 2 4", "f 1 2 -" + "9" * 6000)), ""),
    ("two corners", written("v 0 0 0\nv 1 0 0\nf 1 2\n"), "fewer than three corners"),
    ("one point", written("v 0 0 0\n" * 3 + "f 1 2 3\n"), "no area"),
    ("zeros", written(b"\0" * 4096), "no faces in it"),
    ("UTF-16", written("v 0 0 0\n".encode("utf-16")), "no faces in it"),
]


def good(**changes):
    """The content of a configuration that is fine but for `changes`, by section."""
    return {"objects": {"folder": "models"}, **changes}
