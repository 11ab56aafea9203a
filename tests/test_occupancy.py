"""The occupancy grid's stages of every backend that runs here, against the plain PyTorch reference."""

import math

import pytest
import torch

import reference
from obj2ngp.ngp.backends.base import MEAN_SLACK, SEEN_DEPTH, keep_dense_cells
from stage_scene import GRID, STEP_SIZE, Scene, assert_near, clock_at, grid_of, samples_by_hand, tolerance


def test_cells_that_light_reaches_are_noted(backend):
    """Opaque from the third sample on: noted are three, and SEEN_DEPTH cells' worth of samples behind them."""
    scene = samples_by_hand(backend, [0.1, 0.1] + [20 / STEP_SIZE] * 18, [[0.5] * 3] * 20, [0.0] * 3)
    scene.samples.position[5:25, 0] = (torch.arange(20) + 0.5) / 20
    scene.samples.position[5:25, 1:] = torch.tensor([0.5, 0.99])
    grid, clock = grid_of(torch.ones(20, 20, 20), backend.DEVICE), clock_at(7, backend.DEVICE)
    scene.stages.mark_seen(scene.views, scene.rays, scene.samples, grid, clock, STEP_SIZE)
    behind = math.ceil(SEEN_DEPTH / 20 / STEP_SIZE)
    expected = torch.zeros(20, 20, 20)
    expected[: 3 + behind, 10, 19] = 7
    assert 0 < behind < 17 and torch.equal(grid.seen.cpu().view(20, 20, 20).float(), expected)


@pytest.mark.parametrize("step, takes_effect", [(5, False), (80, True)])
def test_occupancy_update(backend, step, takes_effect):
    scene = Scene(backend)
    device = backend.DEVICE
    hull = torch.rand(GRID, GRID, GRID, generator=torch.Generator().manual_seed(3)) < 0.25
    grid, clock = grid_of(hull, device, cells_per_update=600, warmup=64), clock_at(step, device, seed=4)
    config, cells = grid.config, grid.cells[: int(grid.cell_count)].cpu().long()
    grid.density.copy_(torch.rand(GRID**3, generator=torch.Generator().manual_seed(6)))
    grid.cursor.fill_(len(cells) - 100)  # goes round
    grid.seen[: GRID**3 // 2] = step - config.memory  # just late enough
    grid.seen[GRID**3 // 2 :] = step - config.memory - 1
    expected, before = grid.density.cpu().double(), grid.occupied.clone()
    cell, position = reference.visited_positions(cells, len(cells) - 100, 600, 4, step, GRID)
    scene.stages.update_occupancy(grid, clock, STEP_SIZE)
    matrices = scene.field.matrices(scene.field.compute_weights.cpu().double())[0]
    density = reference.mlp(scene.encoding(position), matrices)[:, 0].clamp(max=15).exp()
    expected[cell] = torch.maximum(expected[cell] * config.decay, density)
    assert_near(grid.density.log(), expected.log(), tolerance(backend))
    assert int(grid.cursor) == 500
    assert not grid.occupied.cpu()[~hull.view(-1)].any()
    if takes_effect:
        seen = grid.density.cpu()[cells]
        limit = min(config.threshold / STEP_SIZE, float(seen.mean()))
        sure = (seen / limit - 1).abs() > 1e-4
        kept = grid.occupied.cpu()[cells].bool()
        recent = cells < GRID**3 // 2
        assert torch.equal(kept[sure], (recent & (seen > limit))[sure]) and 0 < kept.float().mean() < 0.5
    else:
        assert torch.equal(grid.occupied, before)


def test_an_occupancy_update_never_empties_the_grid(backend):
    """Where all is nearly clear, or nothing was seen, the cells of at least the mean density stay."""
    scene = Scene(backend)
    scene.field.weights.zero_()
    scene.field.matrices(scene.field.weights)[0][-1].fill_(-0.3)
    scene.field.load(scene.field.table.clone(), scene.field.weights.clone())
    hull = torch.arange(GRID**3).view(GRID, GRID, GRID) % 16 == 0
    grid = grid_of(hull, backend.DEVICE, warmup=0)
    for step in (0, 100_000):
        scene.stages.update_occupancy(grid, clock_at(step, backend.DEVICE), 1e-6)
        assert grid.occupied.any()


def test_every_backend_keeps_the_cells_that_the_rule_says(backend):
    """Random densities, thresholds and histories; the rule is applied to the densities that the update left."""
    scene, generator = Scene(backend), torch.Generator().manual_seed(9)
    for trial in range(12):
        hull = torch.rand(GRID, GRID, GRID, generator=generator) < 0.3
        settings = dict(warmup=20, memory=30, threshold=float(10 ** torch.rand(1, generator=generator)) * 1e-3)
        grid = grid_of(hull, backend.DEVICE, seed=trial, cells_per_update=256, **settings)
        density = torch.exp(3 * torch.randn(GRID**3, generator=generator)) * (trial % 4 + 1e-3)
        grid.density.copy_(density)
        step = 15 + 5 * (trial % 3)  # before, at and after the end of the warm-up
        grid.seen.copy_(torch.randint(-60, step, (GRID**3,), generator=generator) if trial % 5 else torch.full((), -99))
        clock = clock_at(step, backend.DEVICE)
        scene.stages.update_occupancy(grid, clock, STEP_SIZE)
        actual = grid.occupied.clone()
        grid.occupied.copy_(hull.reshape(-1))
        keep_dense_cells(grid, clock, STEP_SIZE)
        cells = grid.cells[: int(grid.cell_count)].cpu().long()
        seen = grid.density.cpu()[cells]
        limit = min(settings["threshold"] / STEP_SIZE, MEAN_SLACK * float(seen.mean()))
        sure = torch.ones(GRID**3, dtype=torch.bool)
        sure[cells] = (seen / limit - 1).abs() > 1e-5  # where the rounding of the mean does not decide
        assert torch.equal(actual.cpu()[sure], grid.occupied.cpu()[sure]) and sure.float().mean() > 0.99
