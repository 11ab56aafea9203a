"""Snapshots for instant-ngp, read back by a reader that knows only the format."""

import dataclasses

import numpy as np
import pytest
import torch

from export_scene import GRID, NETWORK, ball, cube_points, write_model
from instant_ngp_reader import Snapshot
from obj2ngp.common.cameras import orbit_pose
from obj2ngp.common.files import UserError
from obj2ngp.exports.instant_ngp import density_grid, snapshot, write
from obj2ngp.exports.source import Source
from obj2ngp.ngp import load_model
from obj2ngp.ngp.field import Field
from obj2ngp.ngp.rendering import Renderer

NETWORKS = {
    "few bands": NETWORK,
    "four colour layers": dataclasses.replace(NETWORK, color_layers=4, density_layers=2, sh_degree=4),
    "wide": dataclasses.replace(NETWORK, density_width=32, color_width=128, features=4, geometry_features=20),
    "narrow": dataclasses.replace(NETWORK, levels=7, geometry_features=9, density_width=16, sh_degree=1),
}


def opened(folder, network=NETWORK, **model):
    """(Snapshot, Model) of a field at random."""
    write_model(folder / "model.safetensors", network, **model)
    source = Source("first", "instant-ngp", folder)
    write(source, folder)
    return Snapshot(folder / "first.ingp"), source.model()


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_the_field_s_values(tmp_path, network):
    read, model = opened(tmp_path, network, occupied=np.ones((GRID,) * 3, bool))
    positions, directions = cube_points(500)
    # Beyond the last vertex but one tiny-cuda-nn wraps around where we stay at the last.
    positions *= (network.base_resolution - 1.5) / (network.base_resolution - 1)
    rounded = dataclasses.replace(model, table=model.table.half().float(), weights=model.weights.half().float())
    density, color = rounded.query((positions - model.offset) / model.scale, directions, "cpu")
    theirs, their_color = read.field(positions.numpy(), directions.numpy())
    assert np.log(theirs).std() > 0.5 and their_color.std() > 0.1
    np.testing.assert_allclose(np.log(theirs), density.log(), atol=5e-3 * np.log(theirs).std())
    np.testing.assert_allclose(their_color, color, atol=5e-3)


@pytest.mark.parametrize("size", [16, 96, 160])
def test_cells_that_are_sampled(size):
    """Every point in an occupied cell of ours, and no point a cell away from all of them."""
    occupied = ball(size)
    bits = density_grid(occupied) > 0.01
    reader = Snapshot.__new__(Snapshot)
    reader.bits = bits
    points = np.random.default_rng(size).random((4000, 3))
    ours = occupied[tuple((points * size).astype(int).T)]
    theirs = reader.occupied(points)
    assert (theirs >= ours).all() and 0.2 < ours.mean() < 0.35
    near = np.linalg.norm(points - 0.5, axis=1) < 0.4 + 2 * 3**0.5 * max(1 / size, 1 / 128)
    assert not theirs[~near].any()
    if 128 % size == 0:
        assert (theirs == ours).all()


def test_a_rendering(tmp_path):
    read, model = opened(tmp_path, scale=0.8, offset=(0.5, 0.45, 0.5), march_steps=1024)
    pose, focal, size = orbit_pose(0.8, 0.3, 1.6), 18.0, 14
    rgb, opacity, _ = next(Renderer(model, "cpu", 1).render_views([pose], size, size, focal))
    row, column = np.indices((size, size)).reshape(2, -1)
    local = np.stack([(column + 0.5 - size / 2) / focal, -(row + 0.5 - size / 2) / focal, -np.ones(size**2)], 1)
    direction = local @ pose[:3, :3].T
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    dataset = read.content["snapshot"]["nerf"]["dataset"]
    origin = np.broadcast_to(pose[:3, 3] * dataset["scale"] + dataset["offset"], direction.shape)
    theirs = read.render(origin, direction).reshape(size, size, 4)
    error = np.concatenate([rgb, opacity[..., None]], 2) - theirs
    assert opacity.std() > 0.2 and -10 * np.log10((error**2).mean()) >= 45


def test_what_is_needed_to_open_it_without_pictures(tmp_path):
    content = opened(tmp_path, scale=0.8, offset=(0.5, 0.45, 0.5))[0].content
    dataset = content["snapshot"]["nerf"]["dataset"]
    needed = {"render_aabb", "up", "offset", "envmap_resolution", "scale", "aabb_scale", "from_mitsuba"}
    assert needed <= dataset.keys() and dataset["n_images"] == 0 and dataset["aabb_scale"] == 1
    assert {"loss", "optimizer", "dir_encoding"} <= content.keys()
    camera = np.array(content["snapshot"]["camera"]["matrix"])
    # It looks at the cube's middle, upright: x right, y down, z ahead.
    np.testing.assert_allclose(camera[:, 3] + camera[:, 2] * content["snapshot"]["camera"]["scale"], 0.5)
    assert np.linalg.det(camera[:, :3]) == pytest.approx(1) and camera[2, 1] < 0 and abs(camera[2, 0]) < 1e-9


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"density_width": 40}, "density_width: its MLPs are 16, 32, 64, 128 wide, not 40"),
        ({"color_width": 256}, "color_width: .* not 256"),
        ({"features": 3}, "features: its hash grid has 1, 2, 4, 8 features a level, not 3"),
    ],
)
def test_fields_that_it_cannot_hold_are_refused_with_the_reason(tmp_path, changes, words):
    model = load_model(write_model(tmp_path / "model.safetensors", dataclasses.replace(NETWORK, **changes)))
    with pytest.raises(UserError, match="instant-ngp cannot hold this field: train.network." + words):
        snapshot(model)


def test_parameters_are_those_of_the_field(tmp_path):
    read, model = opened(tmp_path)
    weights = sum(matrix.numel() for part in Field(NETWORK).matrices(model.weights) for matrix in part)
    assert np.count_nonzero(read.parameters) == pytest.approx(model.table.numel() + weights, abs=9)
    assert torch.equal(torch.from_numpy(read.parameters[-model.table.numel() :]), model.table.half().float().view(-1))
