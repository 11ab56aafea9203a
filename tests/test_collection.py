"""The collection of all objects' weights, read as WebDataset reads shards."""

import csv
import io
import itertools
import json
import os
import re
import shutil
import tarfile

import pyarrow.parquet
import pytest
from safetensors.numpy import load

import collect
from export_scene import write_results
from obj2ngp.common.files import UserError
from obj2ngp.exports.collection import write_collection
from obj2ngp.exports.weights import mean_metrics
from test_exports import exported

NAMES = ["02958343-a", "02958343-b.c", "03001627-d", "lamp", "lamp.2"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results of objects with an example each, and of one without; and their table."""
    folder = tmp_path_factory.mktemp("results")
    exported(write_results(folder / NAMES[0]), "weights", thumbnails=1)
    for name in NAMES[1:]:
        shutil.copytree(folder / NAMES[0], folder / name)
        table = folder / name / "metrics.csv"
        table.write_text(table.read_text().replace(NAMES[0], name))
        (exported(folder / name, "weights", thumbnails=1) / ".snakemake_timestamp").touch()
    with open(folder / "objects.tsv", "w", newline="") as file:
        rows = [
            ["object", "results"],
            *([name, "metrics.csv export/weights"] for name in NAMES),
            ["other", "metrics.csv"],
        ]
        csv.writer(file, delimiter="\t").writerows(rows)
    return folder


def examples(shard):
    """What WebDataset makes of a shard: files that follow one another with the same name up to the first dot."""
    with tarfile.open(shard) as file:
        members = [(re.fullmatch(r"([^.]+)\.(.+)", member.name).groups(), member) for member in file]
        for key, group in itertools.groupby(members, lambda entry: entry[0][0]):
            yield key, {extension: file.extractfile(member).read() for (_, extension), member in group}


@pytest.mark.parametrize("name", ["lamp.json", "lamp.safetensors", "lamp.more"])
def test_a_fifo_among_the_files_is_refused_and_not_waited_for(results, tmp_path, name):
    shutil.copytree(results / "lamp", tmp_path / "lamp")
    (tmp_path / "objects.tsv").write_text("object\tresults\nlamp\texport/weights\n")
    path = tmp_path / "lamp/export/weights" / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    with pytest.raises(UserError, match=f"{name}: not a regular file"):
        write_collection(tmp_path, tmp_path / "objects.tsv", tmp_path / "collection")


def test_shards_and_index(results, tmp_path):
    size = (results / NAMES[0] / "model.safetensors").stat().st_size
    write_collection(results, results / "objects.tsv", tmp_path / "collection", 2.5 * size)
    shards = sorted((tmp_path / "collection").glob("*.tar"))
    assert [shard.name for shard in shards] == ["000000.tar", "000001.tar", "000002.tar"]
    assert all(shard.stat().st_size <= 2.5 * size + tarfile.RECORDSIZE for shard in shards)
    read = [(shard.name, key, example) for shard in shards for key, example in examples(shard)]
    assert len({key for _, key, _ in read}) == len(read) == len(NAMES)
    index = pyarrow.parquet.read_table(tmp_path / "collection/index.parquet").to_pylist()
    assert [(row["shard"], row["key"]) for row in index] == [(shard, key) for shard, key, _ in read]
    for row, (_, _, example) in zip(index, read, strict=True):
        assert set(example) == {"json", "safetensors", "0.png"}
        about = json.loads(example["json"])
        assert about["object"] == row["object"] in NAMES and row["psnr"] == 31
        assert load(example["safetensors"])["weights"].ndim == 1
        assert row["bytes"] == sum(map(len, example.values()))
        assert json.loads(row["settings"])["train"]["network"]["levels"] == 4
    categories = {row["object"]: row["category"] for row in index}
    assert categories["03001627-d"] == "03001627" and categories["lamp"] is None


def test_a_folder_whose_name_is_no_text(results, tmp_path):
    out = tmp_path / os.fsdecode(b"\xff")
    write_collection(results, results / "objects.tsv", out)
    assert len(pyarrow.parquet.read_table((out / "index.parquet").open("rb"))) == len(NAMES)


def test_the_same_files_give_the_same_bytes(results, tmp_path):
    """Whenever they are written, and whoever owns them."""
    contents = []
    for name in ("one", "two"):
        collect.main(
            [*("--results", str(results), "--objects", str(results / "objects.tsv")), *("--out", str(tmp_path / name))]
        )
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
        for path in results.glob("*/export/weights/*"):
            path.touch()
    assert contents[0] == contents[1] and len(contents[0]) == 2
    with tarfile.open(fileobj=io.BytesIO(contents[0]["000000.tar"])) as file:
        assert {(member.mtime, member.uid, member.uname) for member in file} == {(0, 0, "")}


@pytest.mark.parametrize(
    "where, content, words",
    [
        ("objects.tsv", "object\tresults\n../lamp\texport/weights\n", 'objects.tsv: "../lamp" is no name'),
        ("objects.tsv", "object\tresults\nlamp\n", "objects.tsv: line 2: 1 cells, 2 in the header"),
        ("objects.tsv", "object\nlamp\n", "objects.tsv: needs one column 'results'"),
        ("lamp.json", "[]", "lamp.json: [] holds no keys"),
        ("lamp.json", "{", "lamp.json: not valid JSON"),
        ("lamp.json", b"\xff", "lamp.json: not UTF-8"),
        ("lamp.json", {"metrics": {"psnr": "high"}}, 'lamp.json: metrics.psnr: "high" is no number'),
        ("lamp.json", {"training": 3}, "lamp.json: training: 3 holds no keys"),
        ("lamp.json", {"training": {"steps": "many"}}, 'lamp.json: training.steps: "many" is no number'),
        ("lamp.json", {"category": 3}, "lamp.json: category: 3 is no text"),
        ("lamp.json", {"source": None}, "lamp.json: source: null holds no keys"),
        ("lamp.json", {"metrics": {"psnr": 10**30}}, "lamp.json: metrics.psnr: 1000"),
        ("lamp.json", {"object": "chair"}, "lamp.json: object: chair, in the results of lamp"),
        ("lamp.safetensors", b"", "lamp.safetensors: not a safetensors file of ours"),
        ("lamp.safetensors", b"garbage" * 99, "lamp.safetensors: not a safetensors file of ours"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(results, tmp_path, where, content, words):
    shutil.copytree(results / "lamp", tmp_path / "lamp")
    (tmp_path / "objects.tsv").write_text("object\tresults\nlamp\texport/weights\n")
    path = tmp_path / where if where.endswith("tsv") else tmp_path / "lamp/export/weights" / where
    if isinstance(content, dict):
        content = json.dumps({**json.loads(path.read_text()), **content})
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=re.escape(words)):
        write_collection(tmp_path, tmp_path / "objects.tsv", tmp_path / "collection")
    assert not (tmp_path / "collection").exists()


def test_a_model_that_is_missing_is_named(results, tmp_path):
    shutil.copytree(results / "lamp", tmp_path / "lamp")
    (tmp_path / "lamp/export/weights/lamp.safetensors").unlink()
    (tmp_path / "objects.tsv").write_text("object\tresults\nlamp\texport/weights\n")
    with pytest.raises(UserError, match="object lamp: .*: lamp.safetensors is missing"):
        write_collection(tmp_path, tmp_path / "objects.tsv", tmp_path / "collection")


@pytest.mark.parametrize(
    "row, words",
    [
        ("lamp,001,nan", "psnr: not all"),
        ("lamp,001,1e999", "psnr: not all"),
        ("lamp,001,x", "could not"),
        ("chair,001,30", "of object 'chair'"),
    ],
)
def test_metrics_that_are_no_numbers_or_another_object_s_are_not_passed_on(tmp_path, row, words):
    (tmp_path / "metrics.csv").write_text(f"object,view,psnr\nlamp,000,30\n{row}\n")
    with pytest.raises(UserError, match=f"metrics.csv: {words}"):
        mean_metrics(tmp_path / "metrics.csv", "lamp")


def test_a_missing_example_is_named(results, tmp_path):
    table = tmp_path / "objects.tsv"
    table.write_text("object\tresults\nlost\texport/weights\n")
    with pytest.raises(UserError, match="object lost: .*no example of its weights"):
        write_collection(results, table, tmp_path / "collection")
    assert not (tmp_path / "collection").exists()
