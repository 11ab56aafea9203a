"""The settings of a render: names, defaults, checks. Everything here changes the pictures; nothing else does."""

from dataclasses import dataclass
from typing import Tuple

METHOD = 2  # raised by hand when the same settings give other pictures than before

SAMPLES = {"draft": 16, "standard": 64, "high": 256}


def _require_range(name, low, high, *values):
    if not all(low <= value <= high for value in values):
        raise ValueError(f"{name} must be between {low:g} and {high:g}")


def _require_choice(name, value, choices):
    if value not in choices:
        raise ValueError("{} must be one of {}".format(name, ", ".join(choices)))


@dataclass(frozen=True)
class Cameras:
    """Where the cameras stand. Angles in degrees, distances in units of the unit box."""

    distribution: str = "hammersley"  # hammersley, uniform or get3d: see cameras.sample_angles
    azimuth: Tuple[float, float] = (0.0, 360.0)
    elevation: Tuple[float, float] = (-10.0, 60.0)
    radius: float = 1.5
    fov: float = 49.13  # horizontal

    def __post_init__(self):
        _require_choice("distribution", self.distribution, ("hammersley", "uniform", "get3d"))
        _require_range("azimuth", -360, 720, *self.azimuth)
        _require_range("elevation", -90, 90, *self.elevation)
        _require_range("radius", 0.1, 100, self.radius)
        _require_range("fov", 1, 120, self.fov)
        for name in ("azimuth", "elevation"):
            low, high = getattr(self, name)
            if not low <= high <= low + 360:
                raise ValueError(name + " must be [low, high], at most 360 apart")
        if self.azimuth[0] == self.azimuth[1] and self.elevation[0] == self.elevation[1]:
            raise ValueError("azimuth and elevation leave a single camera for all views and splits")


@dataclass(frozen=True)
class Light:
    """Radiance of the white surroundings, and what the key light adds on a white diffuse surface that faces it."""

    environment: float = 0.5
    key: float = 0.4

    def __post_init__(self):
        _require_range("environment", 0, 10, self.environment)
        _require_range("key", 0, 10, self.key)


@dataclass(frozen=True)
class Settings:
    """All settings of one pass (object, split)."""

    seed: int = 0
    views: int = 24
    resolution: Tuple[int, int] = (128, 128)  # width, height
    preset: str = "standard"
    cameras: Cameras = Cameras()
    scale: float = 0.9  # longest side of the object in the unit box
    fit: bool = True  # smaller where a picture would cut the object
    up: str = "Y"  # the file's axis that points up
    light: Light = Light()
    depth: bool = False
    normals: bool = False
    # Each "error" or "warn".
    missing_texture: str = "error"  # warn: the material's plain colour
    missing_material: str = "warn"  # warn: light grey
    broken_faces: str = "error"  # warn: they are left out
    no_visible_pixel: str = "error"  # of single views; a pass without any pixel is always an error

    def __post_init__(self):
        _require_range("seed", 0, 2**31 - 1, self.seed)
        _require_range("views", 1, 10**6, self.views)
        _require_range("resolution", 8, 8192, *self.resolution)
        _require_range("scale", 0.001, 1, self.scale)
        _require_choice("preset", self.preset, tuple(SAMPLES))
        _require_choice("up", self.up, ("Y", "Z"))
        for name in ("missing_texture", "missing_material", "broken_faces", "no_visible_pixel"):
            _require_choice(name, getattr(self, name), ("error", "warn"))
