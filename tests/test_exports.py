"""The program `export`, and each format of it that no other test file is about."""

import importlib
import json
from pathlib import Path

import imageio.v3 as iio
import pytest

import export
from export_scene import write_results
from obj2ngp.common.files import UserError
from obj2ngp.exports.registry import FORMATS
from obj2ngp.exports.settings import ExportSettings, settings_kind
from obj2ngp.exports.weights import key_of
from obj2ngp.ngp import load_model

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


def test_what_is_missing_is_named_with_the_object(tmp_path):
    results = write_results(tmp_path / "first")
    (results / "renders/train/record.json").unlink()
    with pytest.raises(UserError, match="object first: .*record.json"):
        exported(results, "weights")
    assert not list((results / "export").iterdir())
