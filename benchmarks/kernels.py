"""Time of a training step and of each of its kernels, on a GPU.

    python benchmarks/kernels.py [--samples 65536 262144] [--settings JSON] [scene.npz]

Trains for WARMUP steps, so that rays and occupancy grid are in their usual state, then times replayed steps with
device events, and the kernels with PyTorch's profiler. Without a scene it trains on a ball drawn here. Appends
to benchmarks/kernels.csv; the row `step` is a whole step, `update` one of the occupancy grid's updates.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from record import append
from scenes import read_scene

from obj2ngp.ngp import backends
from obj2ngp.ngp.config import resolve
from obj2ngp.ngp.training import TrainingRun, steps
from obj2ngp.views.posed_images import PosedImages

WARMUP = 600  # steps before the measurement
STEPS = 200  # steps measured
RADIUS, DISTANCE, FOCAL = 0.4, 1.5, 140.0  # of the drawn ball, of the cameras, in pixels


def drawn_ball(views=24, size=128):
    """PosedImages of a checkered ball in the middle of the unit cube, seen from all around."""
    row, column = np.mgrid[:size, :size] + 0.5
    local = np.stack([(column - size / 2) / FOCAL, (size / 2 - row) / FOCAL, -np.ones((size, size))], -1)
    local /= np.linalg.norm(local, axis=-1, keepdims=True)
    rgba, poses = [], []
    for view in range(views):
        azimuth, height = 2.399963 * view, 1 - (2 * view + 1) / views  # Fibonacci sphere: golden angle
        back = np.array([np.cos(azimuth) * np.sqrt(1 - height**2), height, np.sin(azimuth) * np.sqrt(1 - height**2)])
        right = np.cross([0.0, 1.0, 0.0], back)
        right /= np.linalg.norm(right)
        pose = np.column_stack([right, np.cross(back, right), back, DISTANCE * back])
        direction = local @ pose[:, :3].T
        along = -(direction @ pose[:, 3])
        discriminant = along**2 - DISTANCE**2 + RADIUS**2
        hit = discriminant > 0
        point = pose[:, 3] + direction * (along - np.sqrt(np.maximum(discriminant, 0)))[..., None]
        checker = np.floor(point * 8).sum(-1) % 2
        color = np.stack([0.3 + 0.6 * checker, 0.5 + point[..., 1], 0.9 - 0.6 * checker], -1) * hit[..., None]
        rgba.append((np.concatenate([color, hit[..., None]], -1).clip(0, 1) * 255).astype(np.uint8))
        poses.append(pose)
    center = (size / 2, size / 2)
    names = [str(i) for i in range(views)]
    return PosedImages(np.stack(rgba), np.stack(poses).astype(np.float32), FOCAL, center, names, 1.0, np.full(3, 0.5))


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
    config = resolve(settings, backend.NAME, len(images), max(images.rgba.shape[1:3]))
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
    images = read_scene(options.scene)[0] if options.scene else drawn_ball()
    scene = options.scene.stem if options.scene else "drawn ball"
    for samples in options.samples:
        rays, used, times = measure(backend, images, {**options.settings, "samples_per_step": samples})
        print("{}, {} samples: {} rays, {} samples in use".format(scene, samples, rays, used))
        for part, time in times.items():
            print("    {:36} {:7.4f} ms".format(part, time))
        common = {"scene": scene, "samples": samples, "rays": rays, "settings": json.dumps(options.settings)}
        append("kernels", [{**common, "part": part, "milliseconds": round(t, 4)} for part, t in times.items()])


if __name__ == "__main__":
    main()
