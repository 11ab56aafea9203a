"""The workflow's configuration: checked, resolved for each object, and put into words for programs.

What a program is given as `--settings` is one JSON object with all that changes its result and
nothing else: it stands in the rule's `params`, so that a job is run anew exactly if it changes.
"""

import copy
import functools
import json
import shutil

import yaml
from jsonschema import Draft202012Validator

from obj2ngp.common.files import UserError
from obj2ngp.common.settings import read_settings
from obj2ngp.ngp.config import resolve
from obj2ngp.scene.settings import Settings as RenderSettings

SPLITS = ("train", "val", "test")
PER_OBJECT = ("render", "train", "test", "orbit")  # sections that an object may override


def check(config, schema, source="configuration"):
    """Raise a `UserError` that names the first wrong key of `config`, by its dotted path."""
    errors = Draft202012Validator(schema).iter_errors(config)
    for error in sorted(errors, key=lambda error: list(map(str, error.absolute_path))):
        where = ".".join(map(str, error.absolute_path))
        message = error.message
        if error.validator == "additionalProperties":
            unknown = sorted(set(error.instance) - set(error.schema["properties"]))
            where = ".".join(filter(None, [where, str(unknown[0])]))
            message = f"unknown key; known here: {', '.join(error.schema['properties'])}"
        elif where.startswith("objects.shapenet.") and isinstance(error.instance, int):
            message = 'put it in quotes, as in "03001627": YAML takes it for a number'
        raise UserError(f"{source}: {where + ': ' if where else ''}{message}")


class Settings:
    """The settings of each object's jobs: the configuration with the object's overrides put in.

    `config` has all its defaults; `objects` is the dict of `objects.find_objects`. Wrong overrides
    and wrong trainer settings are a `UserError` here and now. Objects with the same overrides share
    one resolved configuration, so that thousands of objects cost next to nothing.
    """

    def __init__(self, config, schema, objects):
        self._seed = config["project"]["seed"]
        self._schema = schema
        self._objects = objects
        self._resolved = {(): self._complete(config, "configuration")}
        for item in objects.values():
            if item.overrides not in self._resolved:
                self._resolved[item.overrides] = self._override(config, item)

    def of(self, name):
        """The resolved configuration of the object `name`; not to be changed."""
        return self._resolved[self._objects[name].overrides]

    @functools.lru_cache(maxsize=None)  # noqa: B019  # there is one instance, as long as the program
    def _text(self, program, overrides, split=None):
        return json.dumps(getattr(self, f"_{program}")(self._resolved[overrides], split))

    def json(self, program, name, split=None):
        """The settings of `program` ('render', 'train', 'test' or 'orbit') for an object, as JSON."""
        return self._text(program, self._objects[name].overrides, split)

    def _render(self, config, split):
        settings = {key: value for key, value in config["render"].items() if key != "blender"}
        return {**settings, "seed": self._seed, "views": settings["views"][split]}

    def _train(self, config, _):
        settings = {key: value for key, value in config["train"].items() if key != "backend"}
        return {"seed": self._seed, **settings}

    def _test(self, config, _):
        return config["test"]

    def _orbit(self, config, _):
        return config["orbit"]

    def _override(self, config, item):
        config = copy.deepcopy(config)
        source = f"object {item.name}"
        for key, text in item.overrides:
            *path, last = key.split(".")
            if not path or path[0] not in PER_OBJECT:
                raise UserError(
                    f"{source}: column '{key}' is neither 'object' nor 'path' nor a key of the"
                    f" configuration in {', '.join(PER_OBJECT)} (such as render.up)"
                )
            section = config
            for part in path:
                section = section.setdefault(part, {})
                if not isinstance(section, dict):
                    raise UserError(f"{source}: {key}: {part} holds a value, not keys")
            section[last] = self._value(source, key, text)
        check(config, self._schema, source)
        return self._complete(config, source)

    @staticmethod
    def _value(source, key, text):
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UserError(f"{source}: {key}: {text!r} is not a YAML value") from error

    def _complete(self, config, source):
        """`config` itself, once the renderer and the trainer have accepted their settings."""
        blender = config["render"]["blender"]
        if blender != "auto" and shutil.which(blender) is None:
            raise UserError(f"{source}: render.blender: there is no executable {blender}")
        try:
            read_settings(RenderSettings, json.dumps(self._render(config, "train")))
        except UserError as error:
            raise UserError(f"{source}: render: {error}") from error
        views, pixels = config["render"]["views"]["train"], max(config["render"]["resolution"])
        try:
            resolve(self._train(config, None), "cpu", views, pixels)
        except UserError as error:
            raise UserError(f"{source}: {error}") from error
        return config
