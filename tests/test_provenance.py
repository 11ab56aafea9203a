"""What a result was made from: its record, and what is done anew because of it where times of files tell nothing."""

import argparse
import concurrent.futures
import json
import os
import re
import shutil

import pytest

from obj2ngp.common.files import UserError
from obj2ngp.common.provenance import Job, Provenance, add_record_options, digest, recorded
from obj2ngp.common.records import FILE, read_records, write_record
from obj2ngp.report.verify import read_expected, verify

JOBS = ["metrics", "orbit", "render_test", "render_train", "render_val", "render_views", "train", "viewer"]
AFTER_TRAIN = {"train", "render_views", "metrics", "orbit", "viewer"}
AFTER_TEST = {"render_test", "render_views", "metrics", "viewer"}


def options(folder, name, inputs=(), outputs=(), settings='{"steps": 3}'):
    """The options of a program whose job is `name`, of the object in `folder`."""
    parser = argparse.ArgumentParser()
    add_record_options(parser)
    record = ["--record", str(folder / FILE), "--job", name]
    found = parser.parse_args([*record, "--inputs", *map(str, inputs), "--outputs", *map(str, outputs)])
    return argparse.Namespace(**vars(found), settings=settings)


def make(folder, name, inputs, output, content="made", method=1):
    """Make the file or folder `output` of `folder`, as a program does."""
    with recorded(options(folder, name, inputs, [folder / output]), name, method):
        path = folder / output
        if path.suffix:
            path.write_text(content)
        else:
            path.mkdir(exist_ok=True)
            for index in range(3):
                (path / f"{index}.png").write_text(f"{content} {index}")


PARAMETERS = {"method": 1, "settings": {"steps": 3}}


@pytest.fixture
def folder(tmp_path):
    """An object's folder with two jobs done: `pictures` from a model, and `table.csv` from them."""
    (tmp_path / "model.obj").write_text("v 0 0 0\n")
    folder = tmp_path / "results" / "chair"
    make(folder, "draw", [tmp_path / "model.obj"], "pictures")
    make(folder, "count", [folder / "pictures"], "table.csv")
    return folder


def stale(folder, job="draw", **changes):
    return Provenance(folder).stale(job, {**PARAMETERS, **changes})


def test_finished_jobs_are_not_stale(folder):
    assert stale(folder) is stale(folder, "count") is stale(folder, "unknown") is None
    record = read_records(folder / FILE)["draw"]
    assert record["state"] == "ok" and set(record["outputs"]["pictures"]["files"]) == {"0.png", "1.png", "2.png"}
    assert 0 <= record["seconds"] < 60


def test_a_touched_model_is_the_same_and_an_older_one_is_not(folder, tmp_path):
    model = tmp_path / "model.obj"
    os.utime(model, (0, 0))
    assert stale(folder) is None
    model.write_text("v 1 0 0\n")
    os.utime(model, (0, 0))
    assert stale(folder) == f"{model} has changed"
    model.unlink()
    assert stale(folder) == f"{model} has changed"


def test_lost_results_and_other_parameters_are_named(folder):
    assert stale(folder, settings={"steps": 4}) == "settings.steps was 3, is 4"
    assert stale(folder, method=2) == "method was 1, is 2"
    (folder / "pictures" / "1.png").unlink()
    assert stale(folder) == "pictures/1.png is missing"
    shutil.rmtree(folder / "pictures")
    assert stale(folder) == "pictures is missing"
    (folder / "table.csv").unlink()
    assert stale(folder, "count") == "table.csv is missing"


def test_what_was_made_from_former_results_is_outdated(folder, tmp_path):
    make(folder, "draw", [tmp_path / "model.obj"], "pictures")
    assert stale(folder, "count") is None  # the same again
    make(folder, "draw", [tmp_path / "model.obj"], "pictures", content="other")
    assert stale(folder) is None and stale(folder, "count") == "pictures has changed"


def test_a_job_refuses_results_that_are_not_those_of_their_record(folder):
    (folder / "pictures" / "0.png").write_text("another's")
    with pytest.raises(UserError, match="pictures: not what draw made"):
        make(folder, "count", [folder / "pictures"], "table.csv")
    assert "not what draw made" in Provenance(folder).stopped("count")
    assert stale(folder) == "stopped: pictures is not what it made"  # and the next run makes it anew


def test_a_failed_job_says_why_and_what_comes_after_it_is_outdated(folder):
    with pytest.raises(UserError), recorded(options(folder, "draw", [], [folder / "pictures"]), "draw", 1):
        raise UserError("no face")
    assert stale(folder) == "stopped: no face" and stale(folder, "count") == "pictures has changed"
    record = read_records(folder / FILE)["draw"]
    assert record["refused"] is True
    with pytest.raises(ZeroDivisionError), recorded(options(folder, "draw", [], []), "draw", 1):
        raise ZeroDivisionError("division")
    assert stale(folder) == "stopped: ZeroDivisionError: division"


@pytest.mark.parametrize(
    "pid, words", [(os.getpid(), "has not ended"), (2**22 + 1, "was killed")], ids=["runs", "killed"]
)
def test_a_running_job_is_told_from_a_killed_one(folder, pid, words):
    job = Job(folder / FILE, "draw", "draw", PARAMETERS, [folder / "pictures"])
    job._record["process"]["pid"] = pid
    job._save()
    assert stale(folder) == words


def test_a_file_that_changes_while_it_is_used_stops_its_job(folder, tmp_path):
    model = tmp_path / "model.obj"
    with (
        pytest.raises(UserError, match="changed while it was used"),
        recorded(options(folder, "draw", [model], [folder / "pictures"]), "draw", 1),
    ):
        model.write_text("v 2 2 2 2\n")


def test_a_file_that_was_looked_for_is_missed_until_it_comes(folder, tmp_path):
    with recorded(options(folder, "draw", [], [folder / "pictures"]), "draw", 1) as job:
        job.uses(tmp_path / "texture.png")
    assert stale(folder) is None
    (tmp_path / "texture.png").write_text("picture")
    assert stale(folder) == f"{tmp_path / 'texture.png'} has changed"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"state": "ok"}', "[" * 100_000, "\udcff", '{"state": 3}', '{"job": []}', '{"job": "draw"}'],
)
def test_a_line_that_cannot_be_read_is_passed_over(folder, text):
    before = read_records(folder / FILE)
    with open(folder / FILE, "a", errors="surrogateescape") as file:
        file.write(text)
    assert read_records(folder / FILE) == before
    write_record(folder / FILE, {**before["draw"], "rule": "another"})
    assert read_records(folder / FILE)["draw"]["rule"] == "another"
    (folder / FILE).write_text(text, errors="surrogateescape")
    assert stale(folder) is None and digest(folder / "nothing") is None


def test_jobs_that_end_at_once_lose_no_record(folder):
    record = read_records(folder / FILE)["draw"]
    names = [f"draw_{index}" for index in range(150)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: write_record(folder / FILE, {**record, "job": name}), names))
    assert read_records(folder / FILE).keys() == {"draw", "count", *names}


def test_a_record_follows_no_link(folder, tmp_path):
    (folder / FILE).rename(tmp_path / "other")
    (folder / FILE).symlink_to(tmp_path / "other")
    before = (tmp_path / "other").read_bytes()
    with pytest.raises(UserError, match=FILE):
        make(folder, "count", [], "table.csv")
    assert (tmp_path / "other").read_bytes() == before


def test_records_that_say_they_are_made_from_each_other_end(folder):
    record = read_records(folder / FILE)["draw"]
    write_record(folder / FILE, {**record, "results": {"table.csv": digest(folder / "table.csv")}})
    assert stale(folder) == "table.csv has changed" and stale(folder, "count") == "pictures has changed"


def test_without_a_record_nothing_is_written(tmp_path):
    options = argparse.Namespace(record=None, job=None, inputs=[tmp_path / "no"], outputs=[])
    with recorded(options, "draw", 1) as job:
        job.uses(tmp_path / "nothing")
    assert not list(tmp_path.iterdir())


def test_a_record_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "chair").write_text("a file")
    with pytest.raises(UserError, match="chair"):
        make(tmp_path / "chair", "draw", [], "pictures")


def copy_object(project, name):
    """An object called `name` that is finished like `first`, to the times of its files."""
    results, models = project.root / "results", project.root / "models"
    shutil.copytree(results / "first", results / name)
    for suffix in (".obj", ".mtl"):
        shutil.copy2(models / f"first{suffix}", models / f"{name}{suffix}")
    records = results / name / FILE
    records.write_text(records.read_text().replace("models/first.", f"models/{name}."))


def lose(path):
    """A change that takes the result `path` away."""

    def change(results, model):
        shutil.rmtree(results / path) if (results / path).is_dir() else (results / path).unlink()

    return change


def edit(path, text, old=False):
    """A change of a file beside the model: `path` with {} for the object's name; with an old time."""

    def change(results, model):
        file = model.with_name(path.format(model.stem))
        times = file.stat().st_mtime - 1000 if file.exists() else 0
        file.write_text(text)
        if old:
            os.utime(file, (times, times))

    return change


def other_setting(results, model):
    """What a run with another setting left, that was killed, and whose setting was changed back."""
    record = read_records(results / FILE)["render_test"]
    record["parameters"]["settings"]["views"] = 3
    write_record(results / FILE, record)


def killed(results, model):
    write_record(results / FILE, {**read_records(results / FILE)["train"], "state": "running"})


CHANGES = {
    "same": (lambda results, model: None, set()),
    "touched": (lambda results, model: os.utime(model, (0, 0)), set()),
    "picture": (lose("renders/test/001.png"), AFTER_TEST),
    "pass": (lose("renders/test"), AFTER_TEST),
    "training": (lose("renders/train/000.png"), {"render_train", *AFTER_TRAIN}),
    "validation": (lose("renders/val"), {"render_val"}),
    "views": (lose("test/000.png"), {"render_views", "metrics", "viewer"}),
    "video": (lose("orbit.mp4"), {"orbit"}),
    "model": (lose("model.safetensors"), AFTER_TRAIN),
    "older": (edit("{}.obj", "v 0 0 0\n", old=True), set(JOBS)),
    "material": (edit("{}.mtl", "newmtl paint\nKd 0 0 1\n", old=True), set(JOBS)),
    "setting": (other_setting, AFTER_TEST),
    "killed": (killed, AFTER_TRAIN),
}


def job_of(rule, split):
    return f"render_{split}" if split else {"render_test": "render_views"}.get(rule, rule)


def test_what_is_planned_anew(finished_project, tmp_path):
    """All changes in one project, each to an object of its own."""
    project = finished_project.copy(tmp_path / "obj2ngp")
    for name, (change, _) in CHANGES.items():
        copy_object(project, name)
        change(project.root / "results" / name, project.root / "models" / f"{name}.obj")
    planned = {name: set() for name in CHANGES}
    for rule, name, split in project.planned():
        if name:
            planned[name].add(job_of(rule, split))
    assert planned == {name: jobs for name, (_, jobs) in CHANGES.items()}


def test_every_job_leaves_a_record(finished_project):
    records = read_records(finished_project.root / "results" / "first" / FILE)
    assert list(records) == JOBS
    assert {record["state"] for record in records.values()} == {"ok"}
    assert set(records["render_train"]["files"]) == {"models/first.obj", "models/first.mtl"}
    assert set(records["render_train"]["outputs"]) == {"renders/train", "renders/transforms_train.json"}
    assert records["metrics"]["results"].keys() >= {"renders/transforms_test.json", "renders/test", "test"}


def test_verify_reads_every_byte(folder, tmp_path):
    records = Provenance(folder)
    assert records.verify("draw", PARAMETERS) is records.verify("count", PARAMETERS) is None
    picture, model = folder / "pictures" / "2.png", tmp_path / "model.obj"
    for file in (picture, model):
        times, text = file.stat(), file.read_text()
        file.write_text(text.swapcase())
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert stale(folder) is None
    assert records.verify("draw", PARAMETERS) == f"{model} has changed"
    model.write_text("v 0 0 0\n")
    assert records.verify("draw", PARAMETERS) == "pictures/2.png is not what it made"
    expected = {
        "kinds": [{"draw": PARAMETERS, "count": {**PARAMETERS, "method": 2}, "more": {}}],
        "objects": {"chair": 0, "table": 0},
    }
    (tmp_path / "parameters.json").write_text(json.dumps(expected))
    verdict = verify(tmp_path / "results", read_expected(tmp_path / "parameters.json"), 2)
    assert verdict.stale == [
        ("chair", "count: method was 1, is 2"),
        ("chair", "draw: pictures/2.png is not what it made"),
    ]
    assert (verdict.objects, verdict.sound, verdict.unknown) == (2, 0, 1)


def test_verify_goes_on_where_files_cannot_be_read(folder, tmp_path):
    """A pipe among pictures, a record without a digest: of each, its job is stale."""
    expected = {"chair": {"draw": PARAMETERS, "count": PARAMETERS}}
    (folder / "pictures" / "2.png").unlink()
    os.mkfifo(folder / "pictures" / "2.png")
    [problem] = [words for name, words in verify(folder.parent, expected, 1).stale if words.startswith("draw: ")]
    assert "2.png: not a regular file" in problem
    record = {**Provenance(folder).records["count"], "results": {}, "outputs": {"numbers.csv": {}}}
    write_record(folder / FILE, record)
    (folder / "numbers.csv").touch()
    assert ("chair", "count: numbers.csv is not what it made") in verify(folder.parent, expected, 1).stale


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "not valid JSON"),
        ("[]", "[] holds no keys"),
        ('{"kinds": []}', "objects: missing"),
        ('{"kinds": [], "objects": {"a": 0}}', "objects.a: 0: there are 0 kinds"),
        ('{"kinds": [{}], "objects": {"a": 1}}', "objects.a: 1: there are 1 kinds"),
        ('{"kinds": [{}], "objects": {"a": -1}}', "objects.a: -1 is not"),
        ('{"kinds": [{}], "objects": {"a": true}}', "objects.a: true is no number"),
        ('{"kinds": [{}], "objects": {"../a": 0}}', "objects: "),
        ('{"kinds": 1, "objects": {}}', "kinds: no list"),
        ('{"kinds": "a", "objects": {}}', "kinds: no list"),
        ('{"kinds": [0], "objects": {"a": 0}}', "kinds[0]: 0 holds no keys"),
        ('{"kinds": [{"train": 1}], "objects": {"a": 0}}', "kinds[0].train: 1 holds no keys"),
        ('{"kinds": [], "objects": 1}', "objects: 1 holds no keys"),
    ],
)
def test_a_file_that_holds_no_parameters_is_refused(tmp_path, text, words):
    (tmp_path / "parameters.json").write_text(text)
    with pytest.raises(UserError, match=re.escape(f"parameters.json: {words}")):
        read_expected(tmp_path / "parameters.json")


def test_the_target_verify_finds_all_well_and_names_what_is_not(finished_project, tmp_path):
    project = finished_project.copy(tmp_path / "obj2ngp")
    run = project.snakemake("verify")
    assert (
        run.returncode == 0 and "1 objects, 0 without records: 8 jobs' results are as recorded, 0 stale" in run.stdout
    )
    with (project.root / "results" / "first" / "orbit.gif").open("ab") as file:
        file.write(b"more")
    run = project.snakemake("verify")
    assert run.returncode == 1 and "object first: orbit: orbit.gif is not what it made\n" in run.stdout
