"""Memory and time that a job asks a cluster for, by the settings that decide them.

Sizes are peaks of resident memory and times are core-seconds, measured in 2026 on an AMD EPYC (GPUs: NVIDIA H200) and
rounded up. A job gets twice the estimated time. The rules multiply both by the attempt.
"""

import math
import os
from dataclasses import dataclass, replace
from itertools import pairwise

from obj2ngp.ngp.config import lattice_resolution
from obj2ngp.ngp.settings import ORBIT_PIXEL_BYTES
from obj2ngp.scene.settings import SAMPLES, Views

MARGIN = 2  # between an estimated time and the limit

# Blender 4.5 on a CPU.
RENDER_MB, RENDER_MINUTES = 3000, 10  # import, mesh and textures of a large model
SAMPLE_SECONDS = 4e-7  # a sample of a pixel: 24 views of 128x128 at 64 samples in 10 core-seconds
GPU_COMPILE_MINUTES = 10  # for cards that Blender has no binary for, the driver makes one once: 9 on an H100
GPU_SAMPLE_RENDER_SECONDS = 4e-8  # ten times an H200's, of which 100 views of 800x800 at 64 samples took 20 s
MODEL_BYTES = 45  # for each of an .obj file's: a million faces of nothing but positions, 38 MB, took 1.7 GB
MODEL_SECONDS = 6e-7  # for each of them, on one core: a million faces, 38 MB, in 19 s
MODEL_VIEW_SECONDS = 3e-8  # for each of them and each view: 1.1 s
RENDER_PIXEL_BYTES = 250  # twice what one took: 2048x2048 with depths and normals 480 MB more than 64x64

# The trainer. Host memory does not depend on the device, on which the buffers lie as well.
TRAINER_MB, TRAINER_MINUTES = 3000, 5  # PyTorch, a CUDA context, numba's compilation
OPERATION_SECONDS = 3e-10  # a multiply-add of a training sample: 1500 steps of 24,576 samples in 92 core-seconds
MARCH_SECONDS = 8e-6  # a ray of a trained model, at 256 march steps and NETWORK_OPERATIONS: 1.6 million in 12
NETWORK_OPERATIONS = 8700  # of the network that MARCH_SECONDS was measured with
GPU_STEP_SECONDS = 0.012  # a step of the slower GPU backend, which the host limits: tcnn
GPU_SAMPLE_SECONDS = 2e-9
GPU_RAY_SECONDS = 1e-7
CELL_BYTES = 120  # a cell of the occupancy grid while it is carved: 256^3 cells need 1.9 GB
CELL_SECONDS = 1e-7  # a cell and view, while it is carved
GRID_BYTES = 30  # a cell afterwards
ACTIVATION_BYTES = 12  # of each activation of a sample: itself, its gradient, and a temporary
TABLE_BYTES = 20  # an entry's feature: parameter, gradient, two moments, and a temporary
IMAGE_PIXEL_BYTES = 16  # a pixel of the pictures: 100 of 800x800 need 0.6 GB
RENDERED_PIXEL_BYTES = 100
CHUNK_SAMPLES = 1 << 17  # samples of a trained model that are evaluated together on a CPU
VIDEO_PIXEL_SECONDS = 4e-7  # 60 frames of 1024x1024 in 27
EXPORT_MB, EXPORT_MINUTES = 4000, 20  # of any format: PyTorch, and an object's pictures
LATTICE_SECONDS = 4e-6  # a point of an export's lattice: 256^3 of a rough surface in 63 core-seconds
PART_SECONDS = 8e-6  # a point of its surface or a pixel of its texture: 2 million points in 15


# What an image set is taken to hold, which nobody has looked into when jobs are planned: that of NeRF-synthetic.
SET_VIEWS, SET_SIZE = Views(train=100, val=0, test=200), (800, 800)


@dataclass(frozen=True)
class Need:
    """What a job needs: memory in MB and time in minutes, as Snakemake's resources `mem_mb` and `runtime`."""

    mem_mb: int
    runtime: int


def need(rule, configuration, config, on_gpu, threads, part=None):
    """The Need of a job of `rule`, one of the functions below.

    configuration    workflow Configuration of the object
    config, on_gpu   TrainConfig of its model, and whether the trainer runs on a GPU
    threads          CPU cores of the job
    part             the split that is rendered, or the format of an export
    """
    if rule == "render":
        return render(configuration, part, threads)
    if rule == "export":
        return export(configuration, config, part)
    return {"train": train, "render_test": render_test, "orbit": orbit}[rule](configuration, config, on_gpu, threads)


def of_image_set(configuration):
    """The Configuration with the views and the size that an object has which is an image set."""
    return replace(configuration, render=replace(configuration.render, views=SET_VIEWS, resolution=SET_SIZE))


def render(configuration, split, threads):
    """The Need of rendering a `split`."""
    settings = configuration.render
    pixels = settings.resolution[0] * settings.resolution[1]
    samples = getattr(settings.views, split) * pixels * SAMPLES[settings.preset]
    if settings.device == "gpu":
        minutes, seconds = RENDER_MINUTES + GPU_COMPILE_MINUTES, samples * GPU_SAMPLE_RENDER_SECONDS
    else:
        minutes, seconds = RENDER_MINUTES, samples * SAMPLE_SECONDS / threads
    return _need(RENDER_MB, pixels * RENDER_PIXEL_BYTES, minutes, seconds)


def model_need(path, views):
    """The Need that the .obj file `path` adds to that of rendering so many `views`; nothing where there is none."""
    try:
        size = os.path.getsize(path)
    except OSError:
        return Need(0, 0)
    return _need(0, size * MODEL_BYTES, 0, size * (MODEL_SECONDS + views * MODEL_VIEW_SECONDS))


def train(configuration, config, on_gpu, threads):
    """The Need of training."""
    settings = configuration.render
    views, network, grid = settings.views.train, config.network, config.occupancy
    cells = grid.resolution**3
    size = (
        cells * CELL_BYTES
        + config.samples_per_step * _activations(network) * ACTIVATION_BYTES
        + _table(network) * TABLE_BYTES
        + views * settings.resolution[0] * settings.resolution[1] * IMAGE_PIXEL_BYTES
    )
    samples = config.samples_per_step + grid.cells_per_update / grid.interval
    if on_gpu:
        seconds = config.steps * (GPU_STEP_SECONDS + samples * _work(network) * GPU_SAMPLE_SECONDS)
    else:
        seconds = config.steps * samples * _operations(network) * OPERATION_SECONDS / threads
    return _need(TRAINER_MB, size, TRAINER_MINUTES, seconds + cells * views * CELL_SECONDS / threads)


def render_test(configuration, config, on_gpu, threads):
    """The Need of rendering a model's test views."""
    settings = configuration.render
    pixels = settings.resolution[0] * settings.resolution[1]
    rays = settings.views.test * pixels * configuration.test.supersampling**2
    seconds = _trace_seconds(config, rays, on_gpu, threads)
    return _need(TRAINER_MB, _model_size(config) + pixels * RENDERED_PIXEL_BYTES, TRAINER_MINUTES, seconds)


def orbit(configuration, config, on_gpu, threads):
    """The Need of a model's turntable."""
    settings = configuration.orbit
    pixels = settings.size**2
    seconds = _trace_seconds(config, settings.frames * pixels * settings.supersampling**2, on_gpu, threads)
    seconds += settings.frames * pixels * VIDEO_PIXEL_SECONDS
    size = _model_size(config) + pixels * (RENDERED_PIXEL_BYTES + ORBIT_PIXEL_BYTES)
    return _need(TRAINER_MB, size, TRAINER_MINUTES, seconds)


def export(configuration, config, format):
    """The Need of an export."""
    settings = getattr(configuration.export, format, None)
    if not hasattr(settings, "parts"):
        return Need(EXPORT_MB, EXPORT_MINUTES)
    points, others, size = settings.parts(lattice_resolution(settings.resolution, config.occupancy.resolution))
    return _need(EXPORT_MB, size, EXPORT_MINUTES, points * LATTICE_SECONDS + others * PART_SECONDS)


def _need(megabytes, size, minutes, seconds):
    """What a program needs in any case, in MB and minutes, and what comes on top in bytes and seconds."""
    return Need(math.ceil(megabytes + size / 1e6), math.ceil(minutes + MARGIN * seconds / 60))


def _trace_seconds(config, rays, on_gpu, threads):
    if on_gpu:
        return rays * GPU_RAY_SECONDS
    return rays * MARCH_SECONDS * config.march_steps / 256 * _work(config.network) / threads


def _model_size(config):
    """Bytes of a trained model and of the buffers that it is rendered with."""
    buffers = CHUNK_SAMPLES * _activations(config.network) * ACTIVATION_BYTES
    return config.occupancy.resolution**3 * GRID_BYTES + _table(config.network) * TABLE_BYTES + buffers


def _layers(network):
    """Pairs of inputs and outputs of the layers of both MLPs."""
    encoding, directions = network.levels * network.features, network.sh_degree**2
    density = [encoding, *[network.density_width] * network.density_layers, network.geometry_features]
    color = [network.geometry_features + directions, *[network.color_width] * network.color_layers, 3]
    return [*pairwise(density), *pairwise(color)]


def _operations(network):
    """Multiply-adds of a sample: the MLPs' and those of the eight vertices of each level."""
    return sum(inputs * outputs for inputs, outputs in _layers(network)) + 8 * network.levels * network.features


def _work(network):
    """The network's operations, where 1 is those of the network that the times were measured with."""
    return _operations(network) / NETWORK_OPERATIONS


def _activations(network):
    """Numbers that a sample has in both MLPs, their inputs included."""
    return network.levels * network.features + sum(outputs for _, outputs in _layers(network))


def _table(network):
    """Numbers in the hash table, at most: coarse levels have fewer entries."""
    return network.levels * network.features * 2**network.table_log2
