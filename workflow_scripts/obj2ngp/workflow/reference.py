"""The reference of the configuration, written from its declarations: run by `make docs`.

    python -m obj2ngp.workflow.reference FOLDER

writes FOLDER/schemas/config.schema.yaml, which editors complete and check a configuration with, and in
FOLDER/README.md the tables between `<!-- settings: SECTION ... -->` and `<!-- end -->`.
"""

import dataclasses
import re
import sys
import typing
from pathlib import Path

import yaml

from obj2ngp.common.files import atomic_path
from obj2ngp.common.settings import AUTO, parts_of, section_of, types_of

from .configuration import Configuration

SCHEMA = "schemas/config.schema.yaml"
README = "README.md"
TABLE = re.compile(r"(<!-- settings: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
HEADER = "| key | default | meaning |\n|---|---|---|\n"


def schema(kind=Configuration):
    """The JSON schema, a dict, of a dataclass of settings: it accepts what `common.settings.given` does."""
    properties = {}
    for field in dataclasses.fields(kind):
        section = section_of(types_of(kind)[field.name])
        properties[field.name] = schema(section) if section else _value_schema(types_of(kind)[field.name], field)
    required = [field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING]
    return {
        "type": ["object", "null"],
        "additionalProperties": False,
        **({"required": required} if required else {}),
        "properties": properties,
    }


def tables(text):
    """The Markdown `text` with its tables of settings written anew."""

    def table(found):
        begin, sections, end = found.groups()
        return (
            begin
            + HEADER
            + "".join(row for name in sections.split() for row in _rows(name, types_of(Configuration)[name]))
            + end
        )

    return TABLE.sub(table, text)


def _value_schema(kind, field):
    described = _type_schema(kind, field.metadata)
    if field.metadata["auto"]:
        described = {"anyOf": [{"const": AUTO}, described]}
    default = AUTO if field.metadata["auto"] else field.default
    if default is not None and default is not dataclasses.MISSING:
        described["default"] = list(default) if isinstance(default, tuple) else default
    return {"description": _meaning(field.metadata), **described}


def _type_schema(kind, limits):
    container, parts = parts_of(kind)
    if container is typing.Union:
        return {"anyOf": [_type_schema(part, limits) for part in parts]}
    if container is tuple:
        count = {"minItems": len(parts), "maxItems": len(parts)}
        if parts[-1] is Ellipsis:
            count = {"minItems": limits["least"]} if limits["least"] else {}
        return {"type": "array", "items": _type_schema(parts[0], limits), **count}
    if kind is str:
        return {"enum": list(limits["choices"])} if limits["choices"] else {"type": "string", "minLength": 1}
    if kind in (int, float):
        name = "integer" if kind is int else "number"
        return {"type": name, "minimum": limits["low"], "maximum": limits["high"]}
    return {"type": {bool: "boolean", type(None): "null"}[kind]}


def _rows(path, kind):
    """The table's rows of the dataclass `kind`, whose dotted key is `path`."""
    for field in dataclasses.fields(kind):
        key, section = f"{path}.{field.name}", section_of(types_of(kind)[field.name])
        if section:
            yield from _rows(key, section)
        else:
            default = AUTO if field.metadata["auto"] else _shown(field.default)
            yield f"| `{key}` | {default} | {_meaning(field.metadata)} |\n"


def _meaning(metadata):
    """What a setting means and may be, in a line."""
    words = metadata["doc"]
    if metadata["choices"]:
        choices = [f"`{name}`" + (f" ({text})" if text else "") for name, text in metadata["choices"].items()]
        words += ": " + ", ".join(choices)
    if metadata["low"] is not None:
        words += f"; {_shown(metadata['low'])} to {_shown(metadata['high'])}"
    return words


def _shown(default):
    """A value as it stands in a table; nothing for null and for what must be given."""
    if default is None or default is dataclasses.MISSING:
        return ""
    if isinstance(default, tuple):
        return f"[{', '.join(map(_shown, default))}]"
    return str(default).lower() if isinstance(default, bool) else str(default).removesuffix(".0")


def write(folder):
    """Write the schema and the tables in the configuration's `folder`."""
    head = "# Written by `make docs`; do not edit.\n"
    described = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema()}
    with atomic_path(folder / SCHEMA) as path:
        path.write_text(
            head + yaml.safe_dump(described, sort_keys=False, default_flow_style=None, width=1000, allow_unicode=True)
        )
    text = tables((folder / README).read_text(encoding="utf-8"))
    with atomic_path(folder / README) as path:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
