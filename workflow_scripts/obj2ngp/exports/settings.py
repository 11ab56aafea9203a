"""Settings of the exports: the section `export` of the workflow's configuration.

A format with settings of its own has a section here, named after it with `_` for `-`.
"""

import dataclasses
from dataclasses import dataclass
from typing import Tuple

from obj2ngp.common.settings import AUTO, setting

from .registry import FORMATS

# Bytes of memory for each point of the lattice on which a surface is looked for, and of a volume; for each point of the
# surface; and for each pixel of a texture. 256^3 points of a rough surface needed 0.65 GB, 2 million points 0.42 GB, a
# texture of 2048x2048 0.83 GB.
SURFACE_BYTES, VOLUME_BYTES, POINT_BYTES, TEXEL_BYTES = 45, 30, 230, 220


@dataclass(frozen=True)
class WeightsSettings:
    """What goes along with an object's weights."""

    category: str = setting(
        AUTO, "category of the object, for a table's column; `auto`: the synset in the name of a ShapeNet object"
    )
    thumbnails: int = setting(4, "test views that come along as pictures", 0, 1000)
    thumbnail_size: int = setting(64, "the most pixels along a thumbnail's side", 8, 1024)


def _resolution():
    return setting(256, "points along an edge of the lattice on which the density is evaluated, at least", 16, 1024)


@dataclass(frozen=True)
class MeshSettings:
    """The surface as triangles."""

    files: Tuple[str, ...] = setting(
        ("glb",), "types of the files, at least one", choices={"glb": "", "ply": "", "obj": ""}, least=1
    )
    colors: str = setting(
        "vertices",
        "where the colours are",
        choices={"vertices": "at the vertices", "texture": "in a texture; a `.ply` has none"},
    )
    faces: int = setting(50_000, "the most triangles: more are simplified", 100, 10**8)
    resolution: int = _resolution()
    texture_size: int = setting(1024, "pixels along the texture's side", 16, 8192)

    def parts(self, edge):
        """(points of the lattice, other parts, bytes of memory) where that has `edge` points along an edge."""
        texels = self.texture_size**2 if self.colors == "texture" else 0
        return edge**3, texels, edge**3 * SURFACE_BYTES + texels * TEXEL_BYTES


@dataclass(frozen=True)
class PointsSettings:
    """Points spread evenly over the surface."""

    count: int = setting(100_000, "how many", 1, 10**8)
    resolution: int = _resolution()

    def parts(self, edge):
        """As in MeshSettings."""
        return edge**3, self.count, edge**3 * SURFACE_BYTES + self.count * POINT_BYTES


@dataclass(frozen=True)
class VolumeSettings:
    """Density and colour on a regular grid."""

    resolution: int = setting(128, "points along an edge, at least", 16, 512)

    def parts(self, edge):
        """As in MeshSettings."""
        return edge**3, 0, edge**3 * VOLUME_BYTES


@dataclass(frozen=True)
class ExportSettings:
    """The section `export`."""

    formats: Tuple[str, ...] = setting(
        (),
        "what to write of each object into `export/<format>` of its results, see docs/exports.md",
        choices={name: "" for name in FORMATS},
    )
    weights: WeightsSettings = WeightsSettings()
    mesh: MeshSettings = MeshSettings()
    points: PointsSettings = PointsSettings()
    volume: VolumeSettings = VolumeSettings()


def settings_kind(format):
    """The dataclass of the settings that a format has of its own, or None."""
    name = format.replace("-", "_")
    return next((type(field.default) for field in dataclasses.fields(ExportSettings) if field.name == name), None)
