"""Image sets in the workflow: what is planned of them, and the rule that brings them in, beside rendered models."""

import re
from pathlib import Path

import pytest

from image_set_scene import edit, record, write_ball
from obj2ngp.common.files import UserError
from obj2ngp.workflow.configuration import Settings
from obj2ngp.workflow.objects import find_objects
from workflow_project import AGGREGATES, Project, job, jobs_in, jobs_of

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = (ROOT / "docs/views.md").read_text()
VIEWS = "results/ball/renders/transforms_test.json"


@pytest.mark.slow
def test_a_set_is_brought_in_and_a_model_rendered(tmp_path):
    """One rule takes the place of the other; a changed picture has the set brought in anew."""
    project = Project.create(tmp_path)
    project.add_cube("first")
    write_ball(tmp_path / "models/ball")
    own = {job("import_views", "ball"), *(jobs_of("ball", splits=()))}
    assert project.planned() == own | jobs_of("first") | AGGREGATES
    run = project.snakemake(VIEWS)
    assert run.returncode == 0 and jobs_in(run.stdout) == {job("import_views", "ball")}, run.stdout
    assert record(tmp_path / "results/ball/renders")["source"]["kind"] == "nerf-synthetic"
    assert project.planned(VIEWS) == set()
    edit(tmp_path / "models/ball/transforms_train.json", lambda content: content["frames"].pop())
    assert project.planned(VIEWS) == {job("import_views", "ball")}


def test_the_examples_of_the_document_are_read(tmp_path, monkeypatch):
    """Its table of sets, with a set of the kind in each place."""
    monkeypatch.chdir(tmp_path)
    [table] = re.findall(r"^    object +path.*\n(?:^    .+\n)+", DOCUMENT, re.MULTILINE)
    rows = [re.split(r"\s{2,}", line.strip()) for line in table.splitlines()]
    files = {"lego": "transforms_train.json", "wineholder": "bbox.txt", "fox": "transforms.json", "car": "pose/0.txt"}
    for name, path, *_ in rows[1:]:
        place = Path(path) / files[name] if name in files else Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("{}")
        if name in ("wineholder", "car"):
            for part in ("pose", "rgb"):
                Path(path, part).mkdir(exist_ok=True)
            Path(path, "intrinsics.txt").write_text("1")
    lines = [[*row[:2], "", row[2]] if row[-1] == "warn" else row for row in rows]
    width = len(lines[0])
    Path("sets.tsv").write_text("\n".join("\t".join([*row, *[""] * (width - len(row))]) for row in lines))
    settings = Settings({"objects": {"table": "sets.tsv"}}, find_objects_of)
    assert list(settings.objects) == [row[0] for row in rows[1:]]
    assert settings.of("fox").configuration.views.missing == "warn"
    assert settings.of("scan").configuration.views.kind == "nerfstudio"


def find_objects_of(configuration):
    return find_objects(configuration.objects)


def test_jobs_on_sets_ask_for_room_for_800_pixels(tmp_path):
    """Nobody has looked into them when jobs are planned."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set/transforms.json").write_text("{}")
    (tmp_path / "a.obj").touch()
    settings = Settings({"objects": {"folder": str(tmp_path)}}, find_objects_of)
    for rule in ("train", "render_test"):
        need = [settings.need(rule, name, False, 2) for name in ("set", "a")]
        assert need[0].mem_mb > need[1].mem_mb


def test_a_wrong_setting_of_views_is_named(tmp_path):
    with pytest.raises(UserError, match='configuration: views.up: must be one of .*, not "w"'):
        Settings({"views": {"up": "w"}}, find_objects_of)
