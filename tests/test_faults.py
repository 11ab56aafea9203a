"""A few of the trials of faults.py, of which `make test-faults` makes a hundred; and what is tried again."""

import json

import pytest

from damage import MESH
from faults import Trial, attempt, killed, lost, summary
from obj2ngp.common.records import FILE
from workflow_project import TINY

RETRIES = ("--retries", "2")
WORK = "        geometry = None\n"  # where the work of the metrics' program begins
KILLED_ONCE = """        import os
        if not os.path.exists("tried"):
            open("tried", "w").close()
            os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("kind, seed", [(killed, 2), (lost, 3)])
def test_a_plain_rerun_mends(finished_project, tmp_path, kind, seed):
    steps = TINY["train"]["steps"]
    trial = Trial(tmp_path / "trial", seed, finished_project, steps, duration=12.0)
    outcome = attempt(kind, trial, summary(finished_project.root))
    assert outcome.problem is None, f"{outcome.notes}: {outcome.problem}"


def begun(project, job):
    """How often the job of the object `first` has begun, by its record."""
    rows = map(json.loads, (project.root / "results/first" / FILE).read_text().splitlines())
    return sum(row["job"] == job and row["state"] == "running" for row in rows)


@pytest.mark.parametrize("workers", [True, False])
def test_what_is_refused_is_not_tried_again(finished_project, tmp_path, workers):
    project = finished_project.copy(tmp_path / "project")
    project.configure(project={"workers": workers})
    (project.root / "models/first.obj").write_text(MESH.replace("f ", "# "))
    before = begun(project, "render_test")
    run = project.snakemake(*RETRIES, "results/first/renders/transforms_test.json")
    assert run.returncode != 0 and run.stdout.count("Trying to restart") == 2, run.stdout
    assert begun(project, "render_test") == before + 1
    log = (project.root / "logs/first/render_test.log").read_text()
    assert log.startswith("error: object first: models/first.obj: no faces in it ") and log.count("\n") == 1
    assert log.endswith(" (not tried again)\n") and log.count("not tried") == 1


def test_what_was_killed_is_tried_again(finished_project, tmp_path):
    project = finished_project.copy(tmp_path / "project")
    project.configure(project={"workers": False})
    project.unlink_programs()
    program = project.root / "workflow_scripts/metrics.py"
    program.write_text(program.read_text().replace(WORK, KILLED_ONCE + WORK))
    table = project.root / "results/first/metrics.csv"
    content, before = table.read_bytes(), begun(project, "metrics")
    table.unlink()
    run = project.snakemake(*RETRIES, "results/first/metrics.csv")
    assert run.returncode == 0 and run.stdout.count("Trying to restart") == 1, run.stdout
    assert begun(project, "metrics") == before + 2 and (project.root / "tried").exists()
    assert table.read_bytes() == content
