"""Ablation: one change to the recipe at a time, judged on every scene.

    python benchmarks/ablation.py [--backend cuda] [--steps 3000] [--only NAME ...] scene.npz ...

Appends the mean test PSNR of every (variant, scene) to benchmarks/ablation.csv and prints a table.
"""
import argparse
import json
from pathlib import Path

from quality import measure
from record import append
from scenes import read_scene

from ngp import backends

# Each changes the default recipe of the scene; see ngp.config for what the settings mean.
VARIANTS = {
    "recipe": {},
    "rate 5e-3": {"learning_rate": 5e-3},
    "rate 2e-2": {"learning_rate": 2e-2},
    "no rate decay": {"final_rate": 1.0},
    "decay to 0.1": {"final_rate": 0.1},
    "decay to 0.004": {"final_rate": 0.004},
    "decay from the start": {"decay_start": 0.0},
    "decay from 0.6": {"decay_start": 0.6},
    "warm-up 200": {"warmup_steps": 200},
    "warm-up 500": {"warmup_steps": 500},
    "beta2 0.999": {"beta2": 0.999},
    "L2 loss": {"huber": 10.0},
    "Huber 0.02": {"huber": 0.02},
    "Huber 0.1": {"huber": 0.1},
    "table 2^13": {"network": {"table_log2": 13}},
    "table 2^17": {"network": {"table_log2": 17}},
    "table 2^19": {"network": {"table_log2": 19}},
    "finest 256": {"network": {"finest_resolution": 256}},
    "finest 1024": {"network": {"finest_resolution": 1024}},
    "finest 2048": {"network": {"finest_resolution": 2048}},
    "8 levels": {"network": {"levels": 8}},
    "8 levels of 4": {"network": {"levels": 8, "features": 4}},
    "no view direction": {"network": {"sh_degree": 1}},
    "directions to degree 2": {"network": {"sh_degree": 2}},
    "directions to degree 3": {"network": {"sh_degree": 3}},
    "256 march steps": {"march_steps": 256},
    "1024 march steps": {"march_steps": 1024},
    "2^15 samples": {"samples_per_step": 1 << 15},
    "2^17 samples": {"samples_per_step": 1 << 17},
    "hidden cells kept": {"occupancy": {"memory": 1 << 30}},
    "cells kept 64 steps": {"occupancy": {"memory": 64}},
    "grid decay 0.7": {"occupancy": {"decay": 0.7}},
    "grid threshold 0.1": {"occupancy": {"threshold": 0.1}},
    "grid 64": {"occupancy": {"resolution": 64}},
    "weight decay 1e-5": {"weight_decay": 1e-5},
    "no weight decay": {"weight_decay": 0.0},
    "width 128": {"network": {"density_width": 128, "color_width": 128}},
    "width 32": {"network": {"density_width": 32, "color_width": 32}},
    "base 8": {"network": {"base_resolution": 8}},
    "base 32": {"network": {"base_resolution": 32}},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path, nargs="+")
    parser.add_argument("--backend", default="auto", choices=("auto",) + backends.NAMES)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--only", nargs="*", choices=list(VARIANTS), default=list(VARIANTS))
    options = parser.parse_args()
    backend = backends.select(options.backend)
    scenes = {path.stem: read_scene(path) for path in options.scenes}
    print("{:24}".format("") + "".join("{:>14}".format(name) for name in scenes) + "      mean  seconds")
    for name in options.only:
        settings = {**VARIANTS[name], "steps": options.steps}
        rows = []
        for scene, views in scenes.items():
            seconds, psnr, _ = measure(scene, backend, settings, views)
            rows.append({
                "backend": backends.name_of(backend), "variant": name, "scene": scene, "steps": options.steps,
                "seconds": round(seconds, 3), "psnr": round(float(psnr.mean()), 3), "settings": json.dumps(settings),
            })
        append("ablation", rows)
        values = [row["psnr"] for row in rows]
        print("{:24}".format(name) + "".join("{:14.2f}".format(v) for v in values) + "{:10.2f}{:9.2f}".format(
            sum(values) / len(values), sum(row["seconds"] for row in rows) / len(rows)), flush=True)


if __name__ == "__main__":
    main()
