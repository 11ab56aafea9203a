"""The configuration: errors that name the key, settings of each object, and a reference that agrees with it."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from obj2ngp.common.files import UserError
from obj2ngp.common.settings import from_mapping, read_settings
from obj2ngp.ngp import backends
from obj2ngp.ngp.config import TrainConfig
from obj2ngp.ngp.settings import OrbitSettings, ViewSettings
from obj2ngp.scene.settings import Settings as RenderSettings
from obj2ngp.workflow.config_file import check_file
from obj2ngp.workflow.configuration import Configuration, Settings, Train
from obj2ngp.workflow.objects import Object
from obj2ngp.workflow.reference import README, SCHEMA, schema, write

ROOT = Path(__file__).resolve().parents[1]


REPEATED = "[&a [x, x, x, x, x, x, x, x, x, x]"  # ten thousand million texts in one line
for one, next_one in zip("abcdefghi", "bcdefghij", strict=True):
    REPEATED += f", &{next_one} [{', '.join([f'*{one}'] * 10)}]"
REPEATED += "]"


def make_settings(overrides=None, **sections):
    """Settings of the object `plain` and of `special`, which has the overrides."""
    special = Object("special", "special.obj", tuple((overrides or {}).items()))
    return Settings(sections, lambda source: {"plain": Object("plain", "plain.obj"), "special": special})


def refused(words, *arguments, **options):
    with pytest.raises(UserError) as error:
        make_settings(*arguments, **options)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "sections, words",
    [
        ({"rendr": {}}, ["configuration: rendr: unknown key", "render"]),
        ({"render": {"prest": "draft"}}, ["render.prest", "preset"]),
        ({"render": {"preset": "best"}}, ["render.preset", "best", "draft"]),
        ({"render": {"views": {"train": 0}}}, ["render.views.train", "0"]),
        ({"render": {"resolution": [128]}}, ["render.resolution"]),
        ({"render": {"cameras": {"azimuth": [90, 0]}}}, ["render.cameras.azimuth: must be [low, high]"]),
        ({"render": {"blender": "/no/blender"}}, ["render.blender", "/no/blender"]),
        ({"train": {"backend": "tpu"}}, ["train.backend", "tpu"]),
        ({"train": {"stepps": 3}}, ["train.stepps", "steps"]),
        ({"train": {"network": {"levels": "many"}}}, ["train.network.levels", "auto"]),
        ({"train": {"network": {"finest_resolution": 4}}}, ["train.network.finest_resolution", "below"]),
        ({"project": {"results": "a{b"}}, ["project.results"]),
        ({"project": {"results": "a<b>c"}}, ["project.results", "a word in < >"]),
        ({"project": {"results": "a\\b"}}, ["project.results", "Blender"]),
        ({"project": {"results": f"{__file__}/results"}}, ["project.results", f"{__file__} is no folder"]),
        ({"project": {"results": "a/../b/"}, "objects": {"views": "b"}}, ["project.results", "is objects.views"]),
        ({"export": {"mesh": {"files": []}}}, ["export.mesh.files", "at least 1"]),
        ({"gallery": {"compare": "a{b"}}, ["gallery.compare", "{ or }"]),
        ({"gallery": {"compare": "-rf"}}, ["gallery.compare", "begin with -"]),
        ({"gallery": {"compare": "no/results"}}, ["gallery.compare", "no summary.csv in no/results"]),
        ({"objects": {"shapenet": {}}}, ["objects.shapenet.root", "missing"]),
        ({"objects": {"shapenet": {"root": "a", "synsets": [0o3001627]}}}, ["objects.shapenet.synsets", "in quotes"]),
    ],
)
def test_wrong_configuration_is_one_line_that_names_the_key(sections, words):
    refused(words, **sections)


@pytest.mark.parametrize(
    "content, words",
    [
        ("orbit: {fps: 3}\ntrain:\norbit: {size: 32}\n", "line 3: not usable YAML: orbit is stated twice"),
        ("orbit:\n  size: 32\n  size: 64\n", "line 3: not usable YAML: size is stated twice"),
        ("orbit:\n\tsize: 32\n", "line 2: not usable YAML: "),
        ("orbit: {size: 32\n", "line 2: not usable YAML: "),
        ("orbit: {size: !wide 32}\n", "line 1: not usable YAML: "),
        ("orbit: {? [1] : 32}\n", "line 1: not usable YAML: "),
        ("orbit: &orbit {size: *orbit}\n", "line 1: not usable YAML: it holds itself"),
        ("orbit: {size: " + "[" * 20000, "line 1: not usable YAML: "),
        ("orbit: {size: " + "[" * 900 + "]" * 900 + "}", "line 1: not usable YAML: nested too deeply"),
        ("orbit: {size: " + "9" * 5000 + "}\n", "not usable YAML: "),
        ("---\norbit:\n---\ntrain:\n", "line 3: not usable YAML: "),
        ("orbit: 2026-13-01\n", "not usable YAML: month must be in 1..12"),
        ("\0", "not usable YAML: "),
        (b"orbit: \xff\n", "not UTF-8 at byte 7"),
        ("", "holds no keys"),
        ("# orbit:\n", "holds no keys"),
        ("- orbit\n", "holds no keys"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_by_line(tmp_path, content, words):
    path = tmp_path / "config.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        check_file(path)
    assert str(error.value).startswith(f"{path}: {words}") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content", ['\ufeff{"orbit":\t{"size": 32}}', "a: &a {size: 32}\norbit: {<<: *a, size: 64}\ntest: [*a, *a]\n", "{}"]
)
def test_whatever_else_yaml_and_json_can_say_is_left_to_others(tmp_path, content):
    (tmp_path / "config.yaml").write_text(content, encoding="utf-8")
    check_file(tmp_path / "config.yaml")


def test_each_program_gets_exactly_what_changes_its_result():
    settings = make_settings(project={"seed": 5})
    views = {"train": 24, "val": 8, "test": 24}
    for split, count in views.items():
        given = json.loads(settings.json("render", "plain", split))
        assert set(given) == {field.name for field in dataclasses.fields(RenderSettings)}
        assert given["views"] == count and given["seed"] == 5
    assert json.loads(settings.json("train", "plain")) == {"seed": 5}
    assert json.loads(settings.json("render_test", "plain")) == {"supersampling": 3, "geometry": True}
    assert json.loads(settings.json("orbit", "plain"))["frames"] == 60


def test_programs_accept_what_they_are_given_and_defaults_are_theirs():
    settings = make_settings()
    assert read_settings(RenderSettings, settings.json("render", "plain", "train")) == RenderSettings()
    assert read_settings(ViewSettings, settings.json("render_test", "plain")) == ViewSettings()
    assert read_settings(OrbitSettings, settings.json("orbit", "plain")) == OrbitSettings()


def test_the_same_settings_in_other_words_are_the_same():
    plain, same = (
        make_settings(),
        make_settings(
            render={"cameras": {"radius": 1.5, "azimuth": [0, 360]}, "resolution": [128.0, 128], "light": None},
            train={"steps": "auto", "network": {"levels": "auto"}},
            orbit=None,
        ),
    )
    for program, split in (("render", "val"), ("train", None), ("render_test", None), ("orbit", None)):
        assert plain.json(program, "plain", split) == same.json(program, "plain", split)


def test_overrides_change_one_object_only():
    overrides = {"render.up": "Z", "render.views.test": "3", "train.network.levels": "4", "orbit.elevation": "-5.5"}
    settings, without = make_settings(overrides, orbit=None), make_settings()
    for program, split in (("render", "test"), ("render", "train"), ("train", None), ("orbit", None)):
        assert settings.json(program, "plain", split) == without.json(program, "plain", split)
    assert json.loads(settings.json("render", "special", "test"))["views"] == 3
    assert json.loads(settings.json("render", "special", "train"))["up"] == "Z"
    assert json.loads(settings.json("train", "special"))["network"] == {"levels": 4}
    assert json.loads(settings.json("orbit", "special"))["elevation"] == -5.5


@pytest.mark.parametrize(
    "overrides, words",
    [
        ({"up": "Z"}, ["special", "'up'", "render, views"]),
        ({"project.seed": "1"}, ["special", "project.seed"]),
        ({"render.blender": "/bin/true"}, ["special", "except render.blender"]),
        ({"render.upp": "Z"}, ["special", "render.upp", "unknown"]),
        ({"render.up": "X"}, ["special", "render.up", "X"]),
        ({"render.views.test": "many"}, ["special", "render.views.test", "many"]),
        ({"render.up.axis": "Z"}, ["special", "render.up", "axis"]),
        ({"render.up": "[Z"}, ["special", "render.up", "[Z"]),
        ({"render.fit": "[true"}, ["special", "render.fit", "true or false"]),
        ({"train.network.levels": "400"}, ["special", "train.network.levels", "400"]),
        ({"render.cameras.azimuth": "[90, 0]"}, ["special", "render.cameras.azimuth"]),
        ({"orbit.size": REPEATED}, ["special", "orbit.size", "an integer", '[["x", "x"']),
    ],
)
def test_wrong_override_names_the_object_and_the_key(overrides, words):
    refused(words, overrides)


def test_texts_as_the_command_line_and_tables_have_them_are_what_they_say():
    """Snakemake's `--config` makes texts of all that is nested."""
    said, meant = (
        make_settings(
            render={"cameras": {"radius": radius, "azimuth": range_}, "fit": fit, "resolution": size},
            train={"steps": "auto", "learning_rate": rate, "network": {"levels": levels}},
            objects={"table": none, "folder": "1", "shapenet": none},
        )
        for radius, range_, fit, size, rate, levels, none in (
            ("4.03", "[0, 90]", "no", ["64", "32"], "1e-3", "4", "null"),
            (4.03, [0, 90], False, [64, 32], 0.001, 4, None),
        )
    )
    assert said.configuration == meant.configuration and said.configuration.objects.folder == "1"
    assert said.json("train", "plain") == meant.json("train", "plain")


def test_an_override_below_a_value_is_refused():
    refused(["special", "render.up.axis", "up holds a value"], {"render.up.axis": "Z"}, render={"up": "Y"})


def test_names_that_stand_in_two_rooms_agree():
    fields = {field.name: field for field in dataclasses.fields(Train)}
    assert tuple(fields["backend"].metadata["choices"]) == ("auto", *backends.NAMES)
    assert set(fields) == {field.name for field in dataclasses.fields(TrainConfig)} | {"backend"}


# The reference


def test_schema_and_tables_are_those_that_make_docs_writes(tmp_path):
    for name in (SCHEMA, README):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / "config" / name, tmp_path / name)
    write(tmp_path)
    for name in (SCHEMA, README):
        assert (tmp_path / name).read_text() == (ROOT / "config" / name).read_text(), f"config/{name}: run `make docs`"


def keys(described, path=""):
    """Dotted key and schema of every value that a JSON schema describes."""
    for name, part in described["properties"].items():
        if "properties" in part:
            yield from keys(part, f"{path}{name}.")
        else:
            yield path + name, part


def test_every_key_stands_in_a_table_once():
    text = (ROOT / "config" / README).read_text()
    for key, _ in keys(schema()):
        assert text.count(f"\n| `{key}` |") == 1, key


def nested(key, value):
    for name in reversed(key.split(".")):
        value = {name: value}
    return value


def values_near(described):
    """Values that lie on, just inside and just outside of what a schema allows."""
    kinds = described.get("anyOf", [described])
    numbers = [
        kind[bound] for kind in (*kinds, *(k.get("items", {}) for k in kinds)) for bound in kind if "imum" in bound
    ]
    near = [number + step for number in numbers for step in (-1, -0.5, 0, 0.5, 1)]
    texts = [name for kind in kinds for name in kind.get("enum", ())]
    return [*near, *([number, number] for number in near), *texts, "auto", "", "any", ["a", "b"], True, None, {}, []]


@pytest.mark.parametrize("key, described", list(keys(schema())))
def test_the_schema_accepts_what_the_reader_accepts(key, described):
    """For each key alone, `shapenet.root` apart; what concerns several keys is the reader's alone."""
    validator = Draft202012Validator(schema())
    for value in values_near(described):
        values = nested(key, value)
        if key.startswith("objects.shapenet"):
            values["objects"]["shapenet"].setdefault("root", "a")
        try:
            from_mapping(Configuration, values)
            accepted = True
        except UserError as error:
            if "must be [low, high]" in str(error) or "leave a single camera" in str(error) or "below" in str(error):
                continue
            accepted = False
        assert validator.is_valid(values) == accepted, (values, accepted)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_is_given_is_taken_or_refused_in_one_line(value):
    for key, _ in keys(schema()):
        try:
            from_mapping(Configuration, nested(key, value))
        except UserError as error:
            assert str(error).startswith(key.split(".")[0] + ".") and "\n" not in str(error)


@pytest.mark.parametrize("path", ["config/config.yaml", "demo/config/config.yaml"])
def test_shipped_configurations_are_right(path):
    values = yaml.safe_load((ROOT / path).read_text())
    assert not list(Draft202012Validator(schema()).iter_errors(values))
    configuration = from_mapping(Configuration, values)
    if path.startswith("config"):
        assert configuration == Configuration()  # nothing is made unless objects are named
