"""At the door: model files, checkpoints, density lattices and the records of jobs."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import damage
import orbit
from damage import NO_FILES, NO_NUMBERS
from door_helpers import MODEL, TINY, assert_refused, end_of, named, refused_or, turns
from obj2ngp.common.files import UserError
from obj2ngp.common.lattice import load_lattice
from obj2ngp.common.provenance import Provenance
from obj2ngp.ngp.checkpoint import LOG_COLUMNS, restore_checkpoint
from obj2ngp.ngp.model_file import ModelError, load_model
from tensor_damage import TENSOR_FILES, array, joined, outer, own, parts, put


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
    *(
        (f"scale {v}", lattice_with(scale=np.float64(v)), "scale: ")
        for v in (0, -1, 1e-300, 1e300, damage.NAN, damage.INF)
    ),
    ("two scales", lattice_with(scale=np.ones(2)), "scale: "),
    ("text", lattice_with(scale=np.array("1")), "scale: "),
    ("short offset", lattice_with(offset=np.zeros(2)), "offset: "),
    ("offset of NaN", lattice_with(offset=np.full(3, damage.NAN)), "offset: "),
    ("offset far away", lattice_with(offset=np.full(3, 1e300)), "offset: "),
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
