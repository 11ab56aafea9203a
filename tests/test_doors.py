"""What comes in is checked at the door: bad input ends in one line with file and reason, and leaves nothing behind.

Views, meshes, settings and the machine's limits; model files and tables have files of their own beside this.
"""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import damage
from damage import BAD_MODELS, BAD_TRANSFORMS, NO_FILES, NO_JSON, NO_PICTURES, at, with_json
from door_helpers import MODEL, assert_refused, named, refused_or, renders, renders_views, trains, turns
from obj2ngp.common.checks import NAME
from obj2ngp.common.files import UserError
from obj2ngp.ngp.config import TrainConfig
from obj2ngp.ngp.settings import OrbitSettings, ViewSettings
from obj2ngp.scene.mtl_file import read_mtl
from obj2ngp.scene.obj_file import read_obj
from obj2ngp.scene.settings import Settings
from obj2ngp.workflow.configuration import Resolved

PROGRAMS = Path(__file__).resolve().parents[1] / "workflow_scripts"
FIELDS = [
    pytest.param(with_json(at(where, value)), words, id=f"{where}={str(value)[:30]}-{index}")
    for index, (where, value, words) in enumerate(BAD_TRANSFORMS)
]


@pytest.mark.parametrize("spoil, words", [*named(NO_FILES), *named(NO_JSON), *FIELDS])
def test_views_to_train_on(scene, spoil, words):
    spoil(scene / "transforms_train.json")
    assert_refused(trains(scene), scene, "transforms_train.json", words)


def far_away(content):
    content["frames"][1]["transform_matrix"][0][3] = 1e6


@pytest.mark.parametrize(
    "change", [at("offset", [50.0] * 3), at("cx", 1e6), at("cy", -1e6), far_away], ids=["cube", "cx", "cy", "pose"]
)
def test_views_of_something_else_than_what_the_unit_cube_holds(scene, change):
    with_json(change)(scene / "transforms_train.json")
    assert_refused(trains(scene), scene, "transforms_train.json", "inside every view's silhouette")


@pytest.mark.parametrize("path", [".", "..", "train/.000", "/"])
def test_pictures_that_no_view_is_named_after(scene, path):
    with_json(at("frames.1.file_path", path))(scene / "transforms_test.json")
    assert_refused(renders_views(scene), scene, "transforms_test.json", "is no name of a view")
    with_json(at("frames.1.file_path", path))(scene / "transforms_train.json")
    assert_refused(trains(scene), scene, "transforms_train.json", "do not exist")


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


def test_a_file_that_cannot_be_measured_is_named(scene):
    """The kernel has such under /proc."""
    damage.linked("/proc/self/mem")(scene / "transforms_train.json")
    assert_refused(trains(scene), scene, "transforms_train.json", "Invalid argument")


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


# Any content at all.
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


@given(st.text(max_size=40))
def test_any_name_is_taken_or_not(name):
    assert not NAME.fullmatch(name) or (name and "/" not in name and "\0" not in name and not name.startswith("-"))


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
        (RuntimeError("can't start new thread"), "can't start new thread"),
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


@pytest.mark.slow
@pytest.mark.parametrize("limit", [300, 700, 1000])  # megabytes of address space
@pytest.mark.parametrize("threads", [1, 2])
def test_a_process_of_its_own_with_little_room_ends_in_a_line(scene, limit, threads):
    """What it needs first are libraries: PyTorch's, numba's, and SciPy's, which would try for ever."""
    words = f"--object one --model {scene / MODEL} --backend cpu --threads {threads} --gif g --webp w --video v"
    command = f"ulimit -v {limit * 1000}; exec {sys.executable} {PROGRAMS / 'orbit.py'} {words}"
    end = subprocess.run(["bash", "-c", command], cwd=scene, capture_output=True, text=True, timeout=120)
    assert end.returncode == 1 and end.stderr.count("\n") == 1, end
    assert end.stderr.startswith("error: object one: ") and ("address space" in end.stderr or "memory" in end.stderr)


def test_a_bug_keeps_its_traceback(scene, monkeypatch):
    monkeypatch.setattr("obj2ngp.ngp.train_object.read_images", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trains(scene)
