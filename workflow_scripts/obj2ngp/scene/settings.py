"""The settings of the render program: names, defaults, bounds. They change the pictures; nothing else does."""

from dataclasses import dataclass, fields
from typing import Tuple

from obj2ngp.common.settings import LARGEST_SEED, setting

METHOD = 3  # raised by hand when the same settings give other pictures than before

DEVICES = {
    "cpu": "processor cores",
    "gpu": "a graphics card, by CUDA, HIP, Metal or oneAPI; single samples of pixels come out otherwise",
}

SAMPLES = {"draft": 16, "standard": 64, "high": 256}  # samples a pixel of the presets

DISTRIBUTIONS = {  # see cameras.sample_angles
    "hammersley": "low discrepancy",
    "uniform": "equal chance for equal areas of the sphere",
    "get3d": "uniform angles, as in GET3D",
}


@dataclass(frozen=True)
class Views:
    """How many views each split has."""

    train: int = setting(24, "views to train on", 1, 10**6)
    val: int = setting(8, "views for other programs that read the data set; 0 for none", 0, 10**6)
    test: int = setting(24, "views to measure on; no two splits share a camera", 1, 10**6)


SPLITS = tuple(field.name for field in fields(Views))


@dataclass(frozen=True)
class Cameras:
    """Where the cameras stand. Angles in degrees, distances in units of the unit box."""

    distribution: str = setting("hammersley", "how the views are spread", choices=DISTRIBUTIONS)
    azimuth: Tuple[float, float] = setting((0.0, 360.0), "range in degrees, at most 360 wide", -360, 720)
    elevation: Tuple[float, float] = setting((-10.0, 60.0), "range in degrees above the ground", -90, 90)
    radius: float = setting(1.5, "distance of the cameras from the centre; the object fills a box of side 1", 0.1, 100)
    fov: float = setting(49.13, "horizontal field of view in degrees", 1, 120)

    def __post_init__(self):
        for name in ("azimuth", "elevation"):
            low, high = getattr(self, name)
            if not low <= high <= low + 360:
                raise ValueError(name + ": must be [low, high], at most 360 apart")
        if self.azimuth[0] == self.azimuth[1] and self.elevation[0] == self.elevation[1]:
            raise ValueError("azimuth: it and elevation leave a single camera for all views and splits")


@dataclass(frozen=True)
class Light:
    """Radiance, where a white diffuse surface that receives 1 is just not burnt out."""

    environment: float = setting(0.5, "radiance of the white surroundings", 0, 10)
    key: float = setting(
        0.4, "radiance that the key light adds to a white surface facing it; a sum below 1 burns nothing out", 0, 10
    )


def _policy(default, doc, instead):
    """What to do about a flaw: stop, or warn and do `instead`."""
    return setting(default, doc, choices={"error": "", "warn": instead})


@dataclass(frozen=True)
class ObjectSettings:
    """The settings that all passes of an object share."""

    preset: str = setting("standard", "samples a pixel", choices={name: str(count) for name, count in SAMPLES.items()})
    device: str = setting("cpu", "what Blender computes on", choices=DEVICES)
    resolution: Tuple[int, int] = setting((128, 128), "width and height of the pictures in pixels", 8, 8192)
    cameras: Cameras = Cameras()
    scale: float = setting(0.9, "longest side of the object in the box", 0.001, 1)
    fit: bool = setting(True, "shrink an object further where a camera would cut it")
    up: str = setting("Y", "axis of the file that points up", choices={"Y": "", "Z": ""})
    light: Light = Light()
    depth: bool = setting(False, "also write depth maps")
    normals: bool = setting(False, "also write normal maps")
    missing_texture: str = _policy(
        "error", "a texture that is not there or no image", "use the material's plain colour"
    )
    missing_material: str = _policy("warn", "a material that is not there", "use light grey")
    broken_faces: str = _policy("error", "faces with non-finite, absurd or missing corners", "leave them out")
    no_visible_pixel: str = _policy(
        "error",
        "a view that shows nothing; an object that shows in none is always an error",
        "leave it out of the transforms file",
    )


@dataclass(frozen=True)
class Settings(ObjectSettings):
    """All settings of one pass (object, split)."""

    seed: int = setting(0, "cameras and rendering noise follow from it", 0, LARGEST_SEED)
    views: int = setting(24, "how many views the pass has", 1, 10**6)
