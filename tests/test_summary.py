"""The table of all objects: figures, worst views, averages, and objects with something missing."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from obj2ngp.report.table import COLUMNS, METRICS, summarise

PROGRAM = Path(__file__).resolve().parents[1] / "workflow_scripts" / "summary.py"


def write_object(folder, psnrs, seconds=40.0, lpips=None):
    """The result files of one object that the summary reads."""
    (folder / "renders" / "train").mkdir(parents=True)
    record = {"versions": {"blender": "4.5.15 LTS"}, "mesh": {"faces": 12, "vertices": 8}}
    (folder / "renders" / "train" / "record.json").write_text(json.dumps(record))
    header = {
        "training_seconds": seconds,
        "steps": 2500,
        "backend": "cpu",
        "device": "2 threads",
        "versions": {"torch": "2.13.0"},
        "resolution": [128, 96],
    }
    metadata = {"obj2ngp": json.dumps(header)}
    save_file({"table": np.zeros(1, np.float32)}, folder / "model.safetensors", metadata)
    with open(folder / "metrics.csv", "w", newline="") as file:
        writer = csv.writer(file)
        names = ["lpips"] if lpips is not None else []
        writer.writerow(["object", "view", "psnr", "ssim", "flip", *names])
        for index, psnr in enumerate(psnrs):
            values = [lpips] if lpips is not None else []
            writer.writerow([folder.name, f"{index:03d}", psnr, 0.9, 0.1 * index, *values])


def test_figures_of_complete_objects(tmp_path):
    write_object(tmp_path / "chair", [30, 32, 37], seconds=30)
    write_object(tmp_path / "car", [35, 35], seconds=50)
    write_object(tmp_path / "cow", [40], seconds=40)
    table = summarise(tmp_path, tmp_path / "logs", ["chair", "car", "cow"]).set_index("object")
    chair = table.loc["chair"]
    assert chair["status"] == "ok" and chair["views"] == 3 and chair["resolution"] == "128x96"
    assert chair["psnr"] == 33 and chair["psnr_min"] == 30
    assert chair["flip"] == pytest.approx(0.1) and chair["flip_max"] == pytest.approx(0.2)
    assert chair["backend"] == "cpu" and chair["steps"] == 2500 and chair["torch"] == "2.13.0"
    assert chair["blender"] == "4.5.15 LTS" and chair["faces"] == 12 and chair["vertices"] == 8
    assert list(table.index) == ["chair", "car", "cow", "(mean)", "(median)"]
    # Objects count alike, however many views they have: (33 + 35 + 40) / 3, and the middle one.
    assert table.loc["(mean)", "psnr"] == 36 and table.loc["(median)", "psnr"] == 35
    assert table.loc["(mean)", "psnr_min"] == 35 and table.loc["(mean)", "training_seconds"] == 40
    assert "lpips" not in table


def test_lpips_has_columns_where_it_was_computed(tmp_path):
    write_object(tmp_path / "chair", [30], lpips=0.25)
    write_object(tmp_path / "car", [35])
    table = summarise(tmp_path, tmp_path / "logs", ["chair", "car"]).set_index("object")
    assert table.loc["chair", "lpips"] == 0.25 and np.isnan(table.loc["car", "lpips"])
    assert table.loc["(mean)", "lpips"] == 0.25
    assert table.loc["car", "status"] == "ok"


@pytest.mark.parametrize(
    "spoil, status, empty",
    [
        (lambda f: (f / "metrics.csv").unlink(), "metrics.csv: missing", "psnr"),
        (lambda f: (f / "metrics.csv").write_text(""), "metrics.csv: No columns", "psnr"),
        (lambda f: (f / "metrics.csv").write_text("view,psnr\n0,3\n"), "metrics.csv: no 'ssim'", "psnr"),
        (lambda f: (f / "metrics.csv").write_text("object,view,psnr,ssim,flip\n"), "metrics.csv: no views", "psnr"),
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors: ", "steps"),
        (lambda f: (f / "model.safetensors").write_bytes(b"junk"), "model.safetensors: ", "steps"),
        (lambda f: (f / "renders/train/record.json").write_text("{"), "train/record.json: ", "faces"),
    ],
)
def test_what_is_missing_is_named_and_breaks_nothing(tmp_path, spoil, status, empty):
    write_object(tmp_path / "chair", [30])
    write_object(tmp_path / "car", [36])
    spoil(tmp_path / "chair")
    table = summarise(tmp_path, tmp_path / "logs", ["chair", "car", "gone"]).set_index("object")
    assert table.loc["chair", "status"].startswith(status)
    assert pd.isna(table.loc["chair", empty])
    assert table.loc["gone", "status"].count("; ") == 2  # all three files are missing
    assert table.loc["gone"].drop("status").isna().all()
    assert table.loc["(mean)", "psnr"] == 36
    assert table.loc["(mean)", "status"] == "1 of 3 objects"


def test_the_message_with_which_a_program_stopped_is_the_status(tmp_path):
    """In Blender, lines of its own may follow; a log without a message says nothing."""
    logs = tmp_path / "logs" / "chair"
    logs.mkdir(parents=True)
    (logs / "render_train.log").write_text("view 0\nerror: object chair: chair.obj: no faces\nBlender quit\n")
    (logs / "train.log").write_text("Killed\n")
    table = summarise(tmp_path, tmp_path / "logs", ["chair", "car"]).set_index("object")
    assert table.loc["chair", "status"] == "chair.obj: no faces"
    assert table.loc["car", "status"].startswith("metrics.csv: missing")
    write_object(tmp_path / "chair", [30])
    table = summarise(tmp_path, tmp_path / "logs", ["chair"]).set_index("object")
    assert table.loc["chair", "status"] == "ok"


def run(folder, names):
    (folder / "objects.txt").write_text("".join(name + "\n" for name in names), encoding="utf-8")
    command = [
        *(sys.executable, PROGRAM, "--results", folder, "--logs", folder / "logs"),
        *("--objects", folder / "objects.txt", "--out", folder / "summary.csv"),
    ]
    return subprocess.run(command, capture_output=True, text=True)


def test_program_writes_the_table_even_when_nothing_succeeded(tmp_path):
    finished = run(tmp_path, ["chair", "стул"])
    assert finished.returncode == 0, finished.stderr
    assert "chair: metrics.csv: missing" in finished.stdout
    table = pd.read_csv(tmp_path / "summary.csv")
    assert list(table["object"]) == ["chair", "стул", "(mean)", "(median)"]
    assert list(table) == [name for name in COLUMNS if name not in METRICS["lpips"]]


def test_program_names_a_missing_list(tmp_path):
    command = [sys.executable, PROGRAM, "--results", tmp_path, "--objects", tmp_path / "none.txt"]
    command += ["--logs", tmp_path, "--out", tmp_path / "s.csv"]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 1 and "none.txt" in finished.stderr
    assert finished.stderr.count("\n") == 1
