"""The configuration: errors that name the key, settings of each object, agreement with its documentation."""

import copy
import dataclasses
import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from obj2ngp.common.files import UserError
from obj2ngp.common.settings import read_settings
from obj2ngp.ngp.config import TrainConfig
from obj2ngp.scene.settings import Settings as RenderSettings
from obj2ngp.workflow.configuration import Settings, check
from obj2ngp.workflow.objects import Object

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = yaml.safe_load((ROOT / "config/schemas/config.schema.yaml").read_text())


def leaves(schema, path=()):
    """Pairs of dotted key and schema of all keys that hold values."""
    for key, part in schema["properties"].items():
        if "properties" in part:
            yield from leaves(part, (*path, key))
        else:
            yield ".".join((*path, key)), part


def trainer_keys(config, path):
    """The dotted keys of the trainer's settings."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from trainer_keys(value, f"{path}.{field.name}")
        else:
            yield f"{path}.{field.name}"


def defaults(schema=SCHEMA):
    return {
        key: defaults(part) if "properties" in part else copy.deepcopy(part.get("default"))
        for key, part in schema["properties"].items()
        if key != "objects"
    }


def make_settings(overrides=None, **changes):
    """Settings of the object `plain` and of `special`, which has the overrides."""
    config = {**defaults(), "objects": {"folder": "models"}}
    for key, value in changes.items():
        section, name = key.split("__")
        config[section][name] = value
    objects = {
        "plain": Object("plain", "plain.obj"),
        "special": Object("special", "special.obj", tuple((overrides or {}).items())),
    }
    return Settings(config, SCHEMA, objects)


def refused(words, function, *arguments, **options):
    with pytest.raises(UserError) as error:
        function(*arguments, **options)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "config, words",
    [
        ({"objects": {"folder": "a"}, "rendr": {}}, ["rendr", "unknown key", "render"]),
        ({"objects": {"folder": "a"}, "render": {"prest": "draft"}}, ["render.prest", "preset"]),
        ({"objects": {"folder": "a"}, "render": {"preset": "best"}}, ["render.preset", "best", "draft"]),
        ({"objects": {"folder": "a"}, "render": {"views": {"train": 0}}}, ["render.views.train", "0"]),
        ({"objects": {"folder": "a"}, "render": {"resolution": [128]}}, ["render.resolution"]),
        ({"objects": {"folder": "a"}, "train": {"backend": "tpu"}}, ["train.backend", "tpu"]),
        ({"objects": {"shapenet": {}}}, ["objects.shapenet", "root"]),
        ({"objects": {"shapenet": {"root": "a", "synsets": [0o3001627]}}}, ["objects.shapenet.synsets", "quotes"]),
        ({}, ["objects"]),
    ],
)
def test_wrong_configuration_is_one_line_that_names_the_key(config, words):
    refused(words, check, config, SCHEMA)


def test_each_program_gets_exactly_what_changes_its_result():
    settings = make_settings(project__seed=5)
    views = {"train": 24, "val": 8, "test": 24}
    for split, count in views.items():
        given = json.loads(settings.json("render", "plain", split))
        assert given["views"] == count and given["seed"] == 5 and "blender" not in given
    assert json.loads(settings.json("train", "plain")) == {"seed": 5}
    assert json.loads(settings.json("test", "plain")) == {"supersampling": 2}
    assert json.loads(settings.json("orbit", "plain"))["frames"] == 60


def test_defaults_are_those_of_the_render_program():
    settings = make_settings()
    assert read_settings(RenderSettings, settings.json("render", "plain", "train")) == RenderSettings()


def test_overrides_change_one_object_only():
    overrides = {"render.up": "Z", "render.views.test": "3", "train.network.levels": "4", "orbit.elevation": "-5.5"}
    settings, without = make_settings(overrides), make_settings()
    for program, split in (("render", "test"), ("render", "train"), ("train", None), ("orbit", None)):
        assert settings.json(program, "plain", split) == without.json(program, "plain", split)
    assert json.loads(settings.json("render", "special", "test"))["views"] == 3
    assert json.loads(settings.json("render", "special", "train"))["up"] == "Z"
    assert json.loads(settings.json("train", "special"))["network"] == {"levels": 4}
    assert json.loads(settings.json("orbit", "special"))["elevation"] == -5.5


@pytest.mark.parametrize(
    "overrides, words",
    [
        ({"up": "Z"}, ["special", "'up'", "render.up"]),
        ({"project.seed": "1"}, ["special", "project.seed"]),
        ({"render.upp": "Z"}, ["special", "render.upp", "unknown"]),
        ({"render.up": "X"}, ["special", "render.up", "X"]),
        ({"render.views.test": "many"}, ["special", "render.views.test", "many"]),
        ({"render.up.axis": "Z"}, ["special", "render.up.axis"]),
        ({"render.up": "[Z"}, ["special", "render.up", "YAML"]),
        ({"train.network.levels": "400"}, ["special", "train.network.levels", "400"]),
        ({"render.cameras.azimuth": "[90, 0]"}, ["special", "render", "azimuth"]),
    ],
)
def test_wrong_override_names_the_object_and_the_key(overrides, words):
    refused(words, make_settings, overrides)


def test_the_trainer_checks_its_section():
    refused(["train.stepps"], make_settings, train__stepps=3)
    refused(["train.network.levels"], make_settings, train__network={"levels": "many"})
    make_settings(train__network={"levels": "auto"})


def test_defaults_and_shipped_configurations_agree_with_the_schema():
    Draft202012Validator.check_schema(SCHEMA)
    check({**defaults(), "objects": {"folder": "models"}}, SCHEMA)
    for path in ("config/config.yaml", "demo/config/config.yaml"):
        check(yaml.safe_load((ROOT / path).read_text()), SCHEMA)


def test_every_key_and_its_default_are_documented():
    rows = {}
    for line in (ROOT / "config/README.md").read_text().splitlines():
        if line.startswith("| `"):
            key, default, *_ = (cell.strip() for cell in line.strip("|").split("|"))
            rows[key.strip("`")] = default.strip("`")
    for key, schema in leaves(SCHEMA):
        assert key in rows, f"config/README.md lacks {key}"
        if "default" in schema:
            assert yaml.safe_load(rows[key]) == schema["default"], key
    for key in trainer_keys(TrainConfig(), "train"):
        assert key in rows, f"config/README.md lacks {key}"
