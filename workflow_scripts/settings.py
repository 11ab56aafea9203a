"""The `--settings` option of the programs: one JSON object, checked against a dataclass.

Standard library only and valid for Python 3.7, so that it also runs inside Blender 2.90.
"""

import dataclasses
import json
import typing

from files import UserError


def read_settings(kind, text):
    """Make the flat dataclass `kind` from the JSON object in `text`.

    Keys that are absent keep their defaults; an integer may stand for a float. Unknown keys,
    ill-typed values, and values that `kind.__post_init__` refuses with a ValueError are a
    `UserError` that names the key.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        raise UserError(f"--settings is not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"--settings must be a JSON object, not {text}")
    types = typing.get_type_hints(kind)
    for key, value in values.items():
        if key not in types:
            known = ", ".join(field.name for field in dataclasses.fields(kind))
            raise UserError(f"--settings: unknown key '{key}' (known: {known})")
        if types[key] is float and type(value) is int:
            values[key] = float(value)
        elif type(value) is not types[key]:
            message = "--settings: {} must be of type {}, not {}"
            raise UserError(message.format(key, types[key].__name__, json.dumps(value)))
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise UserError(f"--settings: {error}") from error
