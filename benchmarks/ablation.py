"""Ablation: one change to the recipe at a time, judged on every scene.

    python benchmarks/ablation.py [--backend cuda] [--steps 3000] [--only NAME ...] scene.npz ...

Appends the mean test PSNR of every (variant, scene) to benchmarks/ablation.csv and prints a table. The rows there
whose variant begins with "chair400, round" are from the search for the recipe, one seed each: what they call recipe or
base was that round's, and their settings are complete. They have no seconds, since two runs shared the GPU.
"""

import argparse
import json
from pathlib import Path

from quality import measure
from record import append
from scenes import read_scene

from obj2ngp.ngp import backends

# Each changes the default recipe of the scene; see ngp.config for what the settings mean.
VARIANTS = {
    "recipe": {},
    "one ray a pixel": {"supersampling": 1},
    "one ray, half the jitter": {"supersampling": 1, "pixel_jitter": 0.5},
    "one ray, no jitter": {"supersampling": 1, "pixel_jitter": 0.0},
    "pixels 0.75 wide": {"pixel_jitter": 0.75},
    "pixels 1.25 wide": {"pixel_jitter": 1.25},
    "rate 5e-3": {"learning_rate": 5e-3},
    "rate 2e-2": {"learning_rate": 2e-2},
    "no rate decay": {"final_rate": 1.0},
    "decay from 0.3": {"decay_start": 0.3},
    "warm-up 50": {"warmup_steps": 50},
    "beta2 0.999": {"beta2": 0.999},
    "Huber 0.02": {"huber": 0.02},
    "Huber 0.1": {"huber": 0.1},
    "L2": {"huber": 1.0},
    "weight decay 1e-6": {"weight_decay": 1e-6},
    "table 2^12": {"network": {"table_log2": 12}},
    "table 2^15": {"network": {"table_log2": 15}},
    "table 2^19": {"network": {"table_log2": 19}},
    "finest 512": {"network": {"finest_resolution": 512}},
    "finest 1600": {"network": {"finest_resolution": 1600}},
    "base 16": {"network": {"base_resolution": 16}},
    "12 levels": {"network": {"levels": 12}},
    "no view direction": {"network": {"sh_degree": 1}},
    "directions in 4 bands": {"network": {"sh_degree": 4}},
    "3 colour layers": {"network": {"color_layers": 3}},
    "width 128": {"network": {"density_width": 128, "color_width": 128}},
    "512 march steps": {"march_steps": 512},
    "2^16 samples": {"samples_per_step": 1 << 16},
    "2^18 samples": {"samples_per_step": 1 << 18},
    "grid 128": {"occupancy": {"resolution": 128}},
    "no distortion loss": {"distortion": 0.0},
    "distortion 0.01": {"distortion": 0.01},
    "distortion 0.03": {"distortion": 0.03},
    "distortion 0.1": {"distortion": 0.1},
    "distortion 0.3": {"distortion": 0.3},
    "hidden cells kept": {"occupancy": {"memory": 1 << 30}},
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
    print("{:28}".format("") + "".join("{:>14}".format(name) for name in scenes) + "      mean  seconds")
    for name in options.only:
        settings = {**VARIANTS[name], "steps": options.steps}
        rows = []
        for scene, views in scenes.items():
            seconds, psnr, _ = measure(backend, settings, views)
            rows.append(
                {
                    "backend": backend.NAME,
                    "variant": name,
                    "scene": scene,
                    "steps": options.steps,
                    "seconds": round(seconds, 3),
                    "psnr": round(float(psnr.mean()), 3),
                    "settings": json.dumps(settings),
                }
            )
        append("ablation", rows)
        values = [row["psnr"] for row in rows]
        print(
            "{:28}".format(name)
            + "".join("{:14.2f}".format(v) for v in values)
            + "{:10.2f}{:9.2f}".format(sum(values) / len(values), sum(row["seconds"] for row in rows) / len(rows)),
            flush=True,
        )


if __name__ == "__main__":
    main()
