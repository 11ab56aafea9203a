"""One workspace for run after run: what the next object becomes does not depend on the one before."""

import dataclasses
import gc

import numpy as np
import pytest
import torch

from ball import around, ball_images
from obj2ngp.ngp import backends
from obj2ngp.ngp.config import NetworkConfig, OccupancyConfig, TrainConfig
from obj2ngp.ngp.training import TrainingRun, steps, warm_up
from obj2ngp.ngp.workspace import Workspace

NETWORK = NetworkConfig(levels=2, table_log2=10, finest_resolution=32, sh_degree=2)
CONFIG = TrainConfig(
    steps=3,
    learning_rate=1e-4,  # on a GPU, Adam's first steps take the sign of sums that are rounded differently each time
    samples_per_step=1024,  # room for all rays: which ones find none is different each time on a GPU
    march_steps=48,
    warmup_steps=2,
    network=NETWORK,
    occupancy=OccupancyConfig(resolution=16, warmup=1, cells_per_update=512, interval=2),
)


def half_a_ball(images):
    """The images without their left half: fewer pixels, another hull, another camera and cube."""
    rgba = images.rgba.copy()
    rgba[:, :, : rgba.shape[2] // 2] = 0
    return dataclasses.replace(images, rgba=rgba, focal=33.0, center=(15.0, 17.0), scale=1.1, offset=np.full(3, 0.45))


def result(run):
    """Copies of all that decides what the run has become."""
    return {name: tensor.clone() for name, tensor in run.state().items()}


def test_the_next_object_becomes_what_it_is_alone(backend):
    """A poisoned run, other images of the same shape, other images of another shape, each after the other."""
    ball, half = ball_images(around(6), size=24), half_a_ball(ball_images(around(6), size=24))
    space = Workspace(CONFIG, backend)
    former = TrainingRun(ball, CONFIG, space)
    list(steps(former))
    space.field.weights.fill_(float("nan"))
    space.samples.encoding.fill_(float("nan"))
    for images, seed in ((half, 7), (ball_images(around(5), size=20), 0), (ball, 3)):
        config = dataclasses.replace(CONFIG, seed=seed)
        again, alone = TrainingRun(images, config, space), TrainingRun.alone(images, config, backend)
        rows = [[{**row, "seconds": 0} for row in steps(run)] for run in (again, alone)]
        for row, other in zip(*rows, strict=True):
            assert row == (other if backend.DEVICE == "cpu" else pytest.approx(other, rel=1e-3))
        expected = result(alone)
        for name, tensor in result(again).items():
            if backend.DEVICE == "cpu":
                assert torch.equal(tensor, expected[name]), name
            else:
                off = ~torch.isclose(tensor.float(), expected[name].float(), atol=1e-4, rtol=1e-2)
                assert off.float().mean() < 0.02, name


def test_a_warmed_up_workspace_trains_as_a_fresh_one(backend):
    ball, space = ball_images(around(6), size=24), Workspace(CONFIG, backend)
    assert not space.captured_for(ball)
    warm_up(ball, CONFIG, space)
    step = space.step
    warm_up(ball, CONFIG, space)
    assert space.captured_for(ball) and space.step == step
    warm, fresh = TrainingRun(ball, CONFIG, space), TrainingRun.alone(ball, CONFIG, backend)
    for row, other in zip(steps(warm), steps(fresh), strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=0 if backend.DEVICE == "cpu" else 1e-3)


def test_garbage_does_not_spoil_a_recording(backend):
    """Former workspaces, whose graphs refer to them, are garbage that may be collected at any moment."""
    if backend.DEVICE == "cpu":
        pytest.skip("records no graphs")
    threshold = gc.get_threshold()
    try:
        for _ in range(3):
            run = TrainingRun.alone(ball_images(around(6), size=24), CONFIG, backend)
            gc.set_threshold(1)
            assert len(list(steps(run))) == 1
            gc.set_threshold(*threshold)
    finally:
        gc.set_threshold(*threshold)


def test_the_graphs_are_captured_again_only_for_images_of_another_shape(backend):
    space = Workspace(CONFIG, backend)
    ball = ball_images(around(6), size=24)
    TrainingRun(ball, CONFIG, space)
    step = space.step
    TrainingRun(half_a_ball(ball), dataclasses.replace(CONFIG, seed=4), space)
    assert space.step == step
    TrainingRun(ball_images(around(5), size=20), CONFIG, space)
    assert backend.DEVICE == "cpu" or space.step != step


def test_a_workspace_refuses_other_settings(backend):
    with pytest.raises(ValueError, match="other settings"):
        TrainingRun(ball_images(around(3)), dataclasses.replace(CONFIG, steps=4), Workspace(CONFIG, backend))


def test_a_run_stands_still_between_two_rows():
    images, cpu = ball_images(around(6), size=24), backends.select("cpu")
    run = TrainingRun.alone(images, dataclasses.replace(CONFIG, steps=250), cpu)
    rows = steps(run)
    assert [next(rows)["step"], int(run.workspace.clock.step), next(rows)["step"]] == [100, 100, 200]
    assert [row["step"] for row in rows] == [250]
