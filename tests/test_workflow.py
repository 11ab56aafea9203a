"""The workflow as a user runs it: an end-to-end run with real programs, and what reruns after changes."""

import csv
import os
import re
import shutil
import subprocess
import sys

import pytest

from gallery_page import read_gallery
from obj2ngp.workflow.slices import Slices
from workflow_project import AGGREGATES, CUBE, OUTPUTS, ROOT, TINY, Project, job, jobs_in, jobs_of

pytestmark = pytest.mark.slow

GPU_RULES = ("train", "render_test", "orbit")


@pytest.fixture
def project(finished_project, tmp_path):
    """A copy of the finished project, to change."""
    return finished_project.copy(tmp_path / "obj2ngp")


def after(jobs, *rules):
    return jobs | {job(rule, "first") for rule in rules} | (AGGREGATES - {job("object_table")})


def test_every_result_is_there(finished_project):
    results = finished_project.root / "results"
    assert (results / "objects.tsv").read_text() == (
        "object\tresults\nfirst\tmetrics.csv orbit.gif renders/transforms_val.json viewer.html\n"
    )
    assert (results / "gallery" / "index.html").stat().st_size > 0
    rows = list(csv.DictReader((results / "summary.csv").open()))
    assert rows[0]["object"] == "first"
    for name in ("transforms_train.json", "transforms_val.json", "transforms_test.json"):
        assert (results / "first" / "renders" / name).exists()
    assert not (results / "first" / "renders" / "transforms.json").exists()
    for name in ("model.safetensors", "training.csv", "metrics.csv", "orbit.gif", "orbit.webp", "orbit.mp4"):
        assert (results / "first" / name).stat().st_size > 0
    assert len(list(csv.DictReader((results / "first" / "metrics.csv").open()))) == TINY["render"]["views"]["test"]
    assert "view 3 of 3" in (finished_project.root / "logs" / "first" / "render_train.log").read_text()


def test_nothing_is_left_to_do(project):
    assert project.planned() == set()


def test_more_test_views_rerun_only_that_pass_and_what_follows(project):
    project.configure(render={**TINY["render"], "views": {"train": 3, "val": 1, "test": 3}})
    assert project.planned() == after({job("render", "first", "test")}, "render_test", "metrics", "viewer")


def test_edited_comments_and_layout_rerun_nothing(project):
    project.unlink_programs()
    for program in (project.root / "workflow_scripts").rglob("*.py"):
        program.write_text(program.read_text() + "\n# A thought.\n")
    for rules in (project.root / "rules").glob("*.smk"):
        rules.write_text(rules.read_text().replace(" --object", "  --object") + "\n# A thought.\n")
    (project.root / "config" / "config.yaml").open("a").write("# A thought.\n")
    assert project.planned() == set()


def test_touched_model_with_the_same_content_reruns_nothing(project):
    os.utime(project.root / "models" / "first.obj")
    assert project.planned() == set()


def test_changed_model_reruns_all_of_its_object(project):
    with (project.root / "models" / "first.obj").open("a") as file:
        file.write("v 0 0 0\n")
    assert project.planned() == jobs_of("first") | AGGREGATES - {job("object_table")}


def test_raised_method_number_reruns_its_program_and_what_follows(project):
    project.unlink_programs()
    declarations = project.root / "workflow_scripts" / "obj2ngp" / "ngp" / "config.py"
    raised, count = re.subn(r"METHOD = (\d+)", lambda found: f"METHOD = 1{found[1]}", declarations.read_text())
    assert count == 1
    declarations.write_text(raised)
    assert project.planned() == after({job("train", "first")}, "render_test", "metrics", "orbit", "viewer")


def test_trainer_setting_renders_nothing_anew(project):
    project.configure(train={**TINY["train"], "steps": 30})
    assert project.planned() == after({job("train", "first")}, "render_test", "metrics", "orbit", "viewer")


def test_orbit_setting_remakes_the_turntables_alone(project):
    project.configure(orbit={"frames": 5, "size": 32})
    assert project.planned() == after(set(), "orbit")


def test_an_added_export_makes_nothing_else_anew(project):
    project.configure(export={"formats": ["weights"]})
    assert project.planned() == after(set(), "export") | {job("object_table"), job("collection")}


def test_new_seed_reruns_everything(project):
    project.configure(project={"seed": 1})
    assert project.planned() == jobs_of("first") | AGGREGATES - {job("object_table")}


def test_override_in_a_table_concerns_its_object_alone(project):
    project.add_cube("second")
    table = project.root / "objects.tsv"
    table.write_text("object\tpath\trender.views.val\nfirst\tmodels/first.obj\t\nsecond\tmodels/second.obj\t0\n")
    project.configure(objects={"table": "objects.tsv"})
    assert project.planned() == jobs_of("second", splits=("train", "test")) | AGGREGATES
    table.write_text(table.read_text().replace("first.obj\t", "first.obj\t2"))
    assert project.planned() - jobs_of("second") - AGGREGATES == {job("render", "first", "val")}


def test_added_object_runs_alone_and_a_broken_one_does_not_hold_it_up(project):
    project.add_cube("second", "0.1 0.2 0.9")
    (project.root / "models" / "third.obj").write_text("# nothing here\n")
    run = project.snakemake("--set-threads", "render=1")
    assert run.returncode != 0
    assert jobs_in(run.stdout) - {job("render", "third", split) for split in ("train", "val", "test")} == (
        jobs_of("second") | {job("object_table")}
    )
    assert "third.obj" in run.stdout and "error:" in run.stdout  # the log of the failed job
    assert (project.root / "results" / "second" / "orbit.gif").exists()
    # What is ready is shown, with the reason why the broken one is not.
    with open(project.root / "results" / "summary.csv") as file:
        status = {row["object"]: row["status"] for row in csv.DictReader(file)}
    assert status["first"] == status["second"] == "ok" and status["(mean)"] == "2 of 3 objects"
    assert "third.obj" in status["third"]
    shown, _ = read_gallery(project.root / "results" / "gallery")
    assert {"orbit.gif", "viewer.html"} <= shown["second"]["files"] and "third.obj" in shown["third"]["status"]

    # Left out, the broken object is asked for no longer, and the aggregates are made of the others.
    project.configure(objects={"folder": "models", "exclude": ["third"]})
    run = project.snakemake()
    assert run.returncode == 0, run.stdout
    assert jobs_in(run.stdout) == AGGREGATES
    table = (project.root / "results" / "objects.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in table] == ["object", "first", "second"]

    # And a removed object needs nothing but new aggregates.
    project.configure(objects={"folder": "models", "exclude": ["second", "third"]})
    assert project.planned() == AGGREGATES


def test_results_are_the_same_wherever_project_programs_and_blender_lie(project, tmp_path):
    """Moved; worked on by another clone; without Blender's environment; with another Blender; with other resources."""
    moved = Project(shutil.move(project.root, tmp_path / "elsewhere"))
    assert moved.planned() == set()
    clone = Project.create(tmp_path / "clone")
    assert clone.planned("--directory", str(moved.root)) == set()
    (moved.root / ".venv-blender").unlink()
    assert moved.planned() == set()
    blender = ["--config", f"render={{blender: {shutil.which('true')}}}"]
    assert moved.planned("--set-resources", "train:mem_mb=9000", "--set-threads", "train=1", *blender) == set()


def test_a_clone_may_lie_where_a_shell_would_take_its_path_apart(tmp_path):
    """Its programs and scripts run, for a project elsewhere."""
    clone = Project.create(tmp_path / "my tools" / "a$(touch ran)b; it's")
    project = Project.create(tmp_path / "project")
    project.add_cube("first")
    targets = ["results/first/renders/transforms_val.json", "results/objects.tsv"]
    run = clone.snakemake("--directory", str(project.root), *targets)
    assert run.returncode == 0, run.stdout
    assert all((project.root / target).exists() for target in targets)
    assert not list(tmp_path.rglob("ran*"))


def test_a_clone_whose_path_snakemake_would_take_apart_is_refused_with_the_reason(tmp_path):
    run = Project.create(tmp_path / "a{b}c").snakemake()
    assert run.returncode == 1 and "a{b}c: Snakemake cannot run from a path with { or } in it" in run.stdout
    assert "Traceback" not in run.stdout


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"objects": {"folder": "nowhere"}}, ["objects.folder: nowhere"]),
        ({"rendr": {}}, ["rendr: unknown key"]),
        ({"train": {"stepps": 3}}, ["train.stepps"]),
        ({"render": {"blender": "/no/blender"}}, ["render.blender", "/no/blender"]),
    ],
)
def test_wrong_configuration_stops_before_anything_runs(tmp_path, changes, words):
    project = Project.create(tmp_path / "obj2ngp")
    project.add_cube("first")
    project.configure(**changes)
    run = project.snakemake()
    assert run.returncode == 1
    assert all(word in run.stdout for word in words), run.stdout
    assert "Traceback" not in run.stdout and "rule render" not in run.stdout


def test_blender_executable_is_told_to_fail_when_the_program_fails(tmp_path):
    project = Project.create(tmp_path / "obj2ngp")
    project.add_cube("first")
    executable = tmp_path / "Blender 4" / "blender"
    executable.parent.mkdir()
    executable.symlink_to(shutil.which("true"))
    project.configure(render={**TINY["render"], "blender": str(executable)})
    dry = project.snakemake("--dry-run", "--printshellcmds")
    script = project.root / "workflow_scripts" / "render.py"
    assert f"'{executable}' -b --factory-startup --python-exit-code 1 -P {script} -- --object" in dry.stdout


@pytest.mark.parametrize("path", ["metrics.csv", "orbit.gif", "renders/transforms_val.json"])
def test_a_deleted_result_is_made_anew(project, path):
    (project.root / "results" / "first" / path).unlink()
    rule, split = {"metrics.csv": ("metrics", None), "orbit.gif": ("orbit", None)}.get(path, ("render", "val"))
    follows = ["viewer"] if rule == "metrics" else []
    assert project.planned() == after({job(rule, "first", split)}, *follows)


def test_a_slice_of_a_whole_shapenet_is_planned_alone(tmp_path):
    project = Project.create(tmp_path / "obj2ngp")
    names = [f"02958343-{number:05}" for number in range(51_300)]
    project.add_table(names)
    jobs = project.planned("results/slices/3-of-10000")
    planned = Slices(names).objects("3-of-10000")
    assert jobs - {job("slice")} == set().union(*map(jobs_of, planned)) and planned


def test_snakemake_looks_for_ready_jobs_when_one_has_ended_and_not_ever_more_often(tmp_path):
    project = Project.create(tmp_path / "obj2ngp")
    project.pretend_programs(f"sleep 0.3; {OUTPUTS}")
    project.add_table([f"object{number}" for number in range(8)])
    run = project.snakemake("--cores", "1", "--verbose")
    assert run.returncode == 0, run.stdout
    jobs = re.search(r"^(\d+) of \1 steps \(100%\) done", run.stdout, re.MULTILINE).group(1)
    looks = run.stdout.count("Ready jobs: ") + run.stdout.count("Ready subsampled jobs: ")
    assert looks <= 2 * int(jobs)


@pytest.mark.parametrize(
    "backend, visible, count", [("cpu", "0", 0), ("cuda", "", 1), ("auto", "0", 1), ("auto", "", 0)]
)
def test_trainer_asks_for_a_gpu_where_it_uses_one(project, monkeypatch, backend, visible, count):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    dry = project.snakemake("--dry-run", "--forceall", "--config", f"train={{backend: {backend}}}")
    for rule in GPU_RULES:
        assert re.search(rf"^rule {rule}:.*?[ ,]gpu=(\d)", dry.stdout, re.DOTALL | re.MULTILINE).group(1) == str(count)


def test_rendering_asks_for_a_gpu_and_a_single_core_where_its_device_is_one(project, monkeypatch):
    """And its job gets a card to itself as the trainer's do; each object as its table says."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    project.add_cube("second")
    table = project.root / "objects.tsv"
    table.write_text("object\tpath\trender.device\nfirst\tmodels/first.obj\tcpu\nsecond\tmodels/second.obj\tgpu\n")
    project.configure(objects={"table": "objects.tsv"})
    dry = project.snakemake("--dry-run", "--forceall", "--printshellcmds")
    asked = re.findall(
        r"^\s*rule render:.*?log: logs/(\w+)/.*?[ ,]gpu=(\d).*?launch\.py (\d) .*?--threads (\d)",
        dry.stdout,
        re.DOTALL | re.MULTILINE,
    )
    assert set(asked) == {("first", "0", "0", "2"), ("second", "1", "1", "1")}, dry.stdout


@pytest.mark.parametrize("rule", ["render", *GPU_RULES])
def test_programs_are_told_how_many_threads_are_theirs(project, rule):
    dry = project.snakemake("--dry-run", "--forceall", "--printshellcmds", "--set-threads", f"{rule}=1")
    told = re.findall(rf"^\s*rule {rule}:.*?--threads (\d)", dry.stdout, re.DOTALL | re.MULTILINE)
    assert told and set(told) == {"1"}, dry.stdout


def test_the_machine_is_asked_for_its_gpus_once(project, monkeypatch, tmp_path):
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/asked\necho 0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    project.add_cube("second")
    dry = project.snakemake("--dry-run", "--forceall", "--config", "train={backend: auto}")
    assert len(re.findall(r"resources:.*\bgpu=1", dry.stdout)) == 2 * len(GPU_RULES), dry.stdout
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_demo_plan_is_complete():
    command = [sys.executable, "-m", "snakemake", "--directory", "demo", "--dry-run", "--forceall", "--cores", "2"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    objects = {path.parent.name for path in (ROOT / "demo" / "objects").glob("*/*.obj")}
    assert jobs_in(run.stdout) == set().union(*map(jobs_of, objects)) | AGGREGATES


def test_a_packed_project_keeps_no_account_of_its_own_and_sees_added_objects(tmp_path):
    project = Project.create(tmp_path / "obj2ngp")
    project.pretend_programs()
    project.add_table(["chair"])
    project.configure(project={"pack": True})
    run = project.snakemake()
    assert run.returncode == 0, run.stdout
    assert jobs_in(run.stdout) == jobs_of("chair") | AGGREGATES
    results = project.root / "results" / "chair"
    for archive in ("renders/train.zip", "renders/val.zip", "renders/test.zip", "test.zip"):
        assert (results / archive).is_file()
    assert not list(project.root.glob(".snakemake/metadata/*"))
    assert project.planned() == set()
    project.add_table(["chair", "car"])
    assert project.planned() == jobs_of("car") | AGGREGATES


def test_blender_in_a_folder_that_would_spoil_its_colours_is_refused(tmp_path):
    folder = tmp_path / "a$b"
    folder.mkdir()
    (folder / "venv").symlink_to(ROOT / ".venv-blender")
    program = [folder / "venv/bin/python", ROOT / "workflow_scripts/render.py", "--object", "first", "--split", "val"]
    (tmp_path / "first.obj").write_text(CUBE.format(name="first"))
    files = ["--model", "first.obj", "--settings", "{}", "--images", "val", "--transforms", "val.json"]
    run = subprocess.run([*program, *files], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1 and "colours would be wrong" in run.stderr and "Traceback" not in run.stderr


def test_pictures_are_the_same_in_folders_that_a_shell_takes_apart(finished_project, tmp_path):
    project = Project.create(tmp_path / "plain")
    project.add_cube("first")
    run = project.snakemake("results/first/renders/transforms_val.json")
    assert run.returncode == 0, run.stdout
    picture = "results/first/renders/val/000.png"
    assert (project.root / picture).read_bytes() == (finished_project.root / picture).read_bytes()
