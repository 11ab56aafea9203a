"""Where a run stands, from files alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from obj2ngp.report.status import read_status
from result_files import RESULTS, write_object, write_objects

PROGRAM = Path(__file__).resolve().parents[1] / "workflow_scripts" / "status.py"
NOW = 1_800_000_000


def finish(folder, psnr, seconds_ago):
    write_object(folder, [psnr])
    for file in RESULTS:
        os.utime(folder / file, (NOW - seconds_ago,) * 2)


def fail(logs, name, reason):
    (logs / name).mkdir(parents=True)
    (logs / name / "render_train.log").write_text(f"error: object {name}: models/{name}.obj: {reason}\n")


@pytest.fixture
def run(tmp_path):
    """Results and logs of a run under way."""
    finish(tmp_path / "old", 30, seconds_ago=10_000)
    finish(tmp_path / "first", 34, seconds_ago=1800)
    finish(tmp_path / "second", 38, seconds_ago=900)
    for name in ("empty", "void"):
        fail(tmp_path / "logs", name, "no faces")
    fail(tmp_path / "logs", "broken", "line 3: not a number")
    for name, file in {"fresh": "record", "seen": "transforms_train.json", "known": "../model.safetensors"}.items():
        (tmp_path / name / "renders").mkdir(parents=True)
        (tmp_path / name / "renders" / file).touch()
    names = ["old", "first", "second", "empty", "void", "broken", "fresh", "seen", "known", "later"]
    return tmp_path, write_objects(tmp_path / "objects.tsv", names)


def test_counts_speed_end_and_quality(run):
    folder, objects = run
    status = read_status(folder, folder / "logs", objects)
    assert status.total == 10 and len(status.finished) == 3
    assert status.reasons == {"no faces": 2, "line 3: not a number": 1}
    assert status.stages == {"being rendered": 1, "rendered": 1, "trained": 1, "not begun": 1}
    assert status.psnr == 34
    assert status.rate(NOW) == 2  # one more object within the last 1800 s
    lines = list(status.lines(NOW))
    assert lines[0] == "10 objects: 3 finished, 3 failed, 4 unfinished"
    assert "  2 failed: no faces" in lines and lines[-1] == "mean PSNR 34.00 dB"
    assert any(line.startswith("2 objects an hour: done at 20") for line in lines)


def test_nothing_is_said_that_is_not_known(tmp_path):
    status = read_status(tmp_path, tmp_path / "logs", write_objects(tmp_path / "objects.tsv", ["chair"]))
    assert list(status.lines(NOW)) == ["1 objects: 0 finished, 0 failed, 1 unfinished", "  1 not begun"]


def test_what_is_no_folder_concerns_its_object_alone(run):
    folder, objects = run
    for name in ("loop", "file"):
        with objects.open("a") as table:
            table.write(f"{name}\tmetrics.csv\n")
    (folder / "loop").symlink_to("loop")
    (folder / "file").touch()
    status = read_status(folder, folder / "logs", objects)
    assert status.total == 12 and len(status.finished) == 3 and status.stages["not begun"] == 3


def test_program(run):
    folder, objects = run
    command = [sys.executable, PROGRAM, "--results", folder, "--logs", folder / "logs"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("10 objects: 3 finished"), done.stderr
    objects.unlink()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == f"error: {objects}: No such file or directory\n"
