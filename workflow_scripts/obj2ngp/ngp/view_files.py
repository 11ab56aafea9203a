"""Pictures of a trained model from the cameras of a transforms file.

For each view NAME: NAME.png, 8-bit RGB on white, and NAME_depth.png, 16-bit; beside them, where geometry is wanted,
the density of the field on a lattice. The folder's protocol.json states what the values mean. Whatever the folder
held before is replaced.
"""

import json
import time

import numpy as np

from obj2ngp.common.lattice import save_lattice
from obj2ngp.common.memory import require_memory
from obj2ngp.common.packing import atomic_pictures
from obj2ngp.views.picture_files import read_size, write_picture
from obj2ngp.views.pictures import DEPTH_SUFFIX, DEPTH_UNITS_PER_STEP, LATTICE, check_view_names
from obj2ngp.views.reading import read_cameras

from .lattice import density_lattice
from .rendering import Renderer, on_white

PIXEL_BYTES = 48  # of memory, that a picture's pixel takes at least
LATTICE_RESOLUTION = 128  # at least; finer ones moved few metrics of geometry, by 0.02 at most


def image_size(cameras):
    """(width, height) in pixels: as the transforms file says, or else as its first image has it."""
    if {"w", "h"} <= cameras.intrinsics.keys():
        return int(cameras.intrinsics["w"]), int(cameras.intrinsics["h"])
    return read_size(cameras.files[0])


def depth_image(depth):
    """(H,W) uint16 of depths (H,W) in world units: steps of DEPTH_UNITS_PER_STEP, 0 where there is none.

    Depths too large for 16 bits become 65535.
    """
    steps = np.clip(np.round(depth / DEPTH_UNITS_PER_STEP), 1, 65535)
    return np.where(depth > 0, steps, 0).astype(np.uint16)


def render_views(model, transforms, settings, backend, out):
    """Render `model` (a Model) from the cameras of the file `transforms` into the folder `out`. Raises UserError."""
    cameras = read_cameras(transforms)
    names = [file.stem for file in cameras.files]
    check_view_names(names, transforms)
    width, height = image_size(cameras)
    require_memory(width * height * PIXEL_BYTES, f"{transforms}: pictures of {width}x{height}")
    focal, center = cameras.pinhole(width, height)
    renderer = Renderer(model, backend, settings.supersampling)
    protocol = {
        "images": "8-bit sRGB on white",
        "depth": {
            "meaning": "median distance along the pixel's rays from the camera: where half of the light is left",
            "units_per_step": DEPTH_UNITS_PER_STEP,
            "zero": "most of the pixel's rays keep more than half of the light",
        },
        "supersampling": settings.supersampling,
        "width": width,
        "height": height,
        "views": len(names),
    }
    with atomic_pictures(out) as folder:
        begin = time.perf_counter()
        views = renderer.render_views(cameras.pose, width, height, focal, center)
        for name, (rgb, opacity, depth) in zip(names, views):
            write_picture(folder / f"{name}.png", on_white(rgb, opacity))
            write_picture(folder / f"{name}{DEPTH_SUFFIX}.png", depth_image(depth))
            print(f"view {name} after {time.perf_counter() - begin:.2f} s", flush=True)
        if settings.geometry:
            save_lattice(folder / LATTICE, density_lattice(renderer, LATTICE_RESOLUTION))
        (folder / "protocol.json").write_text(json.dumps(protocol, indent=1) + "\n")
