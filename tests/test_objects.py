"""Objects from tables, folders and ShapeNet trees: what is found, its names, and what is refused."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counting import calls
from obj2ngp.common.files import UserError
from obj2ngp.common.settings import from_mapping
from obj2ngp.workflow import objects
from obj2ngp.workflow.objects import NAME, Object, Objects, pattern_of

ROOT = Path(__file__).resolve().parents[1]

per_example_folders = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def find_objects(source):
    """The objects of the section `objects` of a configuration."""
    return objects.find_objects(from_mapping(Objects, source))


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return str(path)


def write_table(folder, *rows, header=("object", "path")):
    table = folder / "objects.tsv"
    table.write_text("\n".join("\t".join(row) for row in (header, *rows)) + "\n", encoding="utf-8")
    return {"table": str(table)}


def refused(source, *words):
    """Whether `source` is refused with a message in which all of `words` stand."""
    with pytest.raises(UserError) as error:
        find_objects(source)
    assert all(word in str(error.value) for word in words), str(error.value)


# Tables


def test_table_with_overrides_comments_and_empty_lines(tmp_path):
    chair, car = touch(tmp_path / "a" / "my chair.obj"), touch(tmp_path / "car.OBJ")
    source = write_table(
        tmp_path,
        ("# a note",),
        ("chair", chair, "Z", ""),
        ("",),
        ("car", car, "", "8"),
        header=("object", "path", "render.up", "render.views.test"),
    )
    found = find_objects(source)
    assert list(found) == ["chair", "car"]
    assert found["chair"].path == chair and found["chair"].overrides == (("render.up", "Z"),)
    assert found["car"].overrides == (("render.views.test", "8"),)


def test_table_of_a_spreadsheet_with_byte_order_mark_and_quotes(tmp_path):
    path = touch(tmp_path / "chair.obj")
    (tmp_path / "t.tsv").write_bytes(f'\ufeffobject\tpath\r\nchair\t"{path}"\r\n'.encode())
    assert find_objects({"table": str(tmp_path / "t.tsv")})["chair"].path == path


@pytest.mark.parametrize("name", ["../chair", "a/b", ".hidden", "-rf", "a b", "a;b", "dots.", "", "{object}", "a\x00"])
def test_unsafe_name_is_refused_by_name(tmp_path, name):
    refused(write_table(tmp_path, (name, touch(tmp_path / "chair.obj"))), f"object {name!r}", "chair.obj")


@pytest.mark.parametrize("name", ["gallery", "summary.csv", "summary.log", "x" * 201])
def test_name_that_clashes_with_results_is_refused(tmp_path, name):
    refused(write_table(tmp_path, (name, touch(tmp_path / "chair.obj"))), name, "chair.obj")


def test_what_the_rules_make_beside_the_objects_is_the_name_of_none():
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    results, logs = (set(re.findall(pattern, rules)) for pattern in (r"\{RESULTS\}/([\w.]+)", r'"logs/([\w.]+)"'))
    assert results == objects.RESERVED and objects.LOGS >= logs > {"summary.log"}


def test_missing_and_wrong_files_are_refused_by_name(tmp_path):
    refused(write_table(tmp_path, ("chair", str(tmp_path / "no.obj"))), "chair", "no.obj")
    refused(write_table(tmp_path, ("chair", touch(tmp_path / "chair.stl"))), "chair", "chair.stl", ".obj", "nsvf")
    (tmp_path / "folder.obj").mkdir()
    refused(write_table(tmp_path, ("chair", str(tmp_path / "folder.obj"))), "chair", "folder.obj")
    refused(write_table(tmp_path, ("chair", "a\x1b.obj")), "chair", "unsafe")
    refused(write_table(tmp_path, ("chair", "")), "chair")
    refused(write_table(tmp_path, ("chair", "-x.obj")), "chair", "-x.obj: the path must not begin with -")
    for name in ("{a}", "<a>"):
        path = touch(tmp_path / f"{name}.obj")
        refused(write_table(tmp_path, ("chair", path)), f"{name}.obj: the path must not hold")
    assert find_objects(write_table(tmp_path, ("chair", touch(tmp_path / "<1> > a.obj"))))


def test_double_names_and_paths_are_refused_by_name(tmp_path):
    one, two = touch(tmp_path / "one.obj"), touch(tmp_path / "two.obj")
    refused(write_table(tmp_path, ("chair", one), ("chair", two)), "chair", one, two)
    detour = str(tmp_path / ".." / tmp_path.name / "one.obj")
    refused(write_table(tmp_path, ("a", one), ("b", detour)), "object b", "object a")


@pytest.mark.parametrize(
    "header, words",
    [
        (("object",), ["column 'path'"]),
        (("name", "path"), ["column 'object'"]),
        (("object", "path", "render.up", "render.up"), ["twice"]),
        (("object", "path", "render.up"), ["line 2", "2 cells"]),
    ],
)
def test_malformed_table(tmp_path, header, words):
    path = touch(tmp_path / "a.obj")
    refused(write_table(tmp_path, ("a", path), header=header), "objects.tsv", *words)


def test_unreadable_and_empty_tables(tmp_path):
    refused({"table": str(tmp_path / "none.tsv")}, "none.tsv")
    refused(write_table(tmp_path), "no object", "objects.tsv")
    (tmp_path / "bytes.tsv").write_bytes(b"object\tpath\n\xff\xfe\n")
    refused({"table": str(tmp_path / "bytes.tsv")}, "bytes.tsv")
    (tmp_path / "empty.tsv").touch()
    refused({"table": str(tmp_path / "empty.tsv")}, "empty.tsv", "column 'object'")


def test_exactly_one_source(tmp_path):
    refused({"table": "a", "folder": "b"}, "table and folder")


def test_without_a_source_the_message_says_what_to_do():
    refused({}, "--config 'objects={folder: path/to/models}'", "make demo")


def test_excluded_objects_are_left_out_unchecked(tmp_path):
    source = write_table(tmp_path, ("chair", touch(tmp_path / "chair.obj")), ("broken", "none.obj"))
    (tmp_path / "broken.txt").write_text("broken\n")
    for exclude in (["broken"], str(tmp_path / "broken.txt")):
        assert list(find_objects({**source, "exclude": exclude})) == ["chair"]
    refused({**source, "exclude": ["brokn"]}, "objects.exclude", "brokn")
    refused({**source, "exclude": ["chair", "broken"]}, "no object")


def test_objects_that_a_run_does_not_need_are_counted_and_left_unchecked(tmp_path):
    source = write_table(tmp_path, ("chair", touch(tmp_path / "chair.obj")), ("broken", "none.obj"), ("cow", "no.obj"))
    found = objects.find_objects(from_mapping(Objects, {**source, "exclude": ["cow"]}), lambda name: name == "chair")
    assert list(found) == ["chair"] and found.total == 2


# Folders


def test_folder_is_searched_at_any_depth(tmp_path):
    for path in (
        "chair.obj",
        "cars/police.obj",
        "cars/taxi/taxi.obj",
        "v1/02958343/abc/model.obj",
        "v2/02958343/abc/models/model_normalized.obj",
        "with space & more.obj",
        "Stühle/樽.obj",
        ".trash/old.obj",
        "cars/police.mtl",
    ):
        touch(tmp_path / path)
    assert sorted(find_objects({"folder": str(tmp_path)})) == [
        "Stühle-樽",
        "cars-police",
        "cars-taxi",
        "chair",
        "v1-02958343-abc",
        "v2-02958343-abc",
        "with_space___more",
    ]


def test_folder_names_that_coincide_are_refused_with_both_files(tmp_path):
    one, two = touch(tmp_path / "a b.obj"), touch(tmp_path / "a_b.obj")
    refused({"folder": str(tmp_path)}, "a_b", one, two)


def test_links_are_followed_once_and_never_in_a_circle(tmp_path):
    """Links to itself, to a parent, between two folders, and out of the folder twice."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    for path in (root / "a" / "one.obj", root / "b" / "two.obj", outside / "deep" / "three.obj"):
        touch(path)
    found = find_objects({"folder": str(root)})
    for link, target in (
        (root / "a" / "self", "."),
        (root / "a" / "up", ".."),
        (root / "a" / "to_b", "../b"),
        (root / "b" / "to_a", "../a"),
        (root / "0first", "a"),
        (root / "away", str(outside)),
        (root / "zzz", str(outside)),
        (outside / "back", str(root)),
    ):
        link.symlink_to(target)
    linked = find_objects({"folder": str(root)})
    assert linked == {**found, "away-deep-three": linked["away-deep-three"]} and len(found) == 2
    (tmp_path / "link").symlink_to(root)
    assert list(find_objects({"folder": str(tmp_path / "link")})) == list(linked)


def test_folder_missing_or_without_models(tmp_path):
    refused({"folder": str(tmp_path / "none")}, "none")
    refused({"folder": str(tmp_path)}, "no object")


file_names = st.text(st.characters(exclude_characters="/\x00", exclude_categories=("Cs",)), min_size=1, max_size=12)


@given(paths=st.sets(st.lists(file_names, min_size=1, max_size=3).map(tuple), min_size=1, max_size=6))
@per_example_folders
def test_any_folder_gives_safe_unique_names_that_stay_or_a_reason(tmp_path_factory, paths):
    root = tmp_path_factory.mktemp("any")
    made = []
    for parts in paths:
        file = root.joinpath(*parts).with_name(parts[-1] + ".obj")
        if ".." not in parts and "." not in parts:
            touch(file)
            made.append(file)
    first = touch(root / "aaa.obj")
    try:
        found = find_objects({"folder": str(root)})
    except UserError as error:
        assert str(error).startswith("object ")
        return
    assert all(NAME.fullmatch(name) and "/" not in name for name in found)
    # A file added changes the name of no other.
    touch(root / "zzz" / "one more.obj")
    more = find_objects({"folder": str(root)})
    assert {name: item.path for name, item in more.items() if name in found} == {
        name: item.path for name, item in found.items()
    }
    assert found["aaa"].path == first


# Image sets


@pytest.fixture
def image_sets(tmp_path):
    """One of each layout, by name, and what is none."""
    root = tmp_path / "sets"
    for path in (
        "lego/transforms_train.json",
        "lego/train/r_0.png",
        "room/fox/transforms.json",
        "tutorial/train/transforms.json",
        "Wineholder/intrinsics.txt",
        "Wineholder/bbox.txt",
        "Wineholder/pose/0_0.txt",
        "Wineholder/rgb/0_0.png",
        "cars_train/abc/intrinsics.txt",
        "cars_train/abc/pose/0.txt",
        "cars_train/abc/rgb/0.png",
        "cars_test/abc/intrinsics.txt",
        "cars_test/abc/pose/0.txt",
        "cars_test/abc/rgb/0.png",
        "cars_test/def/intrinsics.txt",
        "cars_test/def/pose/0.txt",
        "cars_test/def/rgb/0.png",
        "results/chair/renders/transforms_train.json",
        "results/chair/renders/train/record.json",
        "other/notes.json",
        "other/chair.obj",
    ):
        touch(root / path)
    return root


SETS = ["Wineholder", "cars_test-def", "cars_train-abc", "lego", "room-fox", "tutorial"]


def test_folders_are_searched_for_image_sets(image_sets):
    """Splits of one object are one object; what the workflow itself has made is none."""
    found = find_objects({"views": str(image_sets)})
    assert sorted(found) == SETS and not any(item.is_model for item in found.values())
    both = find_objects({"folder": str(image_sets)})
    assert sorted(both) == sorted([*SETS, "other-chair"])
    assert both["other-chair"].is_model and both["lego"].path == str(image_sets / "lego")


def test_what_was_exported_and_is_shown_is_no_object(image_sets):
    """Of a folder of results, only what is no result."""
    for path in (
        *(f"results/{name}" for name in ("objects.tsv", "summary.csv", "failures.csv", "others/car.obj")),
        *(f"results/{name}/index.html" for name in ("gallery", "plots")),
        "results/chair/provenance.jsonl",
        *(f"results/{place}chair/export/mesh/chair.obj" for place in ("", "gallery/files/")),
        *(f"results/{place}chair/export/nerfstudio/transforms.json" for place in ("", "gallery/files/")),
    ):
        touch(image_sets / path)
    assert sorted(find_objects({"folder": str(image_sets)})) == sorted([*SETS, "other-chair", "results-others-car"])


def test_a_set_may_be_the_folder_itself(image_sets):
    assert list(find_objects({"views": str(image_sets / "lego")})) == ["lego"]


def test_a_table_takes_models_and_sets(image_sets, tmp_path):
    rows = [
        ("lego", str(image_sets / "lego"), ""),
        ("fox", str(image_sets / "room/fox/transforms.json"), ""),
        ("chair", str(image_sets / "other/chair.obj"), ""),
        ("stated", str(image_sets / "other"), "nsvf"),
    ]
    found = find_objects(write_table(tmp_path, *rows, header=("object", "path", "views.kind")))
    assert [item.is_model for item in found.values()] == [False, False, True, False]
    refused(
        write_table(tmp_path, ("a", str(image_sets / "other"))), "object a: ", "neither an .obj file nor a known set"
    )
    refused(write_table(tmp_path, ("a", str(image_sets / "none"))), "object a: there is no file or folder ")


@pytest.mark.parametrize("models, sets", [(3, 0), (0, 3), (2, 5), (5, 2)])
def test_names_tell_models_from_sets(models, sets):
    items = [Object(f"m.{i}", f"{i}.obj") for i in range(models)] + [Object(f"m.{i}+", f"set{i}") for i in range(sets)]
    for is_model in (True, False):
        pattern = re.compile(f"results/(?P<object>{pattern_of(items, is_model)})/renders")
        for item in items:
            assert bool(pattern.fullmatch(f"results/{item.name}/renders")) == (item.is_model == is_model)


# ShapeNet


@pytest.fixture
def shapenet(tmp_path):
    root = tmp_path / "ShapeNet"
    touch(root / "02958343" / "car1" / "model.obj")
    touch(root / "02958343" / "car2" / "models" / "model_normalized.obj")
    touch(root / "02958343" / "both" / "model.obj")
    touch(root / "02958343" / "both" / "models" / "model_normalized.obj")
    touch(root / "03001627" / "chair1" / "model.obj")
    (root / "03001627" / "without_mesh").mkdir()
    touch(root / "03001627" / "03001627.csv")
    touch(root / "taxonomy.json")
    touch(root / "notes" / "chair" / "model.obj")
    return root


def shapenet_objects(root, **choice):
    return find_objects({"shapenet": {"root": str(root), **choice}})


def test_both_versions_are_told_apart(shapenet):
    found = shapenet_objects(shapenet)
    assert {name: item.path.removeprefix(str(shapenet)) for name, item in found.items()} == {
        "02958343-both": "/02958343/both/models/model_normalized.obj",
        "02958343-car1": "/02958343/car1/model.obj",
        "02958343-car2": "/02958343/car2/models/model_normalized.obj",
        "03001627-chair1": "/03001627/chair1/model.obj",
    }


def test_releases_side_by_side_under_one_root(tmp_path):
    touch(tmp_path / "ShapeNetCore.v1" / "02958343" / "old" / "model.obj")
    touch(tmp_path / "ShapeNetCore.v1" / "02958343" / "both" / "model.obj")
    both = touch(tmp_path / "ShapeNetCore.v2" / "02958343" / "both" / "models" / "model_normalized.obj")
    found = shapenet_objects(tmp_path)
    assert sorted(found) == ["02958343-both", "02958343-old"]
    assert found["02958343-both"].path == both


def test_choice_of_synsets_models_and_limit(shapenet, tmp_path):
    assert list(shapenet_objects(shapenet, synsets=["03001627"])) == ["03001627-chair1"]
    assert list(shapenet_objects(shapenet, models=["car2", "03001627/chair1"])) == ["02958343-car2", "03001627-chair1"]
    assert list(shapenet_objects(shapenet, limit=2)) == ["02958343-both", "02958343-car1"]
    chosen = tmp_path / "train.txt"
    chosen.write_text("car1\ncar2\n")
    assert list(shapenet_objects(shapenet, models=str(chosen), limit=1)) == ["02958343-car1"]


def test_what_was_chosen_and_is_missing_is_named(shapenet):
    refused({"shapenet": {"root": str(shapenet / "none")}}, "none")
    refused({"shapenet": {"root": str(shapenet), "synsets": ["99999999"]}}, "99999999")
    refused({"shapenet": {"root": str(shapenet), "models": ["car1", "car9"]}}, "car9")
    refused({"shapenet": {"root": str(shapenet), "models": ["03001627/car1"]}}, "03001627/car1")
    refused({"shapenet": {"root": str(shapenet), "models": ["without_mesh"]}}, "without_mesh")
    refused({"shapenet": {"root": str(shapenet), "models": "none.txt"}}, "none.txt")


def test_reading_a_table_takes_work_in_proportion_to_its_rows(tmp_path):
    """So that the table of a whole ShapeNet, 51,300 objects, is read in a second."""

    def work(count):
        folder = tmp_path / str(count)
        folder.mkdir()
        for model in range(count):
            (folder / f"{model}.obj").touch()
        rows = [(f"02958343-{model}", str(folder / f"{model}.obj")) for model in range(count)]
        return calls(find_objects, write_table(folder, *rows))

    assert work(2000) < 2.2 * work(1000)
