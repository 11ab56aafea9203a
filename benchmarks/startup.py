"""Start-up: seconds from the start of the training program to its end, for a run of very few steps.

    python benchmarks/startup.py [--backend cuda] scene.npz

Measured twice: with no kernel compiled on this machine, and with all kernels in the cache. Appends to
benchmarks/startup.csv.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import append
from scenes import ROOT, read_scene

from obj2ngp.ngp import backends
from obj2ngp.views.nerf_synthetic import write_images


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--backend", default="auto", choices=("auto",) + backends.NAMES)
    options = parser.parse_args()
    name = backends.select(options.backend).NAME
    with tempfile.TemporaryDirectory() as folder:
        write_images(read_scene(options.scene)[0], Path(folder, "renders"), "train")
        environment = {**os.environ, "TRITON_CACHE_DIR": folder + "/triton", "NUMBA_CACHE_DIR": folder + "/numba"}
        command = [
            sys.executable,
            ROOT / "workflow_scripts/train.py",
            "--object",
            "scene",
            "--renders",
            folder + "/renders",
            "--backend",
            name,
            "--settings",
            '{"steps": 16}',
            "--model",
            folder + "/model.safetensors",
            "--log",
            folder + "/log.csv",
        ]
        for kernels in ("not compiled", "cached"):
            begin = time.perf_counter()
            subprocess.run(command, env=environment, check=True)
            seconds = round(time.perf_counter() - begin, 2)
            append("startup", [{"backend": name, "kernels": kernels, "seconds": seconds}])
            print("{}, kernels {}: {} s".format(name, kernels, seconds), flush=True)


if __name__ == "__main__":
    main()
