"""The workflow's configuration: declared, resolved for each object, and put into words for programs.

What a program is given as `--settings` is one JSON object with all that changes its result and
nothing else: it stands in the rule's `params`, so that a job is run anew exactly if it changes.
"""

import copy
import dataclasses
import functools
import json
import os
import shutil
from dataclasses import dataclass
from typing import Optional

import yaml

from obj2ngp.common.files import UserError
from obj2ngp.common.settings import (
    AUTO,
    LARGEST_SEED,
    check_path,
    from_mapping,
    given,
    parts_of,
    section_of,
    setting,
    types_of,
)
from obj2ngp.exports.settings import ExportSettings, settings_kind
from obj2ngp.ngp.config import TrainConfig, resolve
from obj2ngp.ngp.settings import BACKENDS, OrbitSettings, ViewSettings
from obj2ngp.report.settings import SUMMARY, GallerySettings
from obj2ngp.scene.settings import ObjectSettings, Views
from obj2ngp.viewer.settings import ViewerSettings
from obj2ngp.views.settings import ViewsSettings

from . import resources
from .archives import PACKED_FROM
from .objects import Objects

PER_OBJECT = ("render", "views", "train", "test", "orbit", "export", "viewer")  # sections that an object may override
BLENDER = "render.blender"  # the only key in them that it may not: it belongs to the machine


@dataclass(frozen=True)
class Project:
    """What holds for all objects."""

    seed: int = setting(0, "cameras, rendering noise and training follow from it", 0, LARGEST_SEED)
    results: str = setting("results", "folder of the results, without `{`, `}`, `\\` and words in `<` `>`")
    workers: bool = setting(
        True, "run jobs in warm worker processes; `false`: start a process for each. Results do not depend on it"
    )
    worker_idle: float = setting(60.0, "seconds that a worker waits for its next job before it ends", 1, 86400)
    patience: float = setting(
        10.0,
        "times its expected `runtime` after which a job is stopped, so that a hung one does not wait for ever",
        1,
        1e6,
    )
    jobs_per_gpu: int = setting(
        5, "jobs that share a graphics card: they compute in turn, while others of them read, encode and write", 1, 16
    )
    pack: Optional[bool] = setting(
        None,
        "keep the pictures of each pass, and those of the test views, in one archive (`train.zip` in place of the"
        f" folder `train`), and no account of what was made from what beside each object's own; `auto`: as the project"
        f" has begun, else from {PACKED_FROM:,} objects on. A changed value renders anew",
        auto=True,
    )
    trainer_environment: str = setting(
        "ngp",
        "conda environment of the trainer's programs, used with `--sdm conda`",
        choices={"ngp": "current CUDA, nothing to compile", "ngp-cu111": "CUDA 11.1, PyTorch 1.9, tiny-cuda-nn"},
    )

    def __post_init__(self):
        check_path("results", self.results)


@dataclass(frozen=True)
class Render(ObjectSettings):
    """The section `render`."""

    views: Views = Views()
    blender: str = setting(
        AUTO,
        "path of a Blender executable, 2.90 or newer; `auto`: Blender's Python module in `.venv-blender` or in the"
        " conda environment. The same for all objects; another Blender renders nothing anew",
    )


@dataclass(frozen=True)
class Train(TrainConfig):
    """The section `train`."""

    backend: str = setting(
        AUTO,
        "who computes; on a cluster name it, since `auto` asks for a GPU if there is one where Snakemake runs",
        choices={AUTO: f"the first of {', '.join(BACKENDS)} that can run", **BACKENDS},
    )


@dataclass(frozen=True)
class Configuration:
    """The whole configuration."""

    project: Project = Project()
    objects: Objects = Objects()
    render: Render = Render()
    views: ViewsSettings = ViewsSettings()
    train: Train = Train()
    test: ViewSettings = ViewSettings()
    orbit: OrbitSettings = OrbitSettings()
    viewer: ViewerSettings = ViewerSettings()
    gallery: GallerySettings = GallerySettings()
    export: ExportSettings = ExportSettings()


def typed(kind, values):
    """The mapping `values` for the dataclass `kind`, with its texts read as YAML where no text is wanted.

    `--config` makes Snakemake take all values below the first level for texts, and a table holds nothing else.
    """
    if not isinstance(values, dict):
        return values
    types = types_of(kind)
    return {key: _typed_value(types.get(key), value) for key, value in values.items()}


def _typed_value(kind, value):
    section, parts = section_of(kind), _leaves(kind)
    if section and isinstance(value, dict):
        return typed(section, value)
    if str in parts:
        if parts_of(kind)[0] is tuple and isinstance(value, str):
            return _from_text(value)
        return None if value == "null" and type(None) in parts else value
    return [_from_text(item) for item in value] if isinstance(value, list) else _from_text(value)


def _leaves(kind):
    """All types of which the type `kind` is made."""
    parts = getattr(kind, "__args__", ())
    return {leaf for part in parts for leaf in _leaves(part)} if parts else {kind}


def _from_text(value):
    """The value that the text `value` is in YAML; itself if it is none, or no text."""
    if not isinstance(value, str):
        return value
    try:
        value = yaml.safe_load(value)
        return float(value) if isinstance(value, str) else value  # YAML 1.1 takes 1e-3 for a text
    except Exception:  # PyYAML meets odd tags and depths with errors of all kinds
        return value


class Resolved:
    """The configuration as the mapping `values` gives it, and the settings of the programs that follow from it.

    Raises UserError, which begins with `source`, where it is wrong.
    """

    def __init__(self, values, source="configuration"):
        values = typed(Configuration, values)
        try:
            self.configuration = from_mapping(Configuration, values)
            self._train = given(Train, values.get("train"), "train")
            for backend in self._recipes():
                self.train_config(backend)
        except UserError as error:
            raise UserError(f"{source}: {error}") from error

    def settings(self, program, part=None):
        """The settings of `program` (a rule) as a mapping: of `render`, for a split; of `export`, for a format."""
        configuration = self.configuration
        if program == "render":
            settings = dataclasses.asdict(configuration.render)
            del settings["blender"]
            return {**settings, "views": settings["views"][part], "seed": configuration.project.seed}
        if program == "import_views":
            return {**dataclasses.asdict(configuration.views), "seed": configuration.project.seed}
        if program == "train":
            chosen = {key: value for key, value in self._train.items() if key != "backend"}
            return {"seed": configuration.project.seed, **chosen}
        if program == "export":
            kind = settings_kind(part)
            return dataclasses.asdict(getattr(configuration.export, part.replace("-", "_"))) if kind else {}
        if program == "viewer":
            return {"largest": configuration.viewer.largest, "source": configuration.viewer.source}
        return dataclasses.asdict({"render_test": configuration.test, "orbit": configuration.orbit}[program])

    def _recipes(self):
        """The backends whose recipes training may take: those of a CPU's and of a GPU's differ."""
        backend = self.configuration.train.backend
        return ("cpu", "cuda") if backend == AUTO else (backend,)

    def train_config(self, backend, configuration=None):
        """The TrainConfig that training with `backend` will have; `configuration` in place of the own one."""
        render = (configuration or self.configuration).render
        return resolve(self.settings("train"), backend, render.views.train, max(render.resolution))


class Settings:
    """The settings of each object's jobs: the configuration with the object's overrides put in.

    `values` is the configuration as Snakemake reads it. Whatever is wrong in it, or in an override, is a UserError
    here and now. Objects with the same overrides share what is resolved, so that thousands of objects cost next to
    nothing. `find_objects` makes the dict of objects of the Configuration, or of those of them that are needed.
    """

    def __init__(self, values, find_objects):
        shared = Resolved(values)
        self.configuration = shared.configuration
        _look_for_what_is_named(self.configuration)
        self.objects = find_objects(self.configuration)
        self._resolved = {(): shared}
        for item in self.objects.values():
            if item.overrides not in self._resolved:
                source = f"object {item.name}"
                self._resolved[item.overrides] = Resolved(_overridden(values, item.overrides, source), source)

    @property
    def may_use_gpus(self):
        """Whether the settings of some object let a job of it use a GPU."""
        each = (resolved.configuration for resolved in self._resolved.values())
        return any(one.train.backend != "cpu" or one.render.device == "gpu" for one in each)

    def of(self, name):
        """What is `Resolved` for the object `name`."""
        return self._resolved[self.objects[name].overrides]

    @property
    def formats(self):
        """The formats that some object is exported in."""
        return {format for resolved in self._resolved.values() for format in resolved.configuration.export.formats}

    def json(self, program, name, part=None):
        """The settings of `program` for an object, as the JSON text of its option `--settings`; see `Resolved`."""
        return self._json(self.objects[name].overrides, program, part)

    @functools.lru_cache(maxsize=None)  # noqa: B019  # there is one instance, as long as the program
    def _json(self, overrides, program, part):
        return json.dumps(self._resolved[overrides].settings(program, part))

    def need(self, rule, name, on_gpu, threads, part=None):
        """The `resources.Need` of an object's job: a CPU's or a GPU's, with so many `threads`."""
        item = self.objects[name]
        return self._need(item.overrides, item.is_model, rule, on_gpu, threads, part)

    @functools.lru_cache(maxsize=None)  # noqa: B019  # see above
    def _need(self, overrides, is_model, rule, on_gpu, threads, part):
        resolved = self._resolved[overrides]
        configuration = resolved.configuration if is_model else resources.of_image_set(resolved.configuration)
        config = resolved.train_config("cuda" if on_gpu else "cpu", configuration)
        return resources.need(rule, configuration, config, on_gpu, threads, part)


def _look_for_what_is_named(configuration):
    """Raise UserError where something that the configuration names is not there, or cannot be made."""
    blender, compare = configuration.render.blender, configuration.gallery.compare
    if blender != AUTO and shutil.which(blender) is None:
        raise UserError(f"configuration: {BLENDER}: there is no executable {blender}")
    if compare is not None and not os.path.isfile(os.path.join(compare, SUMMARY)):
        raise UserError(f"configuration: gallery.compare: there is no {SUMMARY} in {compare}")
    results = os.path.abspath(configuration.project.results)
    while not os.path.lexists(results):
        results = os.path.dirname(results)
    if not os.path.isdir(results):
        raise UserError(f"configuration: project.results: {results} is no folder")
    for key in ("folder", "views"):
        searched = getattr(configuration.objects, key)
        if searched and os.path.realpath(searched) == os.path.realpath(configuration.project.results):
            raise UserError(f"configuration: project.results: {searched} is objects.{key}; name another folder")


def _overridden(values, overrides, source):
    """A copy of `values` with `overrides`, pairs of a dotted key and a text, put in. Raises UserError."""
    values = copy.deepcopy(values)
    for key, text in overrides:
        *path, last = key.split(".")
        if not path or path[0] not in PER_OBJECT or key == BLENDER:
            raise UserError(
                f"{source}: column '{key}' is neither 'object' nor 'path' nor a key of the configuration that may"
                f" differ between objects: those in {', '.join(PER_OBJECT)} except {BLENDER}"
            )
        section = values
        for part in path:
            section[part] = {} if section.get(part) is None else section[part]
            section = section[part]
            if not isinstance(section, dict):
                raise UserError(f"{source}: {key}: {part} holds a value, not keys")
        section[last] = text
    return values
