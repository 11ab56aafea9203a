"""Objects an hour: the workflow itself, from rendered pictures to models, test views, metrics and turntables.

    python benchmarks/throughput.py [--objects 64] [--configuration '{"workers": ...}'] scene.npz ...

Makes a project of `--objects` objects whose pictures are those of the scenes, runs `snakemake --cores all` in it with
the default profile, and appends to benchmarks/throughput.csv: seconds, objects an hour, mean PSNR, and the mean of the
GPU's utilisation as nvidia-smi states it. A first run of one object compiles the kernels and is not counted.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from record import append
from scenes import ROOT, read_scene

from obj2ngp.views.nerf_synthetic import write_images

WORKFLOW = ("Snakefile", "rules", "envs", "profiles", "config", "workflow_scripts")


class Utilisation:
    """The GPU's utilisation in percent, sampled while the block runs; None without nvidia-smi."""

    def __enter__(self):
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
        self.process = subprocess.Popen(query, stdout=subprocess.PIPE, text=True) if shutil.which(query[0]) else None
        return self

    def __exit__(self, *_):
        self.mean = None
        if self.process:
            self.process.terminate()
            self.mean = float(np.mean([float(line) for line in self.process.communicate()[0].split()]))


def make_project(folder, scenes, objects, configuration):
    """The workflow in `folder`, with models that are older than the pictures that are made of them."""
    for name in WORKFLOW:
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "config" / "schemas", folder / "own" / "schemas")
    (folder / "models").mkdir()
    rendered = []
    for number, scene in enumerate(scenes):
        rendered.append(folder / "rendered" / str(number))
        for split, images in zip(("train", "test"), read_scene(scene), strict=True):
            write_images(images, rendered[-1], split)
            (rendered[-1] / split / "record.json").write_text(json.dumps({"source": str(scene)}))
    for number in range(objects):
        model = folder / "models" / f"object{number:05d}.obj"
        model.write_text("v 0 0 0\n")
        os.utime(model, (1, 1))
        shutil.copytree(rendered[number % len(rendered)], folder / "results" / model.stem / "renders")
    content = {"objects": {"folder": "models"}, "render": {"views": {"val": 0}}, **configuration}
    (folder / "own" / "config.yaml").write_text(json.dumps(content))


def snakemake(folder, *words):
    """Seconds of a run of the workflow in `folder`."""
    command = [sys.executable, "-m", "snakemake", *words, "--cores", "all", "--configfile", "own/config.yaml"]
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
    return time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path, nargs="+")
    parser.add_argument("--objects", type=int, default=64)
    parser.add_argument(
        "--configuration", type=json.loads, default={}, help="JSON: what the configuration says besides"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_project(folder, options.scenes, options.objects, options.configuration)
        snakemake(folder, "results/object00000/metrics.csv", "results/object00000/orbit.gif")
        with Utilisation() as gpu:
            seconds = snakemake(folder)
        with open(folder / "results" / "summary.csv", newline="") as file:
            psnr = [float(row["psnr"]) for row in csv.DictReader(file) if row["object"].startswith("object")]
    made = options.objects - 1
    row = {
        "objects": made,
        "seconds": round(seconds, 2),
        "objects_an_hour": round(3600 * made / seconds),
        "gpu_utilisation": "" if gpu.mean is None else round(gpu.mean, 1),
        "psnr": round(float(np.mean(psnr)), 3),
        "cores": os.cpu_count(),
        "configuration": json.dumps(options.configuration),
    }
    append("throughput", [row])
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
