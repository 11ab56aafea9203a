"""A turntable of a trained model: a looping GIF, a looping WebP and an MP4."""

import math
import time

import numpy as np

from obj2ngp.common.cameras import focal_length, orbit_pose
from obj2ngp.common.files import atomic_path
from obj2ngp.common.memory import require_memory

from .rendering import Renderer, on_white
from .settings import ORBIT_PIXEL_BYTES
from .video import encode

FIRST_AZIMUTH = 55.0  # degrees: the first frame sees ShapeNet's models obliquely from the front


def orbit_poses(settings, center=(0, 0, 0), unit=1.0):
    """(frames, 4, 4): camera-to-world, OpenGL axes, of one turn about the z axis through `center`.

    `unit` is the length in world units of the unit cube's edge, in which settings.radius counts. Equal steps,
    anticlockwise from above; the last camera stands one step before the first, so that the loop has no frame twice.
    """
    azimuths = np.radians(FIRST_AZIMUTH + 360 * np.arange(settings.frames) / settings.frames)
    elevation = math.radians(settings.elevation)
    return np.stack([orbit_pose(azimuth, elevation, settings.radius * unit, center) for azimuth in azimuths])


def render_orbit(model, backend, settings):
    """Yield the frames, (size, size, 3) uint8 on white."""
    renderer = Renderer(model, backend, settings.supersampling)
    center = (0.5 - np.asarray(model.offset)) / model.scale  # of the unit cube, in the world
    focal = focal_length(settings.size, math.radians(settings.fov))
    begin = time.perf_counter()
    views = renderer.render_views(orbit_poses(settings, center, 1 / model.scale), settings.size, settings.size, focal)
    for index, (rgb, opacity, _) in enumerate(views):
        print(f"frame {index + 1} of {settings.frames} after {time.perf_counter() - begin:.2f} s", flush=True)
        yield on_white(rgb, opacity)


def write_orbit(model, backend, settings, gif, webp, video):
    """Render the turntable of `model` (a Model) into the files `gif`, `webp` and `video`."""
    require_memory(settings.size**2 * ORBIT_PIXEL_BYTES, f"orbit.size: frames of {settings.size}x{settings.size}")
    frames = render_orbit(model, backend, settings)
    with atomic_path(gif) as gif_path, atomic_path(webp) as webp_path, atomic_path(video) as video_path:
        encode(frames, settings.size, settings.size, settings.fps, gif_path, webp_path, video_path)
