"""A turntable of a trained model: a looping GIF and an MP4."""

import math
import time
from dataclasses import dataclass

import numpy as np

from obj2ngp.common.files import atomic_path

from .rendering import Renderer, on_white
from .video import encode

FIRST_AZIMUTH = 55.0  # degrees: the first frame sees ShapeNet's models obliquely from the front


@dataclass(frozen=True)
class OrbitSettings:
    """The turntable. Angles in degrees; distances in edges of the model's unit cube, in which the object lies."""

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


def orbit_poses(settings, center=(0, 0, 0), unit=1.0):
    """(frames, 4, 4): camera-to-world, OpenGL axes, of one turn about the z axis through `center`.

    `unit` is the length in world units of the unit cube's edge, in which settings.radius counts. Equal steps,
    anticlockwise from above; the last camera stands one step before the first, so that the loop has no frame twice.
    """
    azimuth = np.radians(FIRST_AZIMUTH + 360 * np.arange(settings.frames) / settings.frames)
    elevation = np.radians(settings.elevation)
    cosine, sine, none = np.cos(azimuth), np.sin(azimuth), np.zeros_like(azimuth)
    right = np.stack([-sine, cosine, none], -1)
    backward = np.stack([cosine * np.cos(elevation), sine * np.cos(elevation), none + np.sin(elevation)], -1)
    poses = np.tile(np.eye(4), (settings.frames, 1, 1))
    poses[:, :3, 0], poses[:, :3, 1], poses[:, :3, 2] = right, np.cross(backward, right), backward
    poses[:, :3, 3] = settings.radius * unit * backward + center
    return poses


def render_orbit(model, backend, settings):
    """Yield the frames, (size, size, 3) uint8 on white."""
    renderer = Renderer(model, backend, settings.supersampling)
    center = (0.5 - np.asarray(model.offset)) / model.scale  # of the unit cube, in the world
    focal = settings.size / 2 / math.tan(math.radians(settings.fov) / 2)
    begin = time.perf_counter()
    views = renderer.render_views(orbit_poses(settings, center, 1 / model.scale), settings.size, settings.size, focal)
    for index, (rgb, opacity, _) in enumerate(views):
        print(f"frame {index + 1} of {settings.frames} after {time.perf_counter() - begin:.2f} s", flush=True)
        yield on_white(rgb, opacity)


def write_orbit(model, backend, settings, gif, video):
    """Render the turntable of `model` (a Model) into the files `gif` and `video`."""
    frames = render_orbit(model, backend, settings)
    with atomic_path(gif) as gif_path, atomic_path(video) as video_path:
        encode(frames, settings.size, settings.size, settings.fps, gif_path, video_path)
