"""Settings: dataclass fields that say what they mean and what they may be, and the one reader that fills them.

A kind of settings is a frozen dataclass. Its fields are numbers, texts, booleans, tuples (written as JSON or YAML
lists), other such dataclasses (written as mappings), and `Optional` or `Union` of these. What concerns several fields
is checked by the dataclass's `__post_init__`, with a ValueError that begins with the name of a field and a colon.

Standard library only and valid for Python 3.7, so that it also runs inside Blender 2.90.
"""

import dataclasses
import functools
import os
import re
import typing

from obj2ngp.common.checks import LONGEST_NAME, LONGEST_SHOWN, parse_json, shown
from obj2ngp.common.files import UserError, in_a_line

AUTO = "auto"
LARGEST_SEED = 2**31 - 1
SNAKEMAKES = re.compile("[{}]|<[a-z][a-z0-9_]*>")  # what stands for something else in Snakemake's paths

types_of = functools.lru_cache(maxsize=None)(typing.get_type_hints)  # slow, and asked for each object of thousands


def setting(default, doc, low=None, high=None, choices=None, auto=False, least=0):
    """A dataclass field with a `default` (dataclasses.MISSING: it must be given) and its meaning in a line, `doc`.

    low, high  inclusive bounds of a number, or of each number of a tuple
    choices    the texts that it, or each of a tuple, may be: a dict of each to its meaning, or "" where that is plain
    auto       whether it may read `auto`, which leaves the value to others, as if it were absent
    least      how many there are in a tuple of any length, at least
    """
    meaning = {"doc": doc, "low": low, "high": high, "choices": choices, "auto": auto, "least": least}
    return dataclasses.field(default=default, metadata=meaning)


def read_settings(kind, text):
    """Make the dataclass `kind` from the JSON object in `text`, a program's option `--settings`. Raises UserError."""
    values = read_mapping(text)
    try:
        return from_mapping(kind, values)
    except UserError as error:
        raise UserError(f"--settings: {error}") from error


def read_mapping(text):
    """The dict that the JSON object in `text`, a program's option `--settings`, is. Raises UserError."""
    values = parse_json(text, "--settings")
    if not isinstance(values, dict):
        raise UserError(f"--settings: must hold keys, not {shown(values)}")
    return values


def from_mapping(kind, values, path="", defaults=None):
    """Make the dataclass `kind` from the mapping `values`.

    Fields that are absent, or that read `auto` where they may, are those of `defaults`, an instance of `kind` (None:
    as declared). A whole float may stand for an integer, an integer for a float, and None for an empty mapping.
    Raises UserError where a key is unknown or missing, or a value is ill-typed or out of range: one line that begins
    with the key's dotted path, which begins with `path`.
    """
    return _make(kind, given(kind, values, path), path, defaults)


def given(kind, values, path=""):
    """What the mapping `values` gives of the dataclass `kind`, checked and converted, as a dict that JSON can hold.

    What reads `auto` and sections that give nothing are left out. Raises UserError as `from_mapping` does, except for
    what concerns several fields.
    """
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError(_at(path, f"must hold keys, not {shown(values)}"))
    types = types_of(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    result = {}
    for key, value in values.items():
        where = f"{path}.{key}" if path else str(key)
        if key not in fields:
            where = in_a_line(where if len(where) <= LONGEST_SHOWN else where[:LONGEST_SHOWN] + "...")
            raise UserError(_at(where, f"unknown key; known here: {', '.join(fields)}"))
        section = section_of(types[key])
        if section and (value is not None or section is types[key]):
            values_given = given(section, value, where)
            if values_given or section is not types[key]:
                result[key] = values_given
        elif not (value == AUTO and fields[key].metadata.get("auto")):
            result[key] = _checked(types[key], fields[key].metadata, value, where)
    return result


def check_path(name, path):
    """Raise ValueError where the value `path` of the field `name` is a path that commands and rules cannot have."""
    if SNAKEMAKES.search(path) or "\\" in path:
        raise ValueError(f"{name}: must not contain {{ or }}, a word in < >, or \\, which Blender takes for /")
    if not path.isprintable() or path != path.strip() or path.startswith("-"):
        raise ValueError(f"{name}: must not begin with -, nor begin or end with a space, nor hold control characters")
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in path.split("/")) or len(path) > 1000:
        raise ValueError(f"{name}: its path, or a name in it, is too long")


def section_of(kind):
    """The dataclass that a field of the type `kind` holds, or None if it holds a value."""
    return next((part for part in (kind, *getattr(kind, "__args__", ())) if dataclasses.is_dataclass(part)), None)


def parts_of(kind):
    """(container, parts) of a type: (typing.Union or tuple, its parts), or (None, ())."""
    return getattr(kind, "__origin__", None), getattr(kind, "__args__", ())


def _make(kind, values, path, defaults):
    types = types_of(kind)
    changes = {}
    for field in dataclasses.fields(kind):
        section = section_of(types[field.name])
        where = f"{path}.{field.name}" if path else field.name
        if field.name not in values:
            if defaults is None and field.default is dataclasses.MISSING:
                raise UserError(_at(where, "is missing"))
        elif section and values[field.name] is not None:
            changes[field.name] = _make(section, values[field.name], where, getattr(defaults, field.name, None))
        else:
            changes[field.name] = _frozen(values[field.name])
    try:
        return kind(**changes) if defaults is None else dataclasses.replace(defaults, **changes)
    except ValueError as error:
        raise UserError(f"{path}.{error}" if path else str(error)) from error


def _checked(kind, limits, value, where):
    """`value` as the type `kind` has it, within its limits. Raises UserError."""
    try:
        value = _converted(kind, value)
    except ValueError:
        wanted = _words(kind) + (f" or {AUTO}" if limits.get("auto") else "")
        hint = " (in quotes where a text looks like a number)" if "text" in wanted else ""
        raise UserError(_at(where, f"must be {wanted}, not {shown(value)}{hint}")) from None
    choices, low, high = (limits.get(name) for name in ("choices", "low", "high"))
    if choices is not None and not all(choice in choices for choice in (value if isinstance(value, list) else [value])):
        raise UserError(_at(where, f"must be one of {', '.join(choices)}, not {shown(value)}"))
    if isinstance(value, list) and len(value) < limits.get("least", 0):
        raise UserError(_at(where, f"must name at least {limits['least']}, not {shown(value)}"))
    numbers = value if isinstance(value, list) else [value]
    if low is not None and not all(low <= number <= high for number in numbers if number is not None):
        raise UserError(_at(where, f"must be between {low} and {high}, not {shown(value)}"))
    return value


def _converted(kind, value):
    """`value` as the type `kind`, tuples as lists. Raises ValueError where it is something else."""
    container, parts = parts_of(kind)
    if container is typing.Union:
        for part in parts:
            try:
                return _converted(part, value)
            except ValueError:
                pass
    elif container is tuple and isinstance(value, (list, tuple)):
        kinds = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        if len(kinds) == len(value):
            return [_converted(part, item) for part, item in zip(kinds, value)]
    elif kind is int and type(value) is float and value.is_integer():
        return int(value)
    elif kind is float and type(value) is int and abs(value) < 1e300:
        return float(value)
    elif type(value) is kind and value != "":
        return value
    raise ValueError


def _frozen(value):
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _words(kind):
    """What a value of the type `kind` is, for a message."""
    container, parts = parts_of(kind)
    if container is typing.Union:
        return " or ".join(map(_words, parts))
    if container is tuple:
        return "a list of texts" if parts[-1] is Ellipsis else "[{}]".format(", ".join(map(_words, parts)))
    names = {int: "an integer", float: "a number", str: "a text"}
    return {**names, bool: "true or false", type(None): "null"}[kind]


def _at(path, message):
    return f"{path}: {message}" if path else message
