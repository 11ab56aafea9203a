"""The `--settings` option of the programs: one JSON object, checked against a dataclass.

Standard library only and valid for Python 3.7, so that it also runs inside Blender 2.90.
"""

import dataclasses
import json
import typing

from obj2ngp.common.files import UserError


def read_settings(kind, text):
    """Make the dataclass `kind` from the JSON object in `text`.

    Its fields are numbers, texts, booleans, other such dataclasses, and tuples of a fixed length
    (`Tuple[float, float]`, written as a JSON array). Keys that are absent keep their defaults; an
    integer may stand for a float. Unknown keys, ill-typed values, and values that a
    `__post_init__` refuses with a ValueError are a `UserError` that names the key.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        raise UserError(f"--settings is not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"--settings must be a JSON object, not {text}")
    return _make(kind, values, "")


def _make(kind, values, prefix):
    types = typing.get_type_hints(kind)
    for key in values:
        if key not in types:
            known = ", ".join(field.name for field in dataclasses.fields(kind))
            raise UserError(f"--settings: unknown key '{prefix}{key}' (known: {known})")
    converted = {key: _convert(types[key], value, prefix + key) for key, value in values.items()}
    try:
        return kind(**converted)
    except (TypeError, ValueError) as error:
        raise UserError(f"--settings: {prefix}{error}") from error


def _convert(kind, value, key):
    parts = getattr(kind, "__args__", ())
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _make(kind, value, key + ".")
    if parts and isinstance(value, list) and len(value) == len(parts):
        return tuple(_convert(part, item, key) for part, item in zip(parts, value))
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        name = f"[{', '.join(part.__name__ for part in parts)}]" if parts else kind.__name__
        raise UserError(f"--settings: {key} must be of type {name}, not {json.dumps(value)}")
    return value
