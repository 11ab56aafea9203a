"""Settings of the exports: the section `export` of the workflow's configuration.

A format with settings of its own has a section here, named after it with `_` for `-`.
"""

import dataclasses
from dataclasses import dataclass
from typing import Tuple

from obj2ngp.common.settings import AUTO, setting

from .registry import FORMATS


@dataclass(frozen=True)
class WeightsSettings:
    """What goes along with an object's weights."""

    category: str = setting(
        AUTO, "category of the object, for a table's column; `auto`: the synset in the name of a ShapeNet object"
    )
    thumbnails: int = setting(4, "test views that come along as pictures", 0, 1000)
    thumbnail_size: int = setting(64, "the most pixels along a thumbnail's side", 8, 1024)


@dataclass(frozen=True)
class ExportSettings:
    """The section `export`."""

    formats: Tuple[str, ...] = setting(
        (),
        "what to write of each object into `export/<format>` of its results, see docs/exports.md",
        choices={name: "" for name in FORMATS},
    )
    weights: WeightsSettings = WeightsSettings()


def settings_kind(format):
    """The dataclass of the settings that a format has of its own, or None."""
    name = format.replace("-", "_")
    return next((type(field.default) for field in dataclasses.fields(ExportSettings) if field.name == name), None)
