"""What comes in is checked at the door: bad input ends in one line with file and reason, and leaves nothing behind."""

import contextlib
import dataclasses
import io
import json
import os
import shutil
import struct
from collections import namedtuple

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import damage
import gallery
import metrics
import orbit
import render
import render_views
import status
import summary
import train
from ball import ball_images
from damage import BAD_MODELS, BAD_TRANSFORMS, MESH, NO_FILES, NO_JSON, NO_NUMBERS, NO_PICTURES, at, with_json, written
from obj2ngp.common.checks import NAME
from obj2ngp.common.files import UserError, run_program
from obj2ngp.common.lattice import load_lattice
from obj2ngp.common.provenance import Provenance
from obj2ngp.ngp import backends
from obj2ngp.ngp.checkpoint import LOG_COLUMNS, restore_checkpoint, save_checkpoint
from obj2ngp.ngp.config import NetworkConfig, OccupancyConfig, TrainConfig
from obj2ngp.ngp.model_file import ModelError, load_model, save_model
from obj2ngp.ngp.settings import OrbitSettings, ViewSettings
from obj2ngp.ngp.training import TrainingRun, steps
from obj2ngp.scene.mtl_file import read_mtl
from obj2ngp.scene.obj_file import read_obj
from obj2ngp.scene.settings import Settings
from obj2ngp.views.nerf_synthetic import write_images
from obj2ngp.workflow.configuration import Resolved
from result_files import write_object, write_objects

TINY = TrainConfig(
    steps=2,
    samples_per_step=512,
    march_steps=32,
    supersampling=1,
    network=NetworkConfig(
        levels=2, table_log2=8, base_resolution=4, finest_resolution=16, density_width=8, color_width=8
    ),
    occupancy=OccupancyConfig(resolution=16, cells_per_update=256),
)
END = namedtuple("End", "code out err")
SCENE = ("train", "test", "transforms_train.json", "transforms_test.json")
MODEL = "model.safetensors"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that has gone all its way, and the folder of an object's results: a model, views and a checkpoint."""
    folder = tmp_path_factory.mktemp("good")
    images = ball_images(size=16)
    images = dataclasses.replace(images, rgba=images.rgba[:3], pose=images.pose[:3], names=images.names[:3])
    write_images(images, folder, "train")
    write_images(images, folder, "test")
    run = TrainingRun.alone(images, TINY, backends.select("cpu"))
    rows = list(steps(run))
    header = {"backend": "cpu", "device": "a CPU", "versions": {"torch": "2"}, "views": 3, "resolution": [16, 16]}
    save_model(folder / MODEL, run, header)
    save_checkpoint(folder / "checkpoint.safetensors", run, "key", rows)
    (folder / "one.obj").write_text(MESH)
    (folder / "one.mtl").write_text("newmtl paint\nKd 1 0 0\n")
    return run, folder


@pytest.fixture
def scene(trained, tmp_path):
    """A copy of the object's results, to damage."""
    target = tmp_path / "scene"
    shutil.copytree(trained[1], target)
    return target


def end_of(main, *words):
    """How a program ends that is run here, with what it printed."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            run_program(main, [str(word) for word in words])
        except SystemExit as end:
            code = end.code
    return END(code, out.getvalue(), err.getvalue())


def assert_refused(end, folder, file, words):
    """One line that names the file and the reason; nothing is written into `folder`/out."""
    assert end.code == 1, end
    assert end.err.startswith("error: ") and end.err.endswith("\n") and end.err.count("\n") == 1, end.err
    assert end.err.isascii() or end.err[:-1].isprintable()
    assert file in end.err and words in end.err, end.err
    assert len(end.err) < 1500
    assert not (folder / "out").exists() or not list((folder / "out").iterdir()), "something is left"


def trains(folder, settings="{}"):
    words = ["--object", "one", "--renders", folder, "--settings", settings, "--backend", "cpu"]
    return end_of(train.main, *words, "--model", folder / "out/m.safetensors", "--log", folder / "out/log.csv")


def renders_views(folder, settings="{}"):
    words = ["--object", "one", "--model", folder / MODEL, "--transforms", folder / "transforms_test.json"]
    return end_of(render_views.main, *words, "--settings", settings, "--backend", "cpu", "--out", folder / "out/test")


def turns(folder, settings="{}"):
    words = ["--object", "one", "--model", folder / MODEL, "--settings", settings, "--backend", "cpu"]
    return end_of(
        orbit.main,
        *words,
        "--gif",
        folder / "out/o.gif",
        "--webp",
        folder / "out/o.webp",
        "--video",
        folder / "out/o.mp4",
    )


def measures(folder):
    words = ["--object", "one", "--transforms", folder / "transforms_test.json", "--predictions", folder / "seen"]
    return end_of(metrics.main, *words, "--out", folder / "out/metrics.csv")


def renders(folder, settings='{"views": 2}'):
    words = ["--object", "one", "--model", folder / "one.obj", "--split", "train", "--settings", settings]
    return end_of(render.main, *words, "--images", folder / "out/train", "--transforms", folder / "out/t.json")


def named(cases):
    return [pytest.param(*case[1:], id=case[0]) for case in cases]


FIELDS = [
    pytest.param(with_json(at(where, value)), words, id=f"{where}={str(value)[:30]}-{index}")
    for index, (where, value, words) in enumerate(BAD_TRANSFORMS)
]


@pytest.mark.parametrize("spoil, words", [*named(NO_FILES), *named(NO_JSON), *FIELDS])
def test_views_to_train_on(scene, spoil, words):
    spoil(scene / "transforms_train.json")
    assert_refused(trains(scene), scene, "transforms_train.json", words)


@pytest.mark.parametrize("spoil, words", [*named(NO_FILES), *named(NO_JSON), *FIELDS[::9]])
def test_views_to_render(scene, spoil, words):
    spoil(scene / "transforms_test.json")
    assert_refused(renders_views(scene), scene, "transforms_test.json", words)


@pytest.mark.parametrize("spoil, words", [*named(NO_FILES), *named(NO_PICTURES)])
@pytest.mark.parametrize("index", [0, 2])
def test_pictures(scene, spoil, words, index):
    path = scene / "train" / f"{index:03d}.png"
    spoil(path)
    words = "images do not exist" if "not a regular" in words or "No such" in words or "links" in words else words
    assert_refused(trains(scene), scene, "scene", words)


def test_a_view_that_shows_nothing_among_good_ones(scene):
    path = scene / "train" / "001.png"
    iio.imwrite(path, np.zeros((16, 16, 4), np.uint8))
    assert_refused(trains(scene), scene, "transforms_train.json", "no opaque pixel in view 001")


def test_what_needs_more_memory_than_there_is(scene, monkeypatch):
    monkeypatch.setattr("obj2ngp.common.memory.memory_limit", lambda: 10**9)
    settings = {"network": {"levels": 32, "features": 8, "table_log2": 24, "finest_resolution": 4096}, "steps": 1}
    end = trains(scene, json.dumps({**settings, "samples_per_step": 1 << 22}))
    assert_refused(end, scene, "transforms_train.json", "GB of memory needed, 1.0 GB are there")
    end = trains(scene, '{"occupancy": {"resolution": 256}, "steps": 1}')  # what it is carved from
    assert_refused(end, scene, "transforms_train.json", "1.8 GB of memory needed, 1.0 GB are there")


# Model files and checkpoints: JSON and arrays, written anew with something else.
def parts(path):
    """(header's JSON, bytes of the arrays) of a safetensors file."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def joined(path, header, arrays, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + arrays)


def own(where, value):
    """Has the `value` at a place of our own JSON in the header."""

    def spoil(path):
        header, arrays = parts(path)
        content = json.loads(header["__metadata__"]["obj2ngp"])
        at(where, value)(content)
        header["__metadata__"]["obj2ngp"] = json.dumps(content)
        joined(path, header, arrays)

    return spoil


def outer(where, value):
    """Has the `value` at a place of the file's header."""

    def spoil(path):
        header, arrays = parts(path)
        at(where, value)(header)
        joined(path, header, arrays)

    return spoil


def array(name, change):
    """Changes the numbers of an array in place."""

    def spoil(path):
        header, arrays = parts(path)
        begin, end = header[name]["data_offsets"]
        kind = {"F32": np.float32, "I32": np.int32, "U8": np.uint8}[header[name]["dtype"]]
        values = np.frombuffer(arrays[begin:end], kind).copy()
        change(values)
        joined(path, header, arrays[:begin] + values.tobytes() + arrays[end:])

    return spoil


def put(value):
    def change(values):
        values[len(values) // 2] = value

    return change


def raw(function):
    """Changes the bytes of the file: a function of the header's length, the header and the arrays."""

    def spoil(path):
        content = path.read_bytes()
        length = struct.unpack("<Q", content[:8])[0]
        path.write_bytes(function(length, content[8 : 8 + length], content[8 + length :]))

    return spoil


def packed(length, header=b"{}", arrays=b""):
    return struct.pack("<Q", length) + header + arrays


TENSOR_FILES = [
    *NO_FILES,
    ("header of 2^63 bytes", raw(lambda n, h, a: packed(2**63, h, a)), "not a safetensors file of ours"),
    ("header of 100 GB", raw(lambda n, h, a: packed(10**11, h, a)), "not a safetensors file of ours"),
    ("no header", raw(lambda n, h, a: packed(0, b"", a)), "not a safetensors file of ours"),
    ("header longer", raw(lambda n, h, a: packed(n + 9, h, a)), ""),
    ("header shorter", raw(lambda n, h, a: packed(n - 9, h, a)), ""),
    ("header alone", raw(lambda n, h, a: packed(n, h)), "cut off, or damaged"),
    ("a byte missing", raw(lambda n, h, a: packed(n, h, a[:-1])), "cut off, or damaged"),
    ("a byte more", raw(lambda n, h, a: packed(n, h, a + b"x")), "cut off, or damaged"),
    ("empty header", raw(lambda n, h, a: packed(2, b"{}", a)), "__metadata__: missing"),
    ("no text", raw(lambda n, h, a: packed(4, b"\xff\xfe\xff\xfe", a)), "its header is no text"),
    ("deep header", raw(lambda n, h, a: packed(200_000, b"[" * 200_000)), "nested too deeply"),
    ("list", raw(lambda n, h, a: packed(2, b"[]")), "holds no keys"),
    ("no metadata", outer("__metadata__", ...), "__metadata__: missing"),
    ("metadata list", outer("__metadata__", []), "__metadata__: [] holds no keys"),
    ("metadata of others", outer("__metadata__", {"format": "pt"}), "__metadata__.obj2ngp: missing"),
    ("metadata number", outer("__metadata__", {"obj2ngp": 3}), "is no text"),
    ("metadata no JSON", outer("__metadata__", {"obj2ngp": "{"}), "not valid JSON"),
    ("metadata deep", outer("__metadata__", {"obj2ngp": "[" * 200_000}), "nested too deeply"),
    ("metadata twice", outer("__metadata__", {"obj2ngp": '{"a": 1, "a": 2}'}), "stated twice"),
    ("no array", outer("table", ...), ""),
    ("array no mapping", outer("table", 3), "table: 3 holds no keys"),
    ("type unknown", outer("table.dtype", "F33"), "does not fit its type and shape"),
    ("type wider", outer("table.dtype", "F64"), "does not fit its type and shape"),
    ("type no text", outer("table.dtype", 32), "table.dtype"),
    ("shape larger", outer("table.shape", [2**40, 2**40]), "does not fit its type and shape"),
    ("shape negative", outer("table.shape", [-1, 2]), "table.shape[0]"),
    ("shape no list", outer("table.shape", "512"), "table.shape"),
    ("shape of NaN", outer("table.shape", [damage.NAN]), "table.shape[0]"),
    ("places beyond", outer("table.data_offsets", [0, 10**12]), "does not fit its type and shape"),
    ("places backwards", outer("table.data_offsets", [4096, 0]), ""),
    ("places of one", outer("table.data_offsets", [0]), "table.data_offsets"),
    ("places of texts", outer("table.data_offsets", ["0", "1"]), "table.data_offsets"),
]


def reshaped(path):
    header, arrays = parts(path)
    header["table"]["shape"] = header["table"]["shape"][::-1]
    joined(path, header, arrays)


def retyped(path):
    header, arrays = parts(path)
    header["table"]["dtype"] = "I32"
    joined(path, header, arrays)


def one_more(path):
    header, arrays = parts(path)
    header["more"] = {"dtype": "U8", "shape": [4], "data_offsets": [len(arrays), len(arrays) + 4]}
    joined(path, header, arrays + b"more")


def resized(name, size):
    """An array of another length, in a file that is whole."""

    def spoil(path):
        header, arrays = parts(path)
        names = sorted(set(header) - {"__metadata__"}, key=lambda each: header[each]["data_offsets"])
        pieces = {each: arrays[slice(*header[each]["data_offsets"])] for each in names}
        width = {"F32": 4, "I32": 4, "U8": 1}[header[name]["dtype"]]
        pieces[name] = (pieces[name] * 2)[: size * width]
        header[name]["shape"] = [size]
        begin = 0
        for each in names:
            header[each]["data_offsets"] = [begin, begin + len(pieces[each])]
            begin += len(pieces[each])
        joined(path, header, b"".join(pieces[each] for each in names))

    return spoil


MODELS = [
    *TENSOR_FILES,
    ("table turned", reshaped, "table: F32 of shape"),
    ("table of integers", retyped, "table: I32 of shape"),
    ("an array more", one_more, "more: not known here"),
    ("weights short", resized("weights", 3), "weights: F32 of shape (3,)"),
    ("occupied short", resized("occupied", 8), "occupied: U8 of shape (8,)"),
    ("occupied long", resized("occupied", 1000), "occupied: U8 of shape (1000,)"),
    *((f"table {value}", array("table", put(value)), "table: not all") for value in (damage.NAN, damage.INF)),
    *((f"weights {value}", array("weights", put(value)), "weights: not all") for value in (damage.NAN, -damage.INF)),
    *((f"scale {i}", own("scale", value), "scale: ") for i, value in enumerate([*NO_NUMBERS, 1e-30, 1e30, ...])),
    *(
        (f"offset {i}", own("offset", value), "offset: ")
        for i, value in enumerate(([], [0.5] * 2, [0.5] * 4, [0.5, 0.5, damage.NAN], "0.5", None, ..., [[0.5] * 3]))
    ),
    *(
        (f"occupancy {i}", own("occupancy_shape", value), "occupancy_shape: ")
        for i, value in enumerate(([16, 16], [32] * 3, [16, 16, 17], [0] * 3, [-16] * 3, [10**9] * 3, "16", None, ...))
    ),
    *((f"config {i}", own("config", value), "config") for i, value in enumerate((None, 3, [], "tiny", ...))),
    ("grid of 512", own("config.occupancy.resolution", 512), "occupancy_shape: "),
    ("more levels", own("config.network.levels", 3), "in this version its settings make"),
    ("wider", own("config.network.density_width", 16), "weights: "),
    ("larger table", own("config.network.table_log2", 24), "table: "),
    ("unknown setting", own("config.network.depth", 3), "config.network.depth: unknown key"),
    *(
        (f"network {key}", own(f"config.network.{key}", value), f"config.network.{key}: ")
        for key, value in (("levels", 0), ("features", -1), ("sh_degree", 9), ("color_width", 1e9), ("levels", "2"))
    ),
    *(
        (f"setting {key} {i}", own(f"config.{key}", value), f"config.{key}: ")
        for i, (key, value) in enumerate(
            [("march_steps", 0), ("march_steps", 10**9), ("pixel_jitter", damage.NAN), ("steps", None), ("network", 3)]
        )
    ),
]


@pytest.mark.parametrize("spoil, words", named(MODELS))
def test_models(scene, spoil, words):
    spoil(scene / MODEL)
    assert_refused(turns(scene), scene, MODEL, words)


def test_a_model_that_is_not_usable_is_set_aside_for_the_workflow_alone(scene):
    damage.cut(0.5)(scene / MODEL)
    words = [
        "--object",
        "one",
        "--model",
        scene / MODEL,
        "--backend",
        "cpu",
        "--gif",
        scene / "g",
        "--webp",
        scene / "w",
        "--video",
        scene / "v",
    ]
    assert end_of(orbit.main, *words).code == 1 and (scene / MODEL).exists()
    end = end_of(orbit.main, *words, "--set-aside")
    assert_refused(end, scene, MODEL, "run again to train it anew")
    assert not (scene / MODEL).exists() and (scene / ".model.unusable.safetensors").exists()
    assert_refused(end_of(orbit.main, *words, "--set-aside"), scene, MODEL, "No such file")


def row(**changes):
    return [{**dict.fromkeys(LOG_COLUMNS, 1), **changes}]


CHECKPOINTS = [
    *((name, spoil, words) for name, spoil, words in TENSOR_FILES if name != "no array"),
    ("no array", outer("table", ...), ""),
    ("an array more", one_more, "more: not known here"),
    ("table turned", reshaped, "table: "),
    ("seen short", resized("seen", 7), "seen: "),
    *(
        (f"{name} negative", array(name, put(-1)), f"{name}: ")
        for name in ("step", "seen", "cursor", "active", "count")
    ),
    *((f"{name} beyond", array(name, put(2**31 - 1)), f"{name}: ") for name in ("step", "seen", "cursor", "active")),
    ("occupied 7", array("occupied", put(7)), "occupied: "),
    *(
        (f"{name} negative", array(name, put(-1)), f"{name}: ")
        for name in ("table_second", "weights_second", "density")
    ),
    *((f"{name} NaN", array(name, put(damage.NAN)), f"{name}: ") for name in ("table", "table_first", "density")),
    *((f"seconds {i}", own("seconds", value), "seconds: ") for i, value in enumerate((damage.NAN, -5, "1", None, ...))),
    *((f"key {i}", own("key", value), "key: ") for i, value in enumerate((3, None, "", ...))),
    *(
        (f"rows {i}", own("rows", value), "rows")
        for i, value in enumerate(
            (3, None, {}, ..., [3], [{}], row(loss="low"), row(step=damage.NAN), row(more=1), [{"step": 1}])
        )
    ),
]


@pytest.mark.parametrize("spoil, words", named(CHECKPOINTS))
def test_checkpoints(trained, scene, spoil, words):
    """One that is refused leaves the run as it was."""
    run = trained[0]
    path = scene / "checkpoint.safetensors"
    before = {name: tensor.clone() for name, tensor in run.state().items()}
    spoil(path)
    with pytest.raises(ModelError) as caught:
        restore_checkpoint(path, run, "key")
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and words in message and "\n" not in message
    assert all(bool((before[name] == tensor).all()) for name, tensor in run.state().items())


def test_a_good_checkpoint_and_a_good_model_are_taken(trained, scene):
    assert restore_checkpoint(scene / "checkpoint.safetensors", trained[0], "other") is None
    assert len(restore_checkpoint(scene / "checkpoint.safetensors", trained[0], "key")) == 1
    assert load_model(scene / MODEL).config == TINY


# Tables.
@pytest.fixture
def results(tmp_path):
    """The results of two objects."""
    for name in ("chair", "car"):
        write_object(tmp_path / name, [30, 31])
    write_objects(tmp_path / "objects.tsv", ["chair", "car"])
    assert sums_up(tmp_path).code == 0
    shutil.copy(tmp_path / "out" / "summary.csv", tmp_path / "summary.csv")
    shutil.rmtree(tmp_path / "out")
    return tmp_path


def sums_up(folder):
    words = ["--results", folder, "--logs", folder / "logs", "--objects", folder / "objects.tsv"]
    return end_of(summary.main, *words, "--out", folder / "out" / "summary.csv")


def shows(folder):
    words = ["--results", folder, "--objects", folder / "objects.tsv", "--summary", folder / "summary.csv"]
    return end_of(gallery.main, *words, "--out", folder / "out" / "gallery")


def stands(folder):
    return end_of(status.main, "--results", folder, "--logs", folder / "logs")


NO_TABLES = [
    *NO_FILES,
    ("NUL", written("object\tresults\nchair\0\tmetrics.csv\n"), "NUL"),
    ("UTF-16", written("object\tresults\nchair\tmetrics.csv\n".encode("utf-16")), "not UTF-8"),
    ("sparse", damage.sparse, "more than 268,435,456"),
    ("quote", written('object\tresults\n"chair\tmetrics.csv\n'), "line "),
    ("other columns", written("name\tfiles\nchair\tmetrics.csv\n"), "needs one column 'object'"),
    ("column twice", written("object\tobject\tresults\nchair\tchair\tmetrics.csv\n"), "needs one column 'object'"),
]
OBJECT_TABLES = [
    *NO_TABLES,
    ("cut", damage.cut(-3), "cut off"),
    ("short row", written("object\tresults\nchair\n"), "line 2: 1 cells"),
    ("long row", written("object\tresults\nchair\tmetrics.csv\t3\n"), "line 2: 3 cells"),
    ("twice", written("object\tresults\nchair\tmetrics.csv\nchair\tmetrics.csv\n"), "names an object twice"),
    ("no results", written("object\tresults\nchair\t\n"), "no results"),
    *(
        (f"name {index}", written(f"object\tresults\n{name}\tmetrics.csv\n"), "is no name of an object")
        for index, name in enumerate(("../x", "/etc/passwd", ".", "..", "a b", "-x", "=1+1", "<b>", "\x1b[31m", "a/b"))
    ),
    *(
        (f"result {index}", written(f"object\tresults\nchair\t{path}\n"), "is no path inside a folder")
        for index, path in enumerate(("../x", "/etc/passwd", "a/../../b", "a//b", "renders/", "-x", "$(ran)"))
    ),
]


@pytest.mark.parametrize("spoil, words", named(OBJECT_TABLES))
@pytest.mark.parametrize("program", [sums_up, shows, stands], ids=["summary", "gallery", "status"])
def test_tables_of_objects(results, program, spoil, words):
    spoil(results / "objects.tsv")
    assert_refused(program(results), results, "objects.tsv", words)


@pytest.mark.parametrize("spoil, words", named([*NO_TABLES[:-2], NO_TABLES[-2]]))
def test_summaries(results, spoil, words):
    if words == "line ":
        pytest.skip("a quote that is left open concerns one row")
    spoil(results / "summary.csv")
    assert_refused(shows(results), results, "summary.csv", words)


def cell(value, column="psnr"):
    columns = {"object": "chair", "view": "001", "psnr": 30, "ssim": 0.9, "flip": 0.1, column: value}
    header = "object,view,psnr,ssim,flip\nchair,000,30,0.9,0.1\n"
    return written(header + ",".join(map(str, columns.values())) + "\n")


METRICS = [
    *(each for each in NO_TABLES[1:-2] if each[0] not in ("quote", "link to itself", "link to nothing")),
    ("quote", written('object,view,psnr,ssim,flip\nchair,"000,30,0.9,0.1\n'), "line "),
    ("cut", damage.cut(0.9), "cut off"),
    ("all but the end", damage.cut(-1), "cut off"),
    ("no views", written("object,view,psnr,ssim,flip\n"), "no views"),
    ("view twice", cell("000", "view"), "stands there 2 times"),
    ("other object", cell("car", "object"), "of object 'car'"),
    *((f"psnr {value}", cell(value), "psnr is not") for value in ("nan", "inf", "-inf", "", "dark", "1e999", -3, 101)),
    *((f"ssim {value}", cell(value, "ssim"), "ssim is not") for value in ("nan", 1.5, -2)),
    *((f"flip {value}", cell(value, "flip"), "flip is not") for value in ("nan", 1.5, -0.1)),
]
RECORDS = [
    *NO_FILES[1:4],
    *NO_FILES[6:],
    *NO_JSON,
    *(
        (f"{where} {index}", with_json(at(where, value)), where)
        for where in ("mesh.faces", "mesh.vertices")
        for index, value in enumerate((damage.NAN, damage.INF, -1, "12", None, True, [], 1.5, 10**30, ...))
    ),
    *((f"mesh {i}", with_json(at("mesh", value)), "mesh") for i, value in enumerate((None, 3, [], ...))),
    *((f"blender {i}", with_json(at("versions.blender", v)), "versions") for i, v in enumerate((None, 3, [], "", ...))),
]
HEADERS = [
    *(each for each in TENSOR_FILES[1:4] + TENSOR_FILES[6:] if "array" not in each[0]),
    *((f"steps {i}", own("steps", value), "steps: ") for i, value in enumerate((damage.NAN, -1, "1", None, 1.5, ...))),
    *((f"seconds {i}", own("training_seconds", v), "training_seconds: ") for i, v in enumerate((damage.NAN, "1", ...))),
    *(
        (f"resolution {i}", own("resolution", value), "resolution: ")
        for i, value in enumerate(([16], "ab", [0, 16], [damage.NAN, 3], None, ["1", "2"], ...))
    ),
    *(
        (f"backend {i}", own("backend", value), "backend: ")
        for i, value in enumerate((3, None, {}, "", "x" * 999, ...))
    ),
    *(
        (f"versions {i}", own("versions", value), "versions")
        for i, value in enumerate((3, None, [], {"torch": 3}, ...))
    ),
]


@pytest.mark.parametrize(
    "file, spoil, words",
    [
        pytest.param(file, *case[1:], id=f"{file}-{case[0]}")
        for file, cases in (("metrics.csv", METRICS), ("renders/train/record.json", RECORDS), (MODEL, HEADERS))
        for case in cases
    ],
)
def test_unfit_results_concern_their_object_alone(results, file, spoil, words):
    spoil(results / "chair" / file)
    end = sums_up(results)
    assert end.code == 0 and not end.err
    [line] = [line for line in end.out.splitlines() if line.startswith("chair: ")]
    assert line.startswith(f"chair: {file}: ") and words in line, line
    table = (results / "out" / "summary.csv").read_text()
    assert "\ncar,ok," in table and table.count("\n") == 5 and "\nchair,ok" not in table


def test_control_characters_and_formulas_go_nowhere(results):
    """A forged line in a log, an escape sequence, and what a spreadsheet would run."""
    (results / "chair" / "metrics.csv").unlink()
    (results / "logs" / "chair").mkdir(parents=True)
    words = 'error: object chair: \x1b]0;owned\x07\x1b[31m\x0cerror: =HYPERLINK("x")\u202e\n'
    (results / "logs" / "chair" / "train.log").write_text(words)
    (results / "logs" / "car").mkdir()
    (results / "car" / "metrics.csv").unlink()
    (results / "logs" / "car" / "train.log").write_text("error: object car: =cmd|'/c calc'!A1\n")
    end = sums_up(results)
    table = (results / "out" / "summary.csv").read_text()
    for text in (end.out, table):
        assert text.replace("\n", "").isprintable()
    assert "\\x1b[31m\\x0cerror: =HYPERLINK" in end.out
    assert "car,'=cmd|" in table
    shutil.copy(results / "out" / "summary.csv", results / "summary.csv")
    assert shows(results).code == 0
    for page in (results / "out" / "gallery").rglob("*.[hj]*"):
        text = page.read_text()
        assert not {"\x1b", "\x0c", "\u202e"} & set(text), page


# Meshes and settings.
@pytest.mark.parametrize("spoil, words", [*named(NO_FILES), *named(BAD_MODELS)])
def test_meshes(scene, spoil, words, monkeypatch):
    """What the reader lets through is for the mesh to refuse, in Blender or, as here, without."""
    from obj2ngp.scene import mesh, rendering
    from obj2ngp.scene.problems import Problems

    def load_scene(arguments, settings, problems, *more):
        obj = read_obj(arguments.model)
        mesh.build_mesh(obj, arguments.model, np.zeros(99, bool), "Y", 0.9, None, Problems(settings))
        raise AssertionError("nothing was wrong")

    monkeypatch.setattr(rendering, "load_scene", load_scene)
    spoil(scene / "one.obj")
    assert_refused(renders(scene), scene, "one.obj", words)


@pytest.mark.parametrize("spoil, words", named(NO_FILES[1:4]))
def test_libraries(scene, spoil, words):
    spoil(scene / "one.mtl")
    with pytest.raises(UserError, match=words):
        read_mtl(scene / "one.mtl")


SETTINGS = [
    *(
        (text, "--settings: ")
        for text in (
            "",
            "{",
            "[]",
            "3",
            "null",
            '"a"',
            "[" * 100_000,
            '{"a": 1, "a": 2}',
            "{} {}",
            '{"a": ' + "9" * 5000,
        )
    ),
    ('{"nothing": 1}', "nothing: unknown key"),
    ('{"\\u001b[31m": 1}', "\\x1b[31m: unknown key"),
]


@pytest.mark.parametrize("text, words", SETTINGS, ids=range(len(SETTINGS)))
@pytest.mark.parametrize("program", [trains, renders_views, turns, renders])
def test_settings(scene, program, text, words):
    assert_refused(program(scene, text), scene, "", words)


def leaves(kind, path=()):
    """(path, limits, type) of each setting with bounds in a dataclass."""
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(field.default):
            yield from leaves(type(field.default), (*path, field.name))
        elif field.metadata["low"] is not None:
            yield (*path, field.name), field.metadata, field.default


def beyond(limits, default):
    """Values that a setting with these limits cannot have."""
    wrong = [limits["low"] - 1, limits["high"] + 1, damage.NAN, damage.INF, -damage.INF, 10**400, "much", {}, True]
    return [[value] * len(default) for value in wrong] if isinstance(default, tuple) else wrong


def nested(path, value):
    for key in reversed(path):
        value = {key: value}
    return value


BOUNDED = [
    pytest.param(section, path, value, id=".".join((section, *path)) + f"-{index}")
    for section, kind in (
        ("render", Settings),
        ("train", TrainConfig),
        ("test", ViewSettings),
        ("orbit", OrbitSettings),
    )
    for path, limits, default in leaves(kind)
    for index, value in enumerate(beyond(limits, default))
    if path[-1] != "seed" and (section != "render" or path != ("views",))
]


@pytest.mark.parametrize("section, path, value", BOUNDED)
def test_values_out_of_bounds(section, path, value):
    """The configuration refuses them by key, in a line."""
    with pytest.raises(UserError) as caught:
        Resolved({section: nested(path, value)})
    message = str(caught.value)
    assert message.startswith(f"configuration: {'.'.join((section, *path))}: ")
    assert "\n" not in message and len(message) < 300


ODD = [  # (section, key, text as `--config` or a table has it): values that nothing can be read from
    ("train", "steps", "[" * 5000),
    ("train", "steps", "{a: " * 2000),
    ("train", "steps", "&a [*a]"),
    ("train", "steps", "&a {*a : *a}"),
    ("train", "steps", "!!timestamp x"),
    ("train", "steps", "!!float ''"),
    ("train", "steps", "!!python/object/apply:os.system ['ls']"),
    ("train", "steps", "0x" + "f" * 5000),
    ("train", "steps", "1" + ":59" * 3000),
    ("train", "steps", "9" * 6000),
    ("train", "steps", "\ud800"),
    ("train", "y" * 9000, "1"),
    ("train", "a\nb\x1b[31m", "1"),
    ("project", "results", "a" * 300),
    ("project", "results", "a/" * 900),
]


@pytest.mark.parametrize("section, key, text", ODD, ids=range(len(ODD)))
def test_odd_values_of_the_configuration(section, key, text):
    with pytest.raises(UserError) as caught:
        Resolved({section: {key: text}})
    message = str(caught.value)
    assert message.startswith(f"configuration: {section}.") and "\n" not in message and len(message) < 1500


@pytest.mark.parametrize("results", ["-rf", " a", "a ", "a\nb", "a\x1bb", "a{b}", ""])
def test_folders_of_results_that_programs_would_misread(results):
    with pytest.raises(UserError, match="^configuration: project.results: "):
        Resolved({"project": {"results": results}})


# The density lattice, and the records of jobs.
def lattice_with(**changes):
    """Has other arrays in the file of a lattice."""

    def spoil(path):
        np.savez_compressed(path.open("wb"), **{**GOOD_LATTICE, **changes})

    return spoil


CODE = np.arange(64, dtype=np.uint8).reshape(4, 4, 4)
GOOD_LATTICE = {"code": CODE, "scale": np.float64(1), "offset": np.zeros(3)}
LATTICES = [
    *NO_FILES,
    ("half", damage.cut(0.5), "no density lattice"),
    ("all but a byte", damage.cut(-1), "no density lattice"),
    ("sparse", damage.sparse, "no density lattice"),
    ("one array", lambda path: np.save(path.open("wb"), CODE), "no density lattice"),
    ("no code", lambda path: np.savez(path.open("wb"), scale=1.0), "no density lattice"),
    ("floats", lattice_with(code=CODE / 2), "code: float64 of shape (4, 4, 4)"),
    ("signed", lattice_with(code=CODE.astype(np.int8)), "code: int8"),
    ("objects", lattice_with(code=np.array([{}], object)), "no density lattice"),
    ("flat", lattice_with(code=CODE[0]), "of shape (4, 4)"),
    ("no cube", lattice_with(code=CODE[:2]), "of shape (2, 4, 4)"),
    ("no cell", lattice_with(code=CODE[:0, :0, :0]), "of shape (0, 0, 0)"),
    *((f"scale {v}", lattice_with(scale=np.float64(v)), "scale: ") for v in (0, -1, damage.NAN, damage.INF)),
    ("two scales", lattice_with(scale=np.ones(2)), "scale: "),
    ("text", lattice_with(scale=np.array("1")), "scale: "),
    ("short offset", lattice_with(offset=np.zeros(2)), "offset: "),
    ("offset of NaN", lattice_with(offset=np.full(3, damage.NAN)), "offset: "),
]


@pytest.mark.parametrize("spoil, words", named(LATTICES))
def test_lattices(tmp_path, spoil, words):
    path = tmp_path / "density.npz"
    lattice_with()(path)
    assert load_lattice(path).density.shape == (4, 4, 4)
    spoil(path)
    assert_refused(end_of(lambda argv: load_lattice(*argv), path), tmp_path, "density.npz", words)


def test_a_lattice_that_unpacks_to_more_than_any_has_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("obj2ngp.common.lattice.LARGEST", 100)
    lattice_with()(tmp_path / "density.npz")
    with pytest.raises(UserError, match="an array of more than 100 bytes"):
        load_lattice(tmp_path / "density.npz")


JOB = {"job": "train", "state": "ok", "rule": "train", "parameters": {}, "files": {}, "results": {}, "outputs": {}}


def rows(*changes):
    return "".join(json.dumps({**JOB, **change}) + "\n" for change in changes).encode()


CHAIN = [{"job": f"j{i}", "results": {f"{i + 1}": "a"}, "outputs": {f"{i}": {"sha256": "a"}}} for i in range(3000)]
JOBS = {
    "chain": rows(*CHAIN),
    "circle": rows({"results": {"a": "1"}, "outputs": {"a": {"sha256": "1"}}}),
    "NUL in a file": rows({"files": {"a\0b": {"stamp": [1, 2], "sha256": "a"}}}),
    "NUL in a result": rows({"outputs": {"a\0b": {"files": {}}}}),
    "lone surrogate": rows({"outputs": {"a\ud800": {"files": {}}}}),
    "long name": rows({"files": {"a" * 5000: {"stamp": None, "sha256": None}}}),
    "device": rows({"files": {"/dev/zero": {"stamp": [1, 2], "sha256": "a"}}}),
    "outside": rows({"outputs": {"../../../etc": {"files": {"passwd": "a"}}}}),
    "empty lines": b"\n" * 1_000_000,
    "NUL": b"\0" * 1000,
    "deep": b'{"job":' + b"[" * 100_000 + b"\n",
    "many": rows(*({"job": f"j{i}"} for i in range(20_000))),
}


@pytest.mark.parametrize("content", JOBS.values(), ids=JOBS)
def test_records_of_jobs_are_read_as_far_as_they_can_be(tmp_path, content):
    """They are written by programs alone: what is unfit counts as absent, and never stops or delays a run."""
    (tmp_path / "provenance.jsonl").write_bytes(content)
    records = Provenance(tmp_path)
    for job in records.records:
        refused_or(records.stale, job, {})
        assert records.stopped(job) is None


# Any content at all.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def refused_or(function, *words):
    """Whether `function` takes `words`; what it raises otherwise is one line."""
    try:
        function(*words)
    except UserError as error:
        assert "\n" not in str(error)
        return False
    return True


@given(st.binary(max_size=200) | st.text(alphabet="vftn 0123456789-/.eE#\\\n\t", max_size=200).map(str.encode))
def test_any_mesh_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.obj"
    path.write_bytes(content)
    refused_or(read_obj, path)
    refused_or(read_mtl, path)


@given(st.sampled_from(["newmtl a\nKd", "newmtl a\nmap_Kd", "newmtl a\nd", "newmtl a\nNs"]), st.text(max_size=30))
def test_any_material_is_read_or_refused(tmp_path_factory, start, rest):
    path = tmp_path_factory.getbasetemp() / "any.mtl"
    path.write_bytes(f"{start} {rest}\n".encode("utf-8", "surrogatepass"))
    refused_or(read_mtl, path)


@given(st.sampled_from(["scale", "offset", "config", "config.network.levels", "occupancy_shape", "config.seed"]), JSON)
def test_any_model_header_is_read_or_refused(trained, tmp_path_factory, where, value):
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    shutil.copy(trained[1] / MODEL, path)
    own(where, value)(path)
    refused_or(load_model, path)


@given(st.data())
def test_any_damage_of_a_model_is_seen_or_does_no_harm(trained, tmp_path_factory, data):
    content = bytearray((trained[1] / MODEL).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, min(1500, len(content) - 1)))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    path.write_bytes(bytes(content))
    refused_or(load_model, path)


@given(st.text(max_size=40))
def test_any_name_is_taken_or_not(name):
    assert not NAME.fullmatch(name) or (name and "/" not in name and "\0" not in name and not name.startswith("-"))


@given(st.binary(max_size=120) | st.text(alphabet='object\tresults\n",x', max_size=80).map(str.encode))
def test_any_table_is_read_or_refused(tmp_path_factory, content):
    from obj2ngp.common.tables import read_table

    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    refused_or(read_table, path, ["object"], "\t")


# The machine's limits.
@pytest.mark.parametrize(
    "error, words",
    [
        (MemoryError("Unable to allocate 8 EiB"), "out of memory: Unable to allocate 8 EiB"),
        (MemoryError(), "out of memory"),
        (
            RuntimeError("CUDA out of memory. Tried to allocate 2 GiB.\nMore"),
            "out of memory: CUDA out of memory. Tried",
        ),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out of memory"),
        (ImportError("libx.so: failed to map segment from shared object"), "out of memory: libx.so: failed to map"),
        (OSError(28, os.strerror(28)), "No space left on device"),
        (PermissionError(13, os.strerror(13), "one.png"), "one.png: Permission denied"),
        (OSError(36, os.strerror(36), "a" * 9), "aaaaaaaaa: File name too long"),
        (BrokenPipeError(32, os.strerror(32)), "Broken pipe"),
        (OSError("encoder error -2 when writing image file"), "encoder error -2"),
    ],
)
def test_the_machine_s_limits_are_told_in_a_line(scene, monkeypatch, error, words):
    def fail(*arguments):
        raise error

    monkeypatch.setattr("obj2ngp.ngp.train_object.read_images", fail)
    end = trains(scene)
    assert_refused(end, scene, "", words)
    assert end.err.startswith("error: object one: ") and end.err.count("\n") == 1


def test_a_bug_keeps_its_traceback(scene, monkeypatch):
    monkeypatch.setattr("obj2ngp.ngp.train_object.read_images", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trains(scene)
