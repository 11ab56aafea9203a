"""What the settings of Cycles cost, and how far their noise takes a picture from one of 1024 samples a pixel.

    .venv-blender/bin/python benchmarks/rendering_cost.py model.obj ...

Core-seconds a view, the cheapest of the rounds, in which the settings take turns; PSNR on white in dB. Appends to
benchmarks/rendering_cost.csv.
"""

import argparse
import contextlib
import math
import os
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
from record import append, processor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

from obj2ngp.scene import rendering, studio  # noqa: E402
from obj2ngp.scene.cameras import camera_poses, covered_rectangle, derived_seed  # noqa: E402
from obj2ngp.scene.problems import Problems  # noqa: E402
from obj2ngp.scene.settings import Settings  # noqa: E402

AS_IT_COMES = "as it comes"
REFERENCE = {"samples": 1024}
VARIANTS = {  # properties of scene.cycles
    AS_IT_COMES: {},
    "blue noise": {"sampling_pattern": "BLUE_NOISE"},
    "light tree": {"use_light_tree": True},
    "blue noise and light tree": {"sampling_pattern": "BLUE_NOISE", "use_light_tree": True},
    "56 samples": {"samples": 56},
    "48 samples": {"samples": 48},
    "32 samples": {"samples": 32},
    "adaptive 0.005": {"use_adaptive_sampling": True, "adaptive_threshold": 0.005, "adaptive_min_samples": 4},
    "adaptive 0.02": {"use_adaptive_sampling": True, "adaptive_threshold": 0.02, "adaptive_min_samples": 16},
    "adaptive 0.02, 32 to 128 samples": {
        "samples": 128,
        "use_adaptive_sampling": True,
        "adaptive_threshold": 0.02,
        "adaptive_min_samples": 32,
    },
    "no caustics": {"caustics_reflective": False, "caustics_refractive": False},
    "1 bounce": {"max_bounces": 1},
    "2 bounces": {"max_bounces": 2},
    "no roulette for 3 bounces": {"min_light_bounces": 3},
    "light threshold 0.05": {"light_sampling_threshold": 0.05},
    "scrambling distance 0.5": {"scrambling_distance": 0.5},
    "spatial splits": {"debug_use_spatial_splits": True},
    "wide tree of boxes": {"debug_use_compact_bvh": False},
    "no tiles": {"use_auto_tile": False},
}


def on_white(rgba):
    """Straight RGBA (..., 4) on white in 8 bits, (..., 3)."""
    return np.round(255 * (rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]))


def take_views(model, views, variant, first_seed, folder):
    """Pictures (views, H, W, 4) of ``model`` with the Cycles properties ``variant``, and core-seconds of each."""
    settings = Settings(missing_texture="warn", views=views)
    arguments = SimpleNamespace(model=model, threads=1)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        mesh, _, camera, _ = rendering.load_scene(arguments, settings, Problems(settings), lambda path: None)
    for name, value in variant.items():
        setattr(bpy.context.scene.cycles, name, value)
    seed = derived_seed(first_seed, model.stem, "test")
    poses = camera_poses(settings.cameras, views, derived_seed(0, model.stem, "test"))
    corners = np.asfortranarray(mesh.corners, np.float32)
    path = folder / "view.png"
    studio.take_picture(camera, poses[0], 0, path, False)  # builds what the views share
    pictures, seconds = [], []
    for index, pose in enumerate(poses):
        rectangle = covered_rectangle(corners, pose, math.radians(settings.cameras.fov), settings.resolution)
        begin = time.process_time()
        studio.show_only(rectangle, settings.resolution)
        studio.take_picture(camera, pose, (seed + index) % 2**31, path, False)
        pictures.append(studio.read_picture(path))
        seconds.append(time.process_time() - begin)
    return np.stack(pictures), np.array(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), metavar="setting")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            reference = on_white(take_views(model, options.views, REFERENCE, 1, Path(folder))[0])
            cheapest, pictures = {}, {}
            for _ in range(options.rounds):
                for name in options.only:
                    pictures[name], seconds = take_views(model, options.views, VARIANTS[name], 0, Path(folder))
                    cheapest[name] = np.minimum(cheapest.get(name, np.inf), seconds)
            for name in options.only:
                errors = ((on_white(pictures[name]) - reference) ** 2).mean(axis=(1, 2, 3))
                row = {
                    "object": model.stem,
                    "setting": name,
                    "blender": bpy.app.version_string,
                    "views": options.views,
                    "core_seconds_a_view": round(cheapest[name].mean(), 4),
                    "db": round(float(np.mean(20 * np.log10(255) - 10 * np.log10(errors))), 2),
                }
                append("rendering_cost", [row], processor())
                print(
                    "{object}: {setting}: {core_seconds_a_view} core-seconds a view, {db} dB".format(**row), flush=True
                )


if __name__ == "__main__":
    main()
