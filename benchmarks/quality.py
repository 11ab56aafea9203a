"""Quality after a number of steps: trains on posed-image scenes and judges the test views.

    python benchmarks/quality.py [--backend cpu] [--steps 1000 2000] [--seeds 3] scene.npz ...

PSNR per test view over the whole image, on white, prediction rounded to 8 bits; seconds are training wall time,
with kernels compiled, data in place, and evaluation not counted. Appends to benchmarks/quality.csv and prints
medians over the seeds.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from record import append
from scenes import config_for, model_of, psnr_per_view, read_scene

from obj2ngp.ngp import backends
from obj2ngp.ngp.rendering import Renderer
from obj2ngp.ngp.settings import ViewSettings
from obj2ngp.ngp.training import TrainingRun, steps


def measure(backend, settings, views):
    """(seconds of training, PSNR of every test view, the run) of one training."""
    training, test = views
    config = config_for(training, settings, backend)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    run = TrainingRun.alone(training, config, backend)
    list(steps(run))
    renderer = Renderer(model_of(run), backend, ViewSettings().supersampling)
    return run.seconds, psnr_per_view(renderer, test), run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path, nargs="+")
    parser.add_argument("--backend", default="auto", choices=("auto",) + backends.NAMES)
    parser.add_argument("--steps", type=int, nargs="*", default=[], help="default: the recipe's")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON: other training settings")
    parser.add_argument("--table", default="quality", help="name of the CSV to append to")
    options = parser.parse_args()
    backend = backends.select(options.backend)
    for scene in options.scenes:
        views = read_scene(scene)
        measure(backend, {**options.settings, "steps": 32}, views)  # compiles what is to be compiled
        for number in options.steps or ["auto"]:
            rows = []
            for seed in range(options.seeds):
                settings = {**options.settings, "steps": number, "seed": seed}
                seconds, psnr, run = measure(backend, settings, views)
                row = {
                    "backend": backend.NAME,
                    "scene": scene.stem,
                    "seed": seed,
                    "steps": run.config.steps,
                    "seconds": round(seconds, 3),
                    "psnr": round(float(psnr.mean()), 3),
                    "psnr_worst_view": round(float(psnr.min()), 3),
                    "samples_per_step": run.config.samples_per_step,
                    "gpu_mib": torch.cuda.max_memory_allocated() >> 20 if torch.cuda.is_available() else 0,
                    "skipped_steps": int(run.workspace.moments.skipped),
                    "settings": json.dumps(options.settings),
                }
                append(options.table, [row])
                rows.append(row)
            psnr, seconds = ([row[key] for row in rows] for key in ("psnr", "seconds"))
            print(
                "{}: {:.2f} dB ({:.2f} to {:.2f}) after {:.2f} s, {} steps, {} seeds".format(
                    scene.stem, np.median(psnr), min(psnr), max(psnr), np.median(seconds), rows[0]["steps"], len(rows)
                ),
                flush=True,
            )


if __name__ == "__main__":
    main()
