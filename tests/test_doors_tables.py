"""At the door: tables of objects, metrics and summaries, and what of them programs pass on."""

import os
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

import damage
import gallery
import status
import summary
from damage import NO_FILES, NO_JSON, at, with_json, written
from door_helpers import MODEL, assert_refused, end_of, named, refused_or
from obj2ngp.common.files import UserError
from obj2ngp.common.tables import read_table, write_table
from obj2ngp.workflow.objects import Objects, find_objects
from result_files import write_object, write_objects
from tensor_damage import TENSOR_FILES, own


# Tables.
@pytest.fixture
def results(tmp_path):
    """The results of two objects."""
    for name in ("chair", "car"):
        write_object(tmp_path / name, [30, 31])
    write_objects(tmp_path / "objects.tsv", ["chair", "car"])
    assert sums_up(tmp_path).code == 0
    shutil.copy(tmp_path / "out" / "summary.csv", tmp_path / "summary.csv")
    shutil.rmtree(tmp_path / "out")
    return tmp_path


def sums_up(folder):
    words = ["--results", folder, "--logs", folder / "logs", "--objects", folder / "objects.tsv"]
    return end_of(summary.main, *words, "--out", folder / "out" / "summary.csv")


def shows(folder):
    words = ["--results", folder, "--objects", folder / "objects.tsv", "--summary", folder / "summary.csv"]
    return end_of(gallery.main, *words, "--out", folder / "out" / "gallery")


def stands(folder):
    return end_of(status.main, "--results", folder, "--logs", folder / "logs")


NO_TABLES = [
    *NO_FILES,
    ("NUL", written("object\tresults\nchair\0\tmetrics.csv\n"), "NUL"),
    ("UTF-16", written("object\tresults\nchair\tmetrics.csv\n".encode("utf-16")), "not UTF-8"),
    ("sparse", damage.sparse, "more than 268,435,456"),
    ("quote", written('object\tresults\n"chair\tmetrics.csv\n'), "line "),
    ("other columns", written("name\tfiles\nchair\tmetrics.csv\n"), "needs one column 'object'"),
    ("column twice", written("object\tobject\tresults\nchair\tchair\tmetrics.csv\n"), "needs one column 'object'"),
]
OBJECT_TABLES = [
    *NO_TABLES,
    ("cut", damage.cut(-3), "cut off"),
    ("short row", written("object\tresults\nchair\n"), "line 2: 1 cells"),
    ("long row", written("object\tresults\nchair\tmetrics.csv\t3\n"), "line 2: 3 cells"),
    ("twice", written("object\tresults\nchair\tmetrics.csv\nchair\tmetrics.csv\n"), "names an object twice"),
    ("no results", written("object\tresults\nchair\t\n"), "no results"),
    *(
        (f"name {index}", written(f"object\tresults\n{name}\tmetrics.csv\n"), "is no name of an object")
        for index, name in enumerate(("../x", "/etc/passwd", ".", "..", "a b", "-x", "=1+1", "<b>", "\x1b[31m", "a/b"))
    ),
    ("long name", written(f"object\tresults\n{'1' * 5000}\tmetrics.csv\n"), "is longer than 255 bytes"),
    *(
        (f"result {index}", written(f"object\tresults\nchair\t{path}\n"), "is no path inside a folder")
        for index, path in enumerate(("../x", "/etc/passwd", "a/../../b", "a//b", "renders/", "-x", "$(ran)"))
    ),
]


@pytest.mark.parametrize("spoil, words", named(OBJECT_TABLES))
@pytest.mark.parametrize("program", [sums_up, shows, stands], ids=["summary", "gallery", "status"])
def test_tables_of_objects(results, program, spoil, words):
    spoil(results / "objects.tsv")
    assert_refused(program(results), results, "objects.tsv", words)


@pytest.mark.parametrize("spoil, words", named([*NO_TABLES[:-2], NO_TABLES[-2]]))
def test_summaries(results, spoil, words):
    if words == "line ":
        pytest.skip("a quote that is left open concerns one row")
    spoil(results / "summary.csv")
    assert_refused(shows(results), results, "summary.csv", words)


def cell(value, column="psnr"):
    columns = {"object": "chair", "view": "001", "psnr": 30, "ssim": 0.9, "flip": 0.1, column: value}
    header = "object,view,psnr,ssim,flip\nchair,000,30,0.9,0.1\n"
    return written(header + ",".join(map(str, columns.values())) + "\n")


METRICS = [
    *(each for each in NO_TABLES[1:-2] if each[0] not in ("quote", "link to itself", "link to nothing")),
    ("quote", written('object,view,psnr,ssim,flip\nchair,"000,30,0.9,0.1\n'), "line "),
    ("cut", damage.cut(0.9), "cut off"),
    ("all but the end", damage.cut(-1), "cut off"),
    ("no views", written("object,view,psnr,ssim,flip\n"), "no views"),
    ("view twice", cell("000", "view"), "stands there 2 times"),
    ("other object", cell("car", "object"), "of object 'car'"),
    *((f"psnr {value}", cell(value), "psnr is not") for value in ("nan", "inf", "-inf", "", "dark", "1e999", -3, 101)),
    *((f"ssim {value}", cell(value, "ssim"), "ssim is not") for value in ("nan", 1.5, -2)),
    *((f"flip {value}", cell(value, "flip"), "flip is not") for value in ("nan", 1.5, -0.1)),
]
RECORDS = [
    *NO_FILES[1:4],
    *NO_FILES[6:],
    *NO_JSON,
    *(
        (f"{where} {index}", with_json(at(where, value)), where)
        for where in ("mesh.faces", "mesh.vertices")
        for index, value in enumerate((damage.NAN, damage.INF, -1, "12", None, True, [], 1.5, 10**30, ...))
    ),
    *((f"mesh {i}", with_json(at("mesh", value)), "mesh") for i, value in enumerate((None, 3, [], ...))),
    *((f"blender {i}", with_json(at("versions.blender", v)), "versions") for i, v in enumerate((None, 3, [], "", ...))),
]
HEADERS = [
    *(each for each in TENSOR_FILES[1:4] + TENSOR_FILES[6:] if "array" not in each[0]),
    *((f"steps {i}", own("steps", value), "steps: ") for i, value in enumerate((damage.NAN, -1, "1", None, 1.5, ...))),
    *((f"seconds {i}", own("training_seconds", v), "training_seconds: ") for i, v in enumerate((damage.NAN, "1", ...))),
    *(
        (f"resolution {i}", own("resolution", value), "resolution: ")
        for i, value in enumerate(([16], "ab", [0, 16], [damage.NAN, 3], None, ["1", "2"], ...))
    ),
    *(
        (f"backend {i}", own("backend", value), "backend: ")
        for i, value in enumerate((3, None, {}, "", "x" * 999, ...))
    ),
    *(
        (f"versions {i}", own("versions", value), "versions")
        for i, value in enumerate((3, None, [], {"torch": 3}, ...))
    ),
]


@pytest.mark.parametrize(
    "file, spoil, words",
    [
        pytest.param(file, *case[1:], id=f"{file}-{case[0]}")
        for file, cases in (("metrics.csv", METRICS), ("renders/train/record.json", RECORDS), (MODEL, HEADERS))
        for case in cases
    ],
)
def test_unfit_results_concern_their_object_alone(results, file, spoil, words):
    spoil(results / "chair" / file)
    end = sums_up(results)
    assert end.code == 0 and not end.err
    [line] = [line for line in end.out.splitlines() if line.startswith("chair: ")]
    assert line.startswith(f"chair: {file}: ") and words in line, line
    table = (results / "out" / "summary.csv").read_text()
    assert "\ncar,ok," in table and table.count("\n") == 5 and "\nchair,ok" not in table


# What the configuration names.
def objects_of(**source):
    return find_objects(Objects(**source))


@pytest.mark.parametrize("spoil, words", named(case for case in NO_FILES if case[2]))
def test_files_that_name_the_objects(tmp_path, spoil, words):
    """None is waited for, and none is read without end."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models/chair.obj").touch()
    for key, source in (
        ("table", {"table": str(tmp_path / "names")}),
        ("exclude", {"folder": str(tmp_path / "models"), "exclude": str(tmp_path / "names")}),
    ):
        (tmp_path / "names").write_text(f"object\tpath\nchair\t{tmp_path / 'models/chair.obj'}\n")
        spoil(tmp_path / "names")
        with pytest.raises(UserError) as caught:
            objects_of(**source)
        message = str(caught.value)
        assert message.startswith(f"objects.{key}: cannot read {tmp_path / 'names'}: ") and words in message
        damage.gone(tmp_path / "names")


def test_folders_that_lie_very_deep_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(1200):
        os.mkdir("d")
        os.chdir("d")
    os.chdir(tmp_path)
    with pytest.raises(UserError, match="^objects.folder: .: more than 200 folders within one another$"):
        objects_of(folder=".")
    damage.gone(tmp_path / "d")


def test_control_characters_and_formulas_go_nowhere(results):
    """A forged line in a log, an escape sequence, and what a spreadsheet would run."""
    (results / "chair" / "metrics.csv").unlink()
    (results / "logs" / "chair").mkdir(parents=True)
    words = 'error: object chair: \x1b]0;owned\x07\x1b[31m\x0cerror: =HYPERLINK("x")\u202e\n'
    (results / "logs" / "chair" / "train.log").write_text(words)
    (results / "logs" / "car").mkdir()
    (results / "car" / "metrics.csv").unlink()
    (results / "logs" / "car" / "train.log").write_text("error: object car: =cmd|'/c calc'!A1\n")
    end = sums_up(results)
    table = (results / "out" / "summary.csv").read_text()
    for text in (end.out, table):
        assert text.replace("\n", "").isprintable()
    assert "\\x1b[31m\\x0cerror: =HYPERLINK" in end.out
    assert "car,'=cmd|" in table
    shutil.copy(results / "out" / "summary.csv", results / "summary.csv")
    assert shows(results).code == 0
    for page in (results / "out" / "gallery").rglob("*.[hj]*"):
        text = page.read_text()
        assert not {"\x1b", "\x0c", "\u202e"} & set(text), page


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "＝", "＋", "－", "＠", "'=", "''@"])
def test_a_cell_that_is_a_formula_to_a_spreadsheet_is_written_as_text_and_read_as_it_was(tmp_path, start):
    cell = start + "cmd|'/c calc'!A1"
    write_table(tmp_path / "table.csv", ["reason"], [{"reason": cell}])
    assert (tmp_path / "table.csv").read_text().splitlines()[1] == f"'{cell}"
    assert read_table(tmp_path / "table.csv", ["reason"]) == [{"reason": cell}]


@given(st.binary(max_size=120) | st.text(alphabet='object\tresults\n",x', max_size=80).map(str.encode))
def test_any_table_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    refused_or(read_table, path, ["object"], "\t")
