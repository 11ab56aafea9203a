"""The program `export`, and each format of it that no other test file is about."""

import importlib
import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch

import export
import reference
from export_scene import cube_points, write_results
from instant_ngp_reader import run
from obj2ngp.common.files import UserError
from obj2ngp.exports.registry import FORMATS
from obj2ngp.exports.settings import ExportSettings, settings_kind
from obj2ngp.exports.weights import key_of
from obj2ngp.ngp import load_model
from obj2ngp.ngp.backends.cpu import Backend as Cpu
from obj2ngp.ngp.config import PRESETS, NetworkConfig

DOCS = (Path(__file__).parents[1] / "docs/exports.md").read_text()


def exported(results, format, **settings):
    """The folder that the program writes for the object whose results are in the folder `results`."""
    out = results / "export" / format
    export.main(
        [
            *("--object", results.name, "--format", format, "--results", str(results)),
            *("--settings", json.dumps(settings), "--out", str(out)),
        ]
    )
    return out


def test_every_format_has_a_writer_and_a_line_in_the_documents():
    for name, format in FORMATS.items():
        assert callable(importlib.import_module(f"obj2ngp.exports.{format.module}").write)
        assert f"| `{name}` |" in DOCS, name


def test_sections_belong_to_formats():
    formats = {name.replace("-", "_") for name in FORMATS}
    assert set(vars(ExportSettings())) - {"formats"} <= formats
    assert settings_kind("weights").__name__ == "WeightsSettings"


def test_an_example_of_weights(tmp_path):
    results = write_results(tmp_path / "02958343-a.b")
    folder = exported(results, "weights", thumbnails=2, thumbnail_size=10)
    key = key_of(results.name)
    assert "." not in key and {file.name for file in folder.iterdir()} == {
        f"{key}.safetensors",
        f"{key}.json",
        f"{key}.0.png",
        f"{key}.1.png",
    }
    about = json.loads((folder / f"{key}.json").read_text())
    assert (about["object"], about["category"]) == ("02958343-a.b", "02958343")
    assert about["metrics"] == {"psnr": 31, "ssim": pytest.approx(0.9)}
    assert about["training"]["backend"] == "cpu" and about["source"] == {"model": "a.obj"}
    assert load_model(folder / f"{key}.safetensors").table.equal(load_model(results / "model.safetensors").table)
    assert iio.imread(folder / f"{key}.1.png").shape == (8, 10, 3)
    assert json.loads((exported(results, "weights", category="car") / f"{key}.json").read_text())["category"] == "car"


def test_gmnerf_s_files_hold_the_field(tmp_path):
    """Its parameters give what the field gives, by the formulas of its code, in its box."""
    network = NetworkConfig(**PRESETS["gmnerf"])
    results = write_results(tmp_path / "first", network=network, scale=0.8, offset=(0.5, 0.45, 0.5))
    folder, model = exported(results, "gmnerf"), load_model(results / "model.safetensors")
    flat = torch.load(folder / "nerf_weights.pth")
    assert {name: tuple(value.shape) for name, value in flat.items()} == {
        "encoding.params": (4 * 4096 * 2,),
        "mlp_base.params": (16 * 64 + 2 * 64 * 64 + 64 * 16,),
    }
    positions, directions = cube_points(200)
    rows = reference.encode(positions, flat["encoding.params"].view(-1, 2), model.field(Cpu).levels).numpy()
    sizes, shapes = [16 * 64, 64 * 64, 64 * 64, 64 * 16], [(64, 16), (64, 64), (64, 64), (16, 64)]
    layers = [
        part.view(shape).numpy() for part, shape in zip(flat["mlp_base.params"].split(sizes), shapes, strict=True)
    ]
    out = run(layers, np.pad(rows, ((0, 0), (0, 8)), constant_values=1))
    density, rgb = model.query((positions - model.offset) / model.scale, directions, "cpu")
    met = density > 0
    # Theirs per unit of a box 1.4 wide, ours per world unit, of which the cube is 1 / 0.8 wide.
    np.testing.assert_allclose(np.exp(out[met, 3] - 1) * 1.4, density[met] / 0.8, rtol=1e-3)
    np.testing.assert_allclose(1 / (1 + np.exp(-out[met, :3])), rgb[met], atol=1e-4)
    grid = torch.load(folder / "grid.pth")
    binary = grid["_binary"].to_dense()
    assert binary.shape == (96, 96, 96) and binary.dtype == torch.bool
    cells = (positions[met] * 96).long().clamp(max=95)
    assert binary[cells[:, 0], cells[:, 1], cells[:, 2]].all() and binary.float().mean() < 0.5
    views = json.loads((folder / "transforms_train_compressed.json").read_text())
    pose = np.array(views["frames"][0]["transform_matrix"])
    np.testing.assert_allclose(pose[:3, 3], (np.array([0, 0, 1.5]) * 0.8 + [0, -0.05, 0]) * 1.4, atol=1e-6)
    assert views["camera_angle_x"] == pytest.approx(0.8)


def test_gmnerf_reads_no_other_network(tmp_path):
    results = write_results(tmp_path / "first")
    with pytest.raises(UserError, match="object first: gmnerf reads .*preset: gmnerf .*head"):
        exported(results, "gmnerf")
    with pytest.raises(UserError, match="instant-ngp cannot hold this field: .*head gmnerf"):
        exported(write_results(tmp_path / "second", network=NetworkConfig(**PRESETS["gmnerf"])), "instant-ngp")


def test_what_is_missing_is_named_with_the_object(tmp_path):
    results = write_results(tmp_path / "first")
    (results / "renders/train/record.json").unlink()
    with pytest.raises(UserError, match="object first: .*record.json"):
        exported(results, "weights")
    assert not list((results / "export").iterdir())
