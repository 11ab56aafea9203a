"""Render rate: trains a scene briefly and renders its test views.

    python benchmarks/rendering.py [--backend cuda] scene.npz ...

Seconds for all test views together, the median of five rounds; appends to benchmarks/rendering.csv.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from record import append
from scenes import config_for, model_of, read_scene

from obj2ngp.ngp import backends
from obj2ngp.ngp.rendering import Renderer
from obj2ngp.ngp.training import TrainingRun, steps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path, nargs="+")
    parser.add_argument("--backend", default="auto", choices=("auto",) + backends.NAMES)
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()
    backend = backends.select(options.backend)
    for scene in options.scenes:
        training, test = read_scene(scene)
        height, width = test.rgba.shape[1:3]
        config = config_for(training, {"steps": options.steps}, backend)
        run = TrainingRun.alone(training, config, backend)
        list(steps(run))
        model = model_of(run)
        for supersampling in (1, 2):
            renderer = Renderer(model, backend, supersampling)
            rounds = []
            for _ in range(6):
                begin = time.perf_counter()
                for _ in renderer.render_views(test.pose, width, height, test.focal, test.center):
                    pass
                rounds.append(time.perf_counter() - begin)
            seconds = float(np.median(rounds[1:]))  # the first round compiles
            rays = len(test) * width * height * supersampling**2
            row = {
                "backend": backend.NAME,
                "scene": scene.stem,
                "views": len(test),
                "width": width,
                "supersampling": supersampling,
                "seconds": round(seconds, 4),
                "rays_per_second": round(rays / seconds),
            }
            append("rendering", [row])
            print(
                "{scene}: {views} views at {supersampling}x{supersampling} in {seconds} s, "
                "{rays_per_second:,} rays/s".format(**row),
                flush=True,
            )


if __name__ == "__main__":
    main()
