"""Time of a training step and of each of its kernels, on a GPU.

    python benchmarks/kernels.py [--samples 65536 262144] [--settings JSON] [scene.npz]

Trains for WARMUP steps, so that rays and occupancy grid are in their usual state, then times replayed steps with
device events, and the kernels with PyTorch's profiler. Without a scene it trains on the tests' ball. Appends
to benchmarks/kernels.csv; the row `step` is a whole step, `update` one of the occupancy grid's updates.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

import torch
from record import append
from scenes import ROOT, config_for, read_scene

from obj2ngp.ngp import backends
from obj2ngp.ngp.training import TrainingRun, steps

sys.path.insert(0, str(ROOT / "tests"))

from ball import around, ball_images  # noqa: E402

WARMUP = 600  # steps before the measurement
STEPS = 200  # steps measured


def milliseconds(function, repeats):
    """Mean device time of a call."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(repeats):
        function()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / repeats


def kernel_times(function, repeats):
    """{kernel: milliseconds a call} of what a call launches."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(repeats):
            function()
        torch.cuda.synchronize()
    times = defaultdict(float)
    for event in profile.events():
        if event.device_type == torch.autograd.DeviceType.CUDA:
            name = event.name.removeprefix("void ").split("<")[0].split("(")[0].removesuffix("_kernel")
            times[name] += event.device_time / 1000 / repeats
    return dict(times)


def measure(backend, images, settings):
    """(rays, samples, {part: milliseconds}) of a run in its usual state."""
    config = config_for(images, settings, backend)
    run = TrainingRun.alone(images, config, backend)
    next(row for row in steps(run) if row["step"] >= WARMUP)
    space = run.workspace
    times = {"step": milliseconds(space.step, STEPS), "update": milliseconds(space.update_occupancy, 20)}
    times.update(sorted(kernel_times(space.step, 20).items(), key=lambda item: -item[1]))
    return int(space.rays.active), int(space.samples.count), times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path, nargs="?")
    parser.add_argument("--samples", type=int, nargs="*", default=[1 << 16, 1 << 18])
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON: other training settings")
    options = parser.parse_args()
    backend = backends.select("cuda")
    images = read_scene(options.scene)[0] if options.scene else ball_images(around(24), size=128)
    scene = options.scene.stem if options.scene else "ball"
    for samples in options.samples:
        rays, used, times = measure(backend, images, {**options.settings, "samples_per_step": samples})
        print("{}, {} samples: {} rays, {} samples in use".format(scene, samples, rays, used))
        for part, time in times.items():
            print("    {:36} {:7.4f} ms".format(part, time))
        common = {"scene": scene, "samples": samples, "rays": rays, "settings": json.dumps(options.settings)}
        append("kernels", [{**common, "part": part, "milliseconds": round(t, 4)} for part, t in times.items()])


if __name__ == "__main__":
    main()
