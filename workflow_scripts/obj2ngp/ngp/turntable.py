"""A turntable of a trained model: a looping GIF and an MP4."""

import math
import time
from dataclasses import dataclass

import numpy as np

from obj2ngp.common.cameras import focal_length, orbit_pose
from obj2ngp.common.files import atomic_path

from .rendering import Renderer, on_white
from .video import encode

FIRST_AZIMUTH = 55.0  # degrees: the first frame sees ShapeNet's models obliquely from the front


@dataclass(frozen=True)
class OrbitSettings:
    """The turntable. Angles in degrees; distances in world units, in which the object is 1 long."""

    frames: int = 60  # in one turn
    fps: int = 30  # frames a second
    size: int = 256  # pixels along each edge
    elevation: float = 20.0  # of the camera above the horizon
    radius: float = 1.5  # distance of the camera from the middle of the unit cube
    fov: float = 49.13  # horizontal field of view
    supersampling: int = 2  # rays along each edge of a pixel

    def __post_init__(self):
        for name in ("frames", "fps", "size", "supersampling"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.fps > 50:
            raise ValueError("fps must be at most 50: browsers slow faster GIFs down")
        if not (-90 < self.elevation < 90 and 0 < self.fov < 180 and self.radius > 0):
            raise ValueError("elevation must be within 90, fov within 0 and 180, radius above 0")


def orbit_poses(settings, center=(0, 0, 0)):
    """(frames, 4, 4): camera-to-world, OpenGL axes, of one turn about the z axis through `center`.

    Equal steps, anticlockwise from above; the last camera stands one step before the first, so that
    the loop has no frame twice.
    """
    azimuths = np.radians(FIRST_AZIMUTH + 360 * np.arange(settings.frames) / settings.frames)
    elevation = math.radians(settings.elevation)
    return np.stack([orbit_pose(azimuth, elevation, settings.radius, center) for azimuth in azimuths])


def render_orbit(model, backend, settings):
    """Yield the frames, (size, size, 3) uint8 on white."""
    renderer = Renderer(model, backend, settings.supersampling)
    center = (0.5 - np.asarray(model.offset)) / model.scale  # of the unit cube, in the world
    focal = focal_length(settings.size, math.radians(settings.fov))
    begin = time.perf_counter()
    views = renderer.render_views(orbit_poses(settings, center), settings.size, settings.size, focal)
    for index, (rgb, opacity, _) in enumerate(views):
        print(f"frame {index + 1} of {settings.frames} after {time.perf_counter() - begin:.2f} s", flush=True)
        yield on_white(rgb, opacity)


def write_orbit(model, backend, settings, gif, video):
    """Render the turntable of `model` (a Model) into the files `gif` and `video`."""
    frames = render_orbit(model, backend, settings)
    with atomic_path(gif) as gif_path, atomic_path(video) as video_path:
        encode(frames, settings.size, settings.size, settings.fps, gif_path, video_path)
