"""Training as a whole on the cpu backend: determinism, resuming, reading data, settings, the visual hull, rendering."""

import dataclasses
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ball import around, ball_images
from obj2ngp.common.files import UserError
from obj2ngp.ngp import backends, hull
from obj2ngp.ngp.checkpoint import restore_checkpoint, run_key, save_checkpoint
from obj2ngp.ngp.config import default_config, from_dict, resolve
from obj2ngp.ngp.model_file import ModelError, load_model, save_model, save_tensors
from obj2ngp.ngp.placement import place
from obj2ngp.ngp.rendering import Renderer
from obj2ngp.ngp.training import TrainingError, TrainingRun, steps
from obj2ngp.views.nerf_synthetic import write_images
from obj2ngp.views.posed_images import DataError
from obj2ngp.views.reading import read_images
from tcnn_scene import TRAINING

pytestmark = pytest.mark.slow

SIZE = 32
PROGRAM = Path(__file__).parent.parent / "workflow_scripts/train.py"


@pytest.fixture(scope="module")
def cpu():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # faster for many small operations
    yield backends.select("cpu")
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def images():
    """Twelve views of a ball of radius 0.35 around the origin."""
    return ball_images(size=SIZE)


@pytest.fixture
def folder(images, tmp_path):
    """The images as a NeRF-synthetic folder that does not say where the object is."""
    write_images(dataclasses.replace(images, scale=None, offset=None), tmp_path, "train")
    return tmp_path


def train_command(folder, settings):
    """The words that train on `folder` with the program."""
    files = ["--renders", folder, "--model", folder / "model.safetensors", "--log", folder / "training.csv"]
    more = ["--object", "ball", "--backend", "cpu", "--settings", json.dumps(settings)]
    return [sys.executable, PROGRAM, *files, *more]


def test_training_reaches_a_sensible_quality_and_repeats_itself(images, cpu):
    rows = []
    runs = [TrainingRun.alone(images, TRAINING, cpu) for _ in range(2)]
    for run in runs:
        rows += steps(run)
    assert rows[0]["psnr"] > 20
    first, second = (run.workspace.field for run in runs)
    assert torch.equal(first.table, second.table) and torch.equal(first.weights, second.weights)
    other = TrainingRun.alone(images, dataclasses.replace(TRAINING, seed=1), cpu)
    list(steps(other))
    assert not torch.equal(first.weights, other.workspace.field.weights)


def test_a_resumed_run_ends_like_one_that_was_never_stopped(images, cpu, tmp_path):
    config = dataclasses.replace(TRAINING, steps=200, supersampling=2)
    whole = TrainingRun.alone(images, config, cpu)
    saved = tmp_path / "checkpoint.safetensors"

    for row in steps(whole):
        if row["step"] == 100:
            save_checkpoint(saved, whole, "data", [row])
            rows = [row]
    resumed = TrainingRun.alone(images, config, cpu)
    assert restore_checkpoint(saved, resumed, "other data") is None
    assert restore_checkpoint(saved, resumed, "data") == rows
    assert int(resumed.workspace.clock.step) == 100
    assert [row["step"] for row in steps(resumed)] == [200]
    assert torch.equal(whole.workspace.field.table, resumed.workspace.field.table)
    assert torch.equal(whole.workspace.grid.occupied, resumed.workspace.grid.occupied)


@pytest.mark.parametrize(
    "change",
    [
        lambda images, config: (dataclasses.replace(images, focal=images.focal * 1.01), config),
        lambda images, config: (dataclasses.replace(images, center=(images.center[0] + 0.5, images.center[1])), config),
        lambda images, config: (dataclasses.replace(images, scale=0.9), config),
        lambda images, config: (dataclasses.replace(images, offset=np.float32([0.5, 0.5, 0.51])), config),
        lambda images, config: (dataclasses.replace(images, pose=images.pose * np.float32(1.001)), config),
        lambda images, config: (dataclasses.replace(images, rgba=images.rgba // 2), config),
        lambda images, config: (images, dataclasses.replace(config, learning_rate=5e-3)),
        lambda images, config: (images, dataclasses.replace(config, seed=5)),
    ],
)
def test_a_run_on_other_views_or_settings_has_another_key(images, cpu, change):
    key = run_key(TrainingRun.alone(images, TRAINING, cpu), images)
    assert run_key(TrainingRun.alone(images, TRAINING, cpu), images) == key
    other, config = change(images, TRAINING)
    assert run_key(TrainingRun.alone(other, config, cpu), other) != key


@pytest.mark.parametrize("name, value", [("METHOD", 99), ("obj2ngp.__version__", "99")])
def test_a_run_of_another_program_has_another_key(images, cpu, monkeypatch, name, value):
    run = TrainingRun.alone(images, TRAINING, cpu)
    key = run_key(run, images)
    monkeypatch.setattr("obj2ngp.ngp.checkpoint." + name, value)
    assert run_key(run, images) != key


def linked_to_nothing(path):
    path.symlink_to(path)


@pytest.mark.parametrize("content", [b"", b"junk" * 1000, None, os.mkdir, os.mkfifo, linked_to_nothing])
def test_a_checkpoint_that_is_not_ours_is_set_aside(folder, content):
    """Unreadable, or of other settings: one line says so, and the run begins anew."""
    command = train_command(folder, {"steps": 30, "samples_per_step": 2048, "network": {"levels": 4}})
    checkpoint = folder / ".model.checkpoint.safetensors"
    if content is None:
        content = {"key": "another run's", "seconds": 0, "rows": []}
        save_tensors(checkpoint, {"step": np.zeros(1, np.int32)}, content)
    elif callable(content):
        content(checkpoint)
    else:
        checkpoint.write_bytes(content)
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"{checkpoint}: ") == 1 and done.stdout.count("; beginning anew\n") == 1
    assert os.path.lexists(folder / ".model.checkpoint.unusable.safetensors") != isinstance(content, dict)
    assert load_model(folder / "model.safetensors").header["steps"] == 30


def test_the_program_goes_on_after_it_was_killed(folder):
    command = train_command(folder, {"steps": 3000, "samples_per_step": 2048, "network": {"levels": 4}})
    checkpoint = folder / ".model.checkpoint.safetensors"
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}  # so small a run is faster so
    killed = subprocess.Popen(command, env=one_thread, stdout=subprocess.PIPE)
    while not checkpoint.exists():
        assert killed.poll() is None
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    assert not (folder / "model.safetensors").exists()
    finished = subprocess.run(command, env=one_thread, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert "going on from step" in finished.stdout
    assert load_model(folder / "model.safetensors").header["steps"] == 3000
    assert not checkpoint.exists()
    steps = [int(line.split(",")[0]) for line in (folder / "training.csv").read_text().splitlines()[1:]]
    assert steps == list(range(100, 3001, 100))


def test_a_loss_that_is_no_number_stops_the_run(images, cpu):
    run = TrainingRun.alone(images, TRAINING, cpu)
    run.workspace.field.weights.fill_(float("nan"))
    with pytest.raises(TrainingError, match="no longer a number"):
        list(steps(run))


def test_a_buffer_that_holds_no_pixel_s_rays_is_refused():
    """256 samples for rays that take up to 8192 each."""
    with pytest.raises(ValueError, match="samples_per_step: 256 is below 8192"):
        dataclasses.replace(TRAINING, steps=5, samples_per_step=256, march_steps=8192)


def test_a_step_with_an_infinite_gradient_is_skipped_and_counted(images, cpu):
    run = TrainingRun.alone(images, TRAINING, cpu)
    space = run.workspace
    before = space.field.weights.clone()
    space.field.weight_gradient[3] = float("inf")
    space.backend.optimise(space.moments, space.clock, TRAINING)
    assert torch.equal(space.field.weights, before)
    assert int(space.moments.skipped) == 1
    assert not space.field.weight_gradient.any()


def test_a_model_file_is_enough_to_render(images, cpu, tmp_path):
    config = dataclasses.replace(TRAINING, steps=600)
    run = TrainingRun.alone(images, config, cpu)
    list(steps(run))
    save_model(tmp_path / "m.safetensors", run, {"backend": "cpu"})
    model = load_model(tmp_path / "m.safetensors")
    assert model.config == config
    renderer = Renderer(model, cpu, supersampling=2)
    views = list(renderer.render_views(images.pose[:3], SIZE, SIZE, images.focal))
    assert len(views) == 3
    rgb, opacity, depth = views[1]
    middle = slice(SIZE // 2 - 3, SIZE // 2 + 3)
    assert opacity[middle, middle].min() > 0.9
    assert opacity[:3, :3].max() < 0.1
    # The ball's front is at the camera's distance less its radius, 1.5 - 0.35; a soft surface reaches behind it.
    assert abs(depth[middle, middle].mean() - 1.15) < 0.15
    # However the pixels are cut into chunks, and the chunks into halves, the picture is the same.
    renderer.rays.capacity = 100
    renderer.samples.capacity = 700
    again = next(renderer.render_views(images.pose[1:2], SIZE, SIZE, images.focal))
    assert np.allclose(again[0], rgb, atol=1e-5)


def test_files_that_are_no_models_are_refused_by_name(tmp_path):
    for content in (b"", b"junk" * 100):
        (tmp_path / "bad.safetensors").write_bytes(content)
        with pytest.raises(ModelError, match="bad.safetensors"):
            load_model(tmp_path / "bad.safetensors")


def test_reading_a_folder_finds_the_object(folder, images, cpu):
    read = read_images(folder / "transforms_train.json")
    assert np.array_equal(read.rgba, images.rgba)
    assert read.focal == pytest.approx(images.focal)
    scale, offset = hull.fit_unit_cube(read)
    # The ball is 0.7 wide; its hull is a little wider, and there is a margin.
    assert 1 / 0.95 < scale < 0.95 / 0.7
    assert np.abs(np.asarray(offset) - 0.5).max() < 0.06


@pytest.mark.parametrize(
    "break_it, message",
    [
        (lambda f: (f / "train/003.png").unlink(), "003.png"),
        (lambda f: (f / "train/003.png").write_bytes(b"no picture"), "003.png"),
        (lambda f: iio.imwrite(f / "train/003.png", np.zeros((4, 4, 4), np.uint8)), "003.png.*size"),
    ],
)
def test_data_that_cannot_be_used_is_named(folder, break_it, message):
    break_it(folder)
    with pytest.raises(DataError, match=message):
        read_images(folder / "transforms_train.json")


def test_the_hull_holds_the_object_and_little_else(images):
    cells = hull.visual_hull(images, 32, 1.0, [0.5] * 3)
    center = (np.stack(np.indices((32,) * 3), -1) + 0.5) / 32 - 0.5
    distance = np.linalg.norm(center, axis=-1)
    assert cells[torch.from_numpy(distance < 0.35)].all()
    assert not cells[torch.from_numpy(distance > 0.48)].any()
    opaque = dataclasses.replace(images, rgba=np.maximum(images.rgba, np.uint8([0, 0, 0, 255])))
    assert hull.visual_hull(opaque, 16, 1.0, [0.5] * 3).all()


def test_the_hull_s_nearest_depth(images):
    """A camera on the cube's diagonal sees its nearest corner sqrt(3)/2 before the middle."""
    back = np.full(3, 1 / np.sqrt(3))
    right = np.array([1.0, -1.0, 0.0]) / np.sqrt(2)
    pose = np.column_stack([right, np.cross(back, right), back, 3 * back]).astype(np.float32)[None]
    alone, cells = dataclasses.replace(images, pose=pose, rgba=images.rgba[:1]), torch.ones(16, 16, 16)
    assert hull.nearest_depth(alone, cells, 0.5, [0.5] * 3) == pytest.approx(1.5 - math.sqrt(3) / 2, abs=1e-6)
    cells[:4], cells[12:], cells[:, :4], cells[:, 12:], cells[:, :, :4], cells[:, :, 12:] = (0,) * 6
    assert hull.nearest_depth(alone, cells, 0.5, [0.5] * 3) == pytest.approx(1.5 - math.sqrt(3) / 4, abs=1e-6)


@pytest.mark.parametrize("scale", [1.2, 1.3])
def test_every_ray_that_meets_the_hull_can_be_drawn(scale):
    """Rays through the pixels' middles and corners of a ball's views, marched through a hull that all views show."""
    views, cells = dataclasses.replace(ball_images(around(6), size=SIZE), scale=scale), 16
    placement = place(views, cells)
    drawable = torch.zeros(len(views), SIZE, SIZE, dtype=torch.bool)
    drawable.view(-1)[placement.pixels.long()] = True
    edges = torch.arange(2 * SIZE + 1) / 2
    for view, pose in enumerate(torch.as_tensor(views.pose)):
        x, y = torch.meshgrid((edges - SIZE / 2) / views.focal, (SIZE / 2 - edges) / views.focal, indexing="xy")
        direction = torch.nn.functional.normalize(torch.stack([x, y, -torch.ones_like(x)], -1) @ pose[:, :3].T, dim=-1)
        t = torch.arange(0, 4, 0.25 / cells)[:, None, None, None]
        point = pose[:, 3] * placement.scale + placement.offset + t * direction
        inside = ((point >= 0) & (point < 1)).all(-1)
        x, y, z = (point * cells).long().clamp(0, cells - 1).unbind(-1)
        met = (placement.hull[x, y, z] & inside).any(0)  # at half pixels: pixel p's own are 2p, 2p + 1 and 2p + 2
        met = torch.nn.functional.max_pool2d(met[None].float(), 3, 2)[0].bool()
        assert not (met & ~drawable[view]).any() and not drawable[view].all()


def test_a_camera_amid_the_hull_can_draw_every_pixel(images):
    opaque = dataclasses.replace(images, rgba=np.maximum(images.rgba, np.uint8([0, 0, 0, 255])), scale=0.1)
    near = dataclasses.replace(opaque, pose=images.pose * np.float32([1, 1, 1, 0.2]), scale=1.0)
    assert len(place(near, 16).pixels) == near.rgba[..., 0].size


@given(st.sampled_from(["steps", "huber"]), st.sampled_from([-1, "many", None, [], float("nan"), 1e12]))
def test_bad_values_are_refused_by_path(key, value):
    with pytest.raises(UserError, match="train." + key):
        resolve({key: value}, "cpu", 24, 128)


def test_settings():
    assert resolve({"steps": "auto"}, "cuda", 24, 128) == default_config("cuda", 24, 128)
    assert resolve({"preset": "high"}, "cuda", 24, 128).steps == 4 * default_config("cuda", 24, 128).steps
    assert resolve({"preset": "draft", "steps": 7}, "cpu", 24, 128).steps == 7
    assert resolve({"network": {"levels": 5}}, "cpu", 24, 128).network.levels == 5
    for bad in ({"step": 3}, {"network": 3}, {"network": {"base_resolution": 64, "finest_resolution": 32}}):
        with pytest.raises(UserError):
            resolve(bad, "cpu", 24, 128)
    for backend in backends.NAMES:
        config = default_config(backend, 24, 128)
        assert from_dict(dataclasses.asdict(config)) == config


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_auto_takes_the_cpu_where_there_is_no_gpu_and_forcing_the_gpu_says_why():
    assert backends.select("auto").NAME == "cpu"
    with pytest.raises(backends.BackendError, match="cuda"):
        backends.select("cuda")
