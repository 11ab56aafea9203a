"""Paths at which no output can be put: told in a line, by long programs before they work; what is there stays."""

import os

import pytest

import export
import gallery
import metrics
import orbit
import render
import render_views
import summary
import train
import viewer
from door_helpers import MODEL, SCENE, end_of
from result_files import write_object, write_objects

TURN = ["--backend", "cpu", "--settings", '{"frames": 2, "size": 16}']
VIEWS = ["--model", MODEL, "--transforms", SCENE[3], "--backend", "cpu"]
TABLES = ["--results", "results", "--objects", "objects.tsv"]
# What each program is given (inputs that are not there where it need not look at them before), and its outputs.
PROGRAMS = {
    train: (["--object", "one", "--renders", "none"], {"--model": "m.safetensors", "--log": "log.csv"}),
    render: (["--object", "one", "--model", "none.obj", "--split", "test", "--settings", "{}", "--images", "images"],
             {"--transforms": "t.json"}),
    render_views: (["--object", "one", *VIEWS], {"--out": "views"}),
    metrics: (["--object", "one", "--transforms", "none.json", "--predictions", "none"], {"--out": "metrics.csv"}),
    orbit: (["--object", "one", "--model", MODEL, *TURN], {"--gif": "o.gif", "--webp": "o.webp", "--video": "o.mp4"}),
    export: (["--object", "one", "--results", ".", "--format", "instant-ngp"], {"--out": "export"}),
    viewer: (["--object", "one", "--results", "."], {"--out": "viewer.html"}),
    summary: ([*TABLES, "--logs", "logs"], {"--out": "s.csv", "--failures": "f.csv"}),
    gallery: ([*TABLES, "--summary", "s.csv"], {"--out": "gallery"}),
}  # fmt: skip
FOLDERS = (render_views, export, gallery)
OPTIONS = [(program, option) for program, (_, outputs) in PROGRAMS.items() for option in outputs]
BAD_PATHS = {
    "": "a name for the {kind} to write is missing",
    "..": "a name for the {kind} to write is missing",
    "taken": "taken: a {other} is there",
    "file/out.x": "file",
    "x" * 300: "File name too long",
    "/".join(["folder"] * 800): "File name too long",
}


@pytest.fixture
def place(scene, monkeypatch):
    """A folder with all that the programs need, to be in."""
    monkeypatch.chdir(scene)
    write_object(scene / "results" / "one", [30.0])
    write_objects(scene / "objects.tsv", ["one"])
    (scene / "file").write_text("kept")
    summary.main([*TABLES, "--logs", "logs", "--out", "s.csv"])
    return scene


@pytest.mark.parametrize("program, option", OPTIONS, ids=[f"{each.__name__} {option}" for each, option in OPTIONS])
@pytest.mark.parametrize("path", BAD_PATHS, ids=["empty", "parent", "taken", "in a file", "long", "deep"])
def test_a_path_at_which_nothing_can_be_put_is_refused(place, program, option, path):
    words, outputs = PROGRAMS[program]
    kind, other = ("folder", "file") if program in FOLDERS else ("file", "folder")
    (place / "taken").touch() if other == "file" else (place / "taken").mkdir()
    before = sorted(place.rglob("*"))
    chosen = {**{each: f"out/{name}" for each, name in outputs.items()}, option: path}
    end = end_of(program.main, *words, *(word for pair in chosen.items() for word in pair))
    assert end.code == 1 and end.err.startswith("error: ") and end.err.count("\n") == 1, end
    assert BAD_PATHS[path].format(kind=kind, other=other) in end.err, end
    left = [file for file in sorted(place.rglob("*")) if file not in before and file.is_file()]
    assert not left or (program, option) == (summary, "--failures"), left
    assert (place / "file").read_text() == "kept" and os.path.isdir(place / "taken") == (other == "folder")
