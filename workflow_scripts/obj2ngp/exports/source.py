"""What an export is made from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obj2ngp.common.checks import mapping, matrix, maybe, read_json
from obj2ngp.common.memory import require_memory
from obj2ngp.ngp import load_model
from obj2ngp.ngp.config import lattice_resolution

from .registry import MODEL

RECORD = mapping({}, {"normalization": maybe(mapping({"matrix": matrix((4, 4))})), "settings": mapping({})})


@dataclass(frozen=True)
class Source:
    """An object's results, of which a format is made.

    name      the object's
    format    its name in exports.registry.FORMATS
    results   folder of its results
    settings  of the format: an instance of its dataclass in exports.settings, or None
    """

    name: str
    format: str
    results: Path
    settings: Any = None

    def model(self):
        """The trained Model. Raises ModelError."""
        return load_model(self.results / MODEL)

    def lattice_of(self, model):
        """Points along an edge of the lattice that the settings ask a Model for. Raises UserError if it has no room."""
        edge = lattice_resolution(self.settings.resolution, model.config.occupancy.resolution)
        *_, size = self.settings.parts(edge)
        require_memory(size, f"export.{self.format}: these settings, with a lattice of {edge}x{edge}x{edge} points")
        return edge

    def transforms(self, split):
        """The transforms file of a split's true views; it need not exist."""
        return self.results / "renders" / f"transforms_{split}.json"

    def record(self, split="train"):
        """What the render program, or whoever brought the views, noted of them. Raises UserError."""
        return read_json(self.results / "renders" / split / "record.json", RECORD)
