"""A program whose results may have changed raises its METHOD, or somebody says that they did not."""

import shutil

import pytest

from program_hashes import PROGRAMS, SCRIPTS, TABLE, code_hash, table

MAIN = [program for program in PROGRAMS.values() if "/" not in program]  # of every object; the others are exports


def test_every_program_is_the_one_that_was_vouched_for():
    vouched = TABLE.read_text().splitlines()
    changed = [now.split("\t")[0] for now, then in zip(table(), vouched, strict=True) if now != then]
    assert not changed, f"{', '.join(changed)}: raise METHOD or refresh the hash, then `make hashes`"


@pytest.fixture
def scripts(tmp_path):
    """A copy of the programs, to change."""
    return shutil.copytree(SCRIPTS, tmp_path / "workflow_scripts", ignore=shutil.ignore_patterns("__pycache__"))


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_comments_docstrings_and_layout_do_not_count(scripts):
    before = code_hash("train", scripts)
    change(scripts / "obj2ngp/ngp/field.py", '"""', '"""Other words. ')
    change(scripts / "obj2ngp/ngp/field.py", "\n\n\n", "\n\n# A thought.\n\n\n\n")
    change(scripts / "obj2ngp/ngp/config.py", "large = pixels > 200", "large = (\n        pixels\n        > 200)")
    assert code_hash("train", scripts) == before


@pytest.mark.parametrize(
    "file, old, new, programs",
    [
        ("obj2ngp/ngp/config.py", "pixels > 200", "pixels > 201", {"train", "render_views", "orbit", "viewer"}),
        ("obj2ngp/ngp/hull.py", "def ", "def a_", {"train"}),
        ("obj2ngp/ngp/video.py", "def ", "def a_", {"orbit"}),
        ("obj2ngp/ngp/backends/cuda/adam.py", "def ", "def a_", {"train", "render_views", "orbit", "viewer"}),
        ("obj2ngp/scene/studio.py", "def ", "def a_", {"render"}),
        (
            "obj2ngp/views/pictures.py",
            "def ",
            "def a_",
            {"import_views", "train", "render_views", "metrics", "gallery"},
        ),
        ("obj2ngp/views/lens.py", "def ", "def a_", {"import_views"}),
        ("obj2ngp/common/files.py", "def ", "def a_", set(MAIN)),
        ("train.py", "main", "main_program", {"train"}),
        ("obj2ngp/report/gallery.py", "def ", "def a_", {"gallery"}),
        ("obj2ngp/report/templates/gallery.js", "const ", "let ", {"gallery"}),
        ("obj2ngp/viewer/static/shader.js", "const ", "let ", {"viewer"}),
    ],
)
def test_code_counts_for_the_programs_that_run_it(scripts, file, old, new, programs):
    """Also where it is imported inside a function, or by name as the backends are."""
    before = {program: code_hash(program, scripts) for program in MAIN}
    change(scripts / file, old, new)
    assert {program for program in before if code_hash(program, scripts) != before[program]} == programs
