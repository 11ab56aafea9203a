"""The settings of a render: names, defaults, checks. Everything here changes the pictures; nothing else does."""

import json
from dataclasses import dataclass, field, fields
from typing import Tuple

from .errors import SceneError

METHOD = 1  # raised by hand when the same settings give other pictures than before

SAMPLES = {"draft": 16, "standard": 64, "high": 256}


def _choice(*names):
    return lambda value: value in names, "one of " + ", ".join(names)


def _number(low, high):
    def check(value):
        return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high

    return check, "a number from {:g} to {:g}".format(low, high)


def _integer(low, high):
    def check(value):
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    return check, "a whole number from {} to {}".format(low, high)


def _boolean():
    return lambda value: isinstance(value, bool), "true or false"


def _pair(item, ordered=False):
    check_item, text = item

    def check(value):
        return (
            isinstance(value, (list, tuple))
            and len(value) == 2
            and all(check_item(v) for v in value)
            and (not ordered or value[0] <= value[1])
        )

    return check, "a pair [low, high], each " + text if ordered else "a pair, each " + text


def _setting(default, rule):
    check, text = rule
    return field(default=default, metadata={"check": check, "text": text})


def _severity(default):
    return _setting(default, _choice("error", "warn"))


@dataclass(frozen=True)
class Cameras:
    """Where the cameras stand. Angles in degrees, distances in units of the unit box."""

    distribution: str = _setting("hammersley", _choice("hammersley", "uniform", "get3d"))
    azimuth: Tuple[float, float] = _setting((0.0, 360.0), _pair(_number(-360, 720), ordered=True))
    elevation: Tuple[float, float] = _setting((-10.0, 60.0), _pair(_number(-90, 90), ordered=True))
    radius: float = _setting(1.5, _number(0.1, 100))
    fov: float = _setting(49.13, _number(1, 120))  # horizontal


@dataclass(frozen=True)
class Light:
    """Radiance of the white surroundings, and what the key light adds on a white diffuse surface that faces it."""

    environment: float = _setting(0.5, _number(0, 10))
    key: float = _setting(0.4, _number(0, 10))


@dataclass(frozen=True)
class Settings:
    """All settings of one pass (object, split)."""

    seed: int = _setting(0, _integer(0, 2**31 - 1))
    views: int = _setting(24, _integer(1, 1000000))
    resolution: Tuple[int, int] = _setting((128, 128), _pair(_integer(8, 8192)))
    preset: str = _setting("standard", _choice(*SAMPLES))
    cameras: Cameras = Cameras()
    scale: float = _setting(0.9, _number(1e-3, 1))  # longest side of the object in the unit box
    fit: bool = _setting(True, _boolean())  # smaller where the picture would cut the object
    up: str = _setting("Y", _choice("Y", "Z"))  # the file's axis that points up
    light: Light = Light()
    depth: bool = _setting(False, _boolean())
    normals: bool = _setting(False, _boolean())
    missing_texture: str = _severity("error")  # "warn": the material's plain colour
    missing_material: str = _severity("warn")  # "warn": light grey
    broken_faces: str = _severity("error")  # "warn": they are left out
    no_visible_pixel: str = _severity("error")  # of single views; a pass without any pixel is always an error


def _build(cls, values, where):
    if not isinstance(values, dict):
        raise SceneError("settings: {} must be a mapping".format(where or "the whole"))
    known = {f.name: f for f in fields(cls)}
    for name in values:
        if name not in known:
            raise SceneError("settings: unknown key {}{} (known: {})".format(where, name, ", ".join(known)))
    arguments = {}
    for name, value in values.items():
        known_field = known[name]
        if "check" not in known_field.metadata:
            arguments[name] = _build(type(known_field.default), value, where + name + ".")
        elif known_field.metadata["check"](value):
            arguments[name] = tuple(value) if isinstance(value, list) else value
        else:
            raise SceneError(
                "settings: {}{} is {}, must be {}".format(where, name, json.dumps(value), known_field.metadata["text"])
            )
    return cls(**arguments)


def read_settings(text):
    """Settings from JSON ``text``; every key is optional. Raises SceneError on unknown keys and unfit values."""
    try:
        values = json.loads(text)
    except ValueError as error:
        raise SceneError("settings: not JSON: {}".format(error))
    settings = _build(Settings, values, "")
    low, high = settings.cameras.azimuth
    if high - low > 360:
        raise SceneError("settings: cameras.azimuth spans more than 360 degrees")
    if low == high and settings.cameras.elevation[0] == settings.cameras.elevation[1]:
        raise SceneError("settings: cameras.azimuth and cameras.elevation leave one camera for all views and splits")
    return settings
