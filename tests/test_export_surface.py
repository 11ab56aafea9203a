"""Exports of the surface and the volume, of a field that is a box of one density: where it lies is known."""

import dataclasses
import json

import numpy as np
import pytest
import torch
import trimesh
from safetensors import safe_open

from ball import ball_images
from export_scene import NETWORK, write_model
from obj2ngp.common.files import UserError
from obj2ngp.exports import mesh, points, volume
from obj2ngp.exports.settings import MeshSettings, PointsSettings, VolumeSettings
from obj2ngp.exports.source import Source
from obj2ngp.ngp import load_model
from obj2ngp.ngp.model_file import save_tensors
from obj2ngp.views.nerf_synthetic import write_images

GRID = 16
LOW, HIGH = np.array([3, 5, 6]), np.array([11, 10, 12])  # cells of the box
DENSITY = 300.0
SCALE, TRANSLATION = 0.25, np.array([0.05, 0.0, -0.1])  # of the model in the world; y up
WORLD = np.array([LOW, HIGH]) / GRID - 0.5


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """An object's results whose views are opaque, so that they tell nothing of the level."""
    folder = tmp_path_factory.mktemp("results") / "box"
    images = ball_images(size=16)
    images.rgba[..., 3] = 255
    write_images(images, folder / "renders", "train")
    matrix = np.eye(4)
    matrix[:3, :3] = SCALE * np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    matrix[:3, 3] = TRANSLATION
    record = {"normalization": {"scale": SCALE, "translation": TRANSLATION.tolist(), "matrix": matrix.tolist()}}
    (folder / "renders" / "train" / "record.json").write_text(json.dumps(record))
    occupied = np.zeros((GRID,) * 3, bool)
    occupied[tuple(map(slice, LOW, HIGH))] = True
    path = write_model(folder / "model.safetensors", occupied=occupied)
    # The same features everywhere give the same density; without biases, its logarithm grows in proportion to them.
    with safe_open(path, "numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = json.loads(file.metadata()["obj2ngp"])
    tensors["table"] = np.ones_like(tensors["table"])
    save_tensors(path, tensors, header)
    middle = torch.tensor(WORLD.mean(axis=0))[None]
    log_density = float(load_model(path).query(middle, torch.ones(1, 3), "cpu")[0].log())
    if log_density < 0:
        tensors["weights"][: NETWORK.levels * NETWORK.features * NETWORK.density_width] *= -1
        save_tensors(path, tensors, header)
        log_density = float(load_model(path).query(middle, torch.ones(1, 3), "cpu")[0].log())
    tensors["table"] *= np.log(DENSITY) / log_density
    save_tensors(path, tensors, header)
    return folder


def source_of(results, settings):
    return Source("box", "mesh", results, settings)


def in_source(world):
    """What the world's points (N,3) are in the model's file: (x, y, z) lies at (x, -z, y), scaled and moved."""
    x, y, z = ((np.asarray(world) - TRANSLATION) / SCALE).T
    return np.stack([x, z, -y], axis=1)


def check_bounds(found):
    expected = np.sort(in_source(WORLD), axis=0)
    assert (
        np.abs(np.asarray(found) - expected).max() < 0.01 * (expected[1] - expected[0]).max() + 0.5 / GRID / 8 / SCALE
    )


def read(path):
    found = trimesh.load(path, process=False)
    return found.to_geometry() if isinstance(found, trimesh.Scene) else found


def test_a_mesh_lies_where_the_model_does(results, tmp_path):
    settings = MeshSettings(files=("glb", "ply", "obj"), resolution=64, faces=600)
    mesh.write(source_of(results, settings), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["box.glb", "box.obj", "box.ply"]
    colors = {}
    for kind in settings.files:
        found = read(tmp_path / f"box.{kind}")
        check_bounds(found.bounds)
        assert 100 < len(found.faces) <= 600
        outwards = found.triangles_center - found.bounds.mean(axis=0)
        assert ((found.face_normals * outwards).sum(axis=1) > 0).mean() > 0.98
        colors[kind] = np.asarray(found.visual.vertex_colors)[:, :3].mean(axis=0)
    assert np.abs(colors["ply"] - colors["obj"]).max() <= 1
    assert np.abs(mesh.linear(colors["ply"] / 255) * 255 - colors["glb"]).max() < 6  # glTF has linear light there


def test_colours_are_those_of_the_field(results, tmp_path):
    mesh.write(source_of(results, MeshSettings(files=("ply",), resolution=32, faces=300)), tmp_path)
    found, model = read(tmp_path / "box.ply"), load_model(results / "model.safetensors")
    top = found.vertices[:, 1] > found.bounds[1, 1] - 0.05
    _, expected = model.query(WORLD.mean(axis=0)[None], [[0.0, 0, -1]], "cpu")
    flat = np.abs(found.vertex_normals[:, 1]) > 0.999
    assert (top & flat).sum() > 3
    difference = np.asarray(found.visual.vertex_colors)[top & flat, :3] / 255 - expected.numpy()
    assert np.abs(difference).max() < 0.03


def test_a_texture_has_the_colours_of_the_vertices(results, tmp_path):
    settings = MeshSettings(files=("glb", "obj"), colors="texture", resolution=32, faces=300, texture_size=64)
    mesh.write(source_of(results, settings), tmp_path)
    found = read(tmp_path / "box.glb")
    check_bounds(found.bounds)
    material = found.visual.material
    assert material.baseColorTexture.size == (64, 64)
    plain = tmp_path / "plain"
    plain.mkdir()
    mesh.write(source_of(results, dataclasses.replace(settings, files=("ply",), colors="vertices")), plain)
    wanted = np.asarray(read(plain / "box.ply").visual.vertex_colors)[:, :3].mean(axis=0)
    assert np.abs(np.asarray(found.visual.to_color().vertex_colors)[:, :3].mean(axis=0) - wanted).max() < 12
    assert (tmp_path / "box.obj").exists() and list(tmp_path.glob("*.mtl")) and list(tmp_path.glob("*.png"))


def test_texels_know_their_face_and_place():
    uv = np.array([[0, 0], [1, 0], [0, 1], [1, 1.0]])
    face, shares = mesh.texels(uv, np.array([[0, 1, 2]]), 8)
    assert face[0, 7] == -1 and face[7, 0] == 0  # rows begin at the top
    assert np.allclose(shares[7, 0] @ uv[:3], [1 / 16, 1 / 16])
    assert np.allclose(shares[3, 2] @ uv[:3], [2.5 / 8, 4.5 / 8])


def test_points_have_normals_and_colours(results, tmp_path):
    points.write(source_of(results, PointsSettings(count=2000, resolution=64)), tmp_path)
    found = trimesh.load(tmp_path / "box.ply")
    assert len(found.vertices) == 2000 and found.colors.shape == (2000, 4)
    check_bounds(found.bounds)
    raw = found.metadata["_ply_raw"]["vertex"]["data"]
    normals = np.stack([raw[name] for name in ("nx", "ny", "nz")], axis=-1).reshape(-1, 3)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-3)
    top = found.vertices[:, 1] > found.bounds[1, 1] - 0.02
    assert np.median(normals[top], axis=0) == pytest.approx([0, 1, 0], abs=0.1)


def test_a_volume_has_its_density_and_place(results, tmp_path):
    volume.write(source_of(results, VolumeSettings(resolution=32)), tmp_path)
    with np.load(tmp_path / "box.npz") as file:
        density, rgb, matrix = file["density"], file["rgb"], file["matrix"]
    assert density.shape == (32,) * 3 and rgb.shape == (32, 32, 32, 3)
    index = np.argwhere(density > 0)
    assert len(index) == 8 * np.prod(HIGH - LOW)
    assert density[tuple(index[0])] == pytest.approx(DENSITY * SCALE, rel=1e-3)  # of a longer unit there is more in one
    corners = np.array([2 * LOW - 0.5, 2 * HIGH - 0.5])
    assert np.allclose(corners @ matrix[:3, :3].T + matrix[:3, 3], in_source(WORLD))


@pytest.mark.parametrize("writer, settings", [(mesh, MeshSettings), (points, PointsSettings), (volume, VolumeSettings)])
def test_what_needs_more_memory_than_there_is_is_refused_with_the_figure(
    results, tmp_path, monkeypatch, writer, settings
):
    monkeypatch.setattr("obj2ngp.common.memory.memory_limit", lambda: 10**9)
    with pytest.raises(UserError, match=r"512x512x512 points: \d.\d GB of memory needed, 1.0 GB are there"):
        writer.write(source_of(results, settings(resolution=512)), tmp_path)


def test_views_from_elsewhere_keep_their_world(results, tmp_path):
    record = results / "renders" / "train" / "record.json"
    content = record.read_text()
    try:
        record.write_text(json.dumps({"source": "an image set"}))
        points.write(source_of(results, PointsSettings(count=500, resolution=32)), tmp_path)
    finally:
        record.write_text(content)
    assert np.abs(trimesh.load(tmp_path / "box.ply").bounds - WORLD).max() < 0.03


def test_a_field_of_nothing_has_no_surface(results, tmp_path):
    empty = tmp_path / "empty"
    (empty / "renders").mkdir(parents=True)
    for name in ("train", "transforms_train.json"):
        (empty / "renders" / name).symlink_to(results / "renders" / name)
    write_model(empty / "model.safetensors", occupied=np.zeros((GRID,) * 3, bool))
    with pytest.raises(UserError, match="no surface"):
        points.write(source_of(empty, PointsSettings(resolution=16)), tmp_path)
