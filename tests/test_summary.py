"""The table of all objects: figures, worst views, averages, and objects with something missing."""

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from obj2ngp.report import table as table_module
from obj2ngp.report.table import columns, summarise, write_summary
from result_files import RESULTS, write_model, write_object, write_objects

PROGRAM = Path(__file__).resolve().parents[1] / "workflow_scripts" / "summary.py"


def table(folder, *names):
    """The rows of the summary of objects in `folder`, by name."""
    rows = summarise(folder, folder / "logs", dict.fromkeys(names, RESULTS), former={})
    return {row["object"]: row for row in rows}


def test_figures_of_complete_objects(tmp_path):
    write_object(tmp_path / "chair", [30, 32, 37], seconds=30)
    write_object(tmp_path / "car", [35, 35], seconds=50)
    write_object(tmp_path / "cow", [40], seconds=40)
    rows = table(tmp_path, "chair", "car", "cow")
    chair = rows["chair"]
    assert chair["status"] == "ok" and chair["views"] == 3 and chair["resolution"] == "128x96"
    assert chair["psnr"] == 33 and chair["psnr_min"] == 30
    assert chair["flip"] == pytest.approx(0.1) and chair["flip_max"] == pytest.approx(0.2)
    assert chair["backend"] == "cpu" and chair["steps"] == 2500 and chair["torch"] == "2.13.0"
    assert chair["blender"] == "4.5.15 LTS" and chair["faces"] == 12 and chair["vertices"] == 8
    assert list(rows) == ["chair", "car", "cow", "(mean)", "(median)"]
    # Objects count alike, however many views they have: (33 + 35 + 40) / 3, and the middle one.
    assert rows["(mean)"]["psnr"] == 36 and rows["(median)"]["psnr"] == 35
    assert rows["(mean)"]["psnr_min"] == 35 and rows["(mean)"]["training_seconds"] == 40
    assert "lpips" not in columns(rows.values())


def test_an_optional_metric_has_columns_where_it_was_computed(tmp_path):
    write_object(tmp_path / "chair", [30], lpips=0.25)
    write_object(tmp_path / "car", [35])
    rows = table(tmp_path, "chair", "car")
    assert {"lpips", "lpips_max"} <= set(columns(rows.values()))
    assert rows["chair"]["lpips"] == 0.25 and "lpips" not in rows["car"]
    assert rows["(mean)"]["lpips"] == 0.25
    assert rows["car"]["status"] == "ok"


def metrics_with(cell):
    """Spoils one cell of an object's metrics.csv."""
    text = "object,view,psnr,ssim,flip\nchair,000,30,0.9,0.1\nchair,001,{},0.9,0.1\n"
    return lambda folder: (folder / "metrics.csv").write_text(text.format(cell))


def record_with(faces):
    record = {"versions": {"blender": "4.5"}, "mesh": {"faces": faces, "vertices": 8}}
    return lambda folder: (folder / "renders/train/record.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    "spoil, status, empty",
    [
        (lambda f: (f / "metrics.csv").unlink(), "metrics.csv: missing", "psnr"),
        (lambda f: (f / "metrics.csv").write_text(""), "metrics.csv: cut off or empty", "psnr"),
        (lambda f: (f / "metrics.csv").write_bytes(b"\xff\xfe"), "metrics.csv: ", "psnr"),
        (
            lambda f: (f / "metrics.csv").write_text("view,psnr\n0,3\n"),
            "metrics.csv: needs one column 'object'",
            "psnr",
        ),
        (lambda f: (f / "metrics.csv").write_text("object,view,psnr,ssim,flip\n"), "metrics.csv: no views", "psnr"),
        (metrics_with("dark"), "metrics.csv: psnr is not a number: 'dark'", "psnr"),
        (metrics_with("nan"), "metrics.csv: psnr is not a number: 'nan'", "psnr"),
        (metrics_with("-inf"), "metrics.csv: psnr is not a number: '-inf'", "psnr"),
        (metrics_with(""), "metrics.csv: psnr is not a number: ''", "psnr"),
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors: missing", "steps"),
        (lambda f: (f / "model.safetensors").write_bytes(b"junk"), "model.safetensors: ", "steps"),
        (
            lambda f: write_model(f, training_seconds="long"),
            'model.safetensors: training_seconds: "long" is no',
            "steps",
        ),
        (lambda f: write_model(f, steps=float("nan")), "model.safetensors: steps: NaN is not", "steps"),
        (lambda f: write_model(f, steps=10**400), "model.safetensors: steps: 1000", "steps"),
        (lambda f: write_model(f, resolution=3), "model.safetensors: ", "steps"),
        (lambda f: write_model(f, versions=3), "model.safetensors: ", "steps"),
        (lambda f: (f / "renders/train/record.json").write_text("{"), "renders/train/record.json: ", "faces"),
        (lambda f: (f / "renders/train/record.json").write_text("[]"), "renders/train/record.json: ", "faces"),
        (record_with("many"), 'renders/train/record.json: mesh.faces: "many" is no', "faces"),
    ],
)
def test_what_is_missing_or_unfit_is_named_and_concerns_its_object_alone(tmp_path, spoil, status, empty):
    write_object(tmp_path / "chair", [30])
    write_object(tmp_path / "car", [36])
    spoil(tmp_path / "chair")
    rows = table(tmp_path, "chair", "car", "gone")
    assert rows["chair"]["status"].startswith(status)
    assert empty not in rows["chair"]
    assert rows["gone"]["status"].count(": missing") == len(RESULTS) + 2  # the model and the record too
    assert set(rows["gone"]) == {"object", "status"}
    assert rows["car"]["status"] == "ok"
    assert rows["(mean)"]["psnr"] == rows["(median)"]["psnr"] == 36
    assert rows["(mean)"]["status"] == "1 of 3 objects"


@pytest.mark.parametrize("file", ["orbit.gif", "renders/transforms_val.json"])
def test_an_object_without_a_turntable_or_a_pass_that_it_should_have_is_not_ok(tmp_path, file):
    write_object(tmp_path / "chair", [30])
    write_object(tmp_path / "car", [36])
    (tmp_path / "chair" / file).unlink()
    rows = table(tmp_path, "chair", "car")
    assert rows["chair"]["status"] == f"{file}: missing"
    assert rows["chair"]["psnr"] == 30  # what is there is shown, and counts in no mean
    assert rows["(mean)"]["psnr"] == 36
    # An object of which it is not asked for needs none.
    wanted = [result for result in RESULTS if result != file]
    assert summarise(tmp_path, tmp_path / "logs", {"chair": wanted}, former={})[0]["status"] == "ok"


def test_an_export_is_a_folder_that_holds_something(tmp_path):
    write_object(tmp_path / "chair", [30])
    folder = tmp_path / "chair" / "export" / "mesh"

    def status():
        objects = {"chair": [*RESULTS, "export/mesh"]}
        return summarise(tmp_path, tmp_path / "logs", objects, former={})[0]["status"]

    assert status() == "export/mesh: missing"
    folder.mkdir(parents=True)
    (folder / ".snakemake_timestamp").touch()
    assert status() == "export/mesh: empty, or no file"
    (folder / "chair.glb").write_text("content")
    assert status() == "ok"


def test_the_message_with_which_a_program_stopped_is_the_status(tmp_path):
    """In Blender, lines of its own may follow; a log without a message says nothing."""
    logs = tmp_path / "logs" / "chair"
    logs.mkdir(parents=True)
    (logs / "render_train.log").write_text("view 0\nerror: object chair: chair.obj: no faces\nBlender quit\n")
    (logs / "train.log").write_text("Killed\n")
    rows = table(tmp_path, "chair", "car")
    assert rows["chair"]["status"] == "chair.obj: no faces"
    assert rows["car"]["status"].startswith("metrics.csv: missing")
    write_object(tmp_path / "chair", [30])
    assert table(tmp_path, "chair")["chair"]["status"] == "ok"


def test_the_summary_starts_without_what_measures():
    code = "import sys, obj2ngp.report.table; sys.exit(bool({'imageio', 'scipy', 'skimage', 'PIL'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROGRAM.parent)


def test_whole_numbers_are_written_whole(tmp_path):
    write_object(tmp_path / "chair", [30, 31.23456789])
    record_with(1234567)(tmp_path / "chair")
    write_summary(tmp_path, tmp_path, write_objects(tmp_path / "objects.tsv", ["chair"]), tmp_path / "summary.csv")
    with open(tmp_path / "summary.csv", newline="") as file:
        row = next(csv.DictReader(file))
    assert row["faces"] == "1234567" and row["psnr"] == "30.6173" and row["training_seconds"] == "40"


def run(folder, objects):
    command = [
        *(sys.executable, PROGRAM, "--results", folder, "--logs", folder / "logs"),
        *("--objects", objects, "--out", folder / "summary.csv"),
    ]
    return subprocess.run(command, capture_output=True, text=True)


def test_program_writes_the_table_even_when_nothing_succeeded(tmp_path):
    finished = run(tmp_path, write_objects(tmp_path / "objects.tsv", ["chair", "стул"]))
    assert finished.returncode == 0, finished.stderr
    assert "chair: metrics.csv: missing" in finished.stdout
    with open(tmp_path / "summary.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["object"] for row in rows] == ["chair", "стул", "(mean)", "(median)"]
    assert list(rows[0]) == columns([])


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda file: file.unlink(), "No such file"),
        (lambda file: file.write_text("chair\ncar\n"), "needs one column 'object'"),
        (lambda file: file.write_text("object\tresults\nchair\n"), "line 2: 1 cells"),
        (lambda file: file.write_bytes(b"\xff\xfe"), "not UTF-8"),
    ],
)
def test_program_names_an_unfit_table_of_objects(tmp_path, spoil, message):
    objects = write_objects(tmp_path / "objects.tsv", ["chair"])
    spoil(objects)
    finished = run(tmp_path, objects)
    assert finished.returncode == 1 and f"{objects}: " in finished.stderr and message in finished.stderr
    assert finished.stderr.count("\n") == 1


def count_reads(monkeypatch):
    """The folders of which results were read, as a list that grows."""
    read, real = [], table_module.figures_of
    monkeypatch.setattr(table_module, "figures_of", lambda folder, file: read.append(folder.name) or real(folder, file))
    return read


def test_only_what_changed_is_read_again(tmp_path, monkeypatch):
    """What was copied with an old time, was incomplete, or is new; not what the gallery has linked."""
    for name in ("same", "copied", "swapped"):
        write_object(tmp_path / name, [30, 31.23456789])
    (tmp_path / "broken").mkdir()
    names, out = ["same", "copied", "swapped", "broken"], tmp_path / "summary.csv"
    objects = write_objects(tmp_path / "objects.tsv", names)
    time.sleep(0.05)  # more than the clock of a file system ticks
    write_summary(tmp_path, tmp_path / "logs", objects, out)
    os.link(tmp_path / "same" / "orbit.gif", tmp_path / "link")
    write_object(tmp_path / "other", [20])
    for name, target in (("copied", "metrics.csv"), ("swapped", "")):
        old = tmp_path / name / target
        source = tmp_path / "other" / "metrics.csv" if target else tmp_path / "other"
        os.utime(source, (0, 0))
        shutil.rmtree(old) if old.is_dir() else old.unlink()
        shutil.copytree(source, old) if source.is_dir() else shutil.copy2(source, old)
    write_object(tmp_path / "new", [40])
    write_objects(objects, [*names, "new"])

    read = count_reads(monkeypatch)
    write_summary(tmp_path, tmp_path / "logs", objects, out)
    assert set(read) == {"copied", "swapped", "broken", "new"}
    again = out.read_bytes()
    out.unlink()
    write_summary(tmp_path, tmp_path / "logs", objects, out)
    assert out.read_bytes() == again and again.count(b"\n") == 8


HEADER = ",".join(columns([]))


@pytest.mark.parametrize("text", ["", "object,status\nchair,ok\n", "\xff", f"{HEADER}\nchair,ok,many\n"])
def test_an_unfit_former_table_counts_for_nothing(tmp_path, text):
    write_object(tmp_path / "chair", [30])
    (tmp_path / "summary.csv").write_text(text, encoding="latin-1")
    write_summary(tmp_path, tmp_path, write_objects(tmp_path / "objects.tsv", ["chair"]), tmp_path / "summary.csv")
    assert "\nchair,ok,1,128x96,30," in (tmp_path / "summary.csv").read_text()
