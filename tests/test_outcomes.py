"""How jobs ended, as the summary, the table of failures, the page and the status have it."""

import argparse
import csv
import os
from pathlib import Path

import pytest

from gallery_page import read_gallery
from obj2ngp.common.files import UserError
from obj2ngp.common.provenance import Job, recorded
from obj2ngp.common.records import FILE
from obj2ngp.report.gallery import write_gallery
from obj2ngp.report.status import read_status
from obj2ngp.report.table import write_summary
from result_files import write_object, write_objects

JOBS = {
    "render_train": ([], ["renders/train"]),
    "train": (["renders/train"], ["model.safetensors"]),
    "render_views": (["model.safetensors"], ["test"]),
    "metrics": (["test"], ["metrics.csv"]),
    "orbit": (["model.safetensors"], ["orbit.gif"]),
    "export_mesh": (["model.safetensors"], ["export/mesh"]),
}


def do(folder, job, error=None):
    """Record the job as done with the files that are there, or as stopped by `error`."""
    inputs, outputs = ([str(folder / path) for path in paths] for paths in JOBS[job])
    record = str(folder / FILE)
    with recorded(argparse.Namespace(record=record, job=job, inputs=inputs, outputs=outputs), job, 1):
        if error is not None:
            raise error


def kill(folder, job):
    """Leave the record of a job that was killed."""
    started = Job(folder / FILE, job, job, {}, [folder / path for path in JOBS[job][1]])
    started._record["process"]["pid"] = 2**22 + 1
    started._save()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Finished objects, each with the records of its jobs."""
    monkeypatch.chdir(tmp_path)
    for name in ("broken", "fine", "killed", "still"):
        folder = tmp_path / "results" / name
        write_object(folder, [30.0])
        for path in ("test", "export/mesh"):
            (folder / path).mkdir(parents=True)
        for job in JOBS:
            do(folder, job)
    write_objects(tmp_path / "objects.tsv", ["broken", "fine", "killed", "still"])
    return tmp_path


def summarised(project):
    """(rows of the summary, of the failures) by object, and the files that the page shows of each."""
    results, tables = Path("results"), (Path("results/summary.csv"), Path("results/failures.csv"))
    write_summary(results, Path("logs"), project / "objects.tsv", *tables)
    write_gallery(results, project / "objects.tsv", tables[0], Path("results/gallery"))
    rows, failures = ({row["object"]: row for row in csv.DictReader(table.open())} for table in tables)
    return rows, failures, {name: row["files"] for name, row in read_gallery(results / "gallery")[0].items()}


def test_what_stopped_is_told_with_its_rule_and_shows_no_former_figures(project):
    rows, failures, page = summarised(project)
    assert {row["status"] for name, row in rows.items() if name[0] != "("} == {"ok"} and not failures

    with pytest.raises(UserError):
        do(project / "results/broken", "render_train", UserError("broken.obj: no face"))
    kill(project / "results/killed", "train")
    with pytest.raises(OSError):
        do(project / "results/still", "orbit", OSError(28, os.strerror(28), "/tmp/frames"))
    rows, failures, page = summarised(project)
    assert rows["fine"]["status"] == "ok" and rows["(mean)"]["status"] == "1 of 4 objects"
    assert rows["broken"]["status"] == "broken.obj: no face"
    assert rows["broken"]["psnr"] == rows["broken"]["steps"] == rows["killed"]["steps"] == ""
    assert rows["killed"]["status"] == "train was killed" and rows["killed"]["faces"] == "12"
    assert rows["still"]["psnr"] == "30" and rows["still"]["status"] == "/tmp/frames: No space left on device"
    assert failures == {
        name: {"object": name, "rule": rule, "reason": rows[name]["status"], "log": f"logs/{name}/{rule}.log"}
        for name, rule in (("broken", "render_train"), ("killed", "train"), ("still", "orbit"))
    }
    assert "orbit.gif" in page["fine"]
    assert not any("orbit.gif" in page[name] for name in ("broken", "killed", "still"))
    assert "model.safetensors" in page["still"] and "metrics.csv" not in page["killed"]

    status = read_status(Path("results"), Path("logs"), project / "objects.tsv")
    assert len(status.finished) == 1 and status.reasons.total() == 3

    for name, job in (("broken", "render_train"), ("killed", "train"), ("still", "orbit")):
        do(project / "results" / name, job)
    rows, failures, page = summarised(project)
    assert rows["(mean)"]["status"] == "4 of 4 objects" and not failures and "orbit.gif" in page["broken"]


def test_a_job_that_failed_and_that_nobody_asks_for_any_more_is_no_failure(project):
    with pytest.raises(UserError):
        do(project / "results/broken", "export_mesh", UserError("no surface"))
    rows, failures, _ = summarised(project)
    assert rows["broken"]["status"] == "ok" and not failures
    assert len(read_status(Path("results"), Path("logs"), project / "objects.tsv").finished) == 4

    write_objects(project / "objects.tsv", ["broken"], ["export/mesh"])
    rows, failures, _ = summarised(project)
    assert rows["broken"]["status"] == failures["broken"]["reason"] == "no surface"
    assert read_status(Path("results"), Path("logs"), project / "objects.tsv").reasons == {"no surface": 1}


def test_a_program_that_stopped_without_a_record_is_told_by_its_log(project):
    (project / "logs" / "fine").mkdir(parents=True)
    (project / "logs" / "fine" / "metrics.log").write_text("view 1\nerror: object fine: no such package\n")
    (project / "results" / "fine" / "metrics.csv").unlink()
    rows, failures, _ = summarised(project)
    assert rows["fine"]["status"] == failures["fine"]["reason"] == "no such package"
    assert failures["fine"]["rule"] == "metrics"
