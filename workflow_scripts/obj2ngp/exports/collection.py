"""All objects' weights in one collection: WebDataset shards and an index.

    collection/000000.tar, 000001.tar, ...    the files of the format `weights`, an object's one after another
    collection/index.parquet                  a row an object

Objects are ordered by a hash of their names, so that every shard is a fair sample of them. Nothing in a shard says when
or by whom it was made: the same files give the same shards, byte by byte.
"""

import hashlib
import json
import os
import tarfile

import pyarrow
import pyarrow.parquet

from obj2ngp.common.checks import checked, object_name, open_file, read_json
from obj2ngp.common.files import UserError, atomic_folder
from obj2ngp.common.tables import read_table
from obj2ngp.common.tensor_files import TRAINED, read_header

from .weights import ABOUT, key_of

SHARD_BYTES = 1_000_000_000  # a shard ends before it grows larger
MEMBER_BYTES = 512  # what a tar needs for each file on top, and rounds its size up to
EXAMPLE = "export/weights"  # an object's folder of files, in its results


def objects_in(table):
    """The names of the objects that have an example, by the table of objects, ordered by a hash. Raises UserError."""
    rows = read_table(table, ["object", "results"], "\t")
    names = [row["object"] for row in rows if EXAMPLE in row["results"].split()]
    for name in names:
        checked(name, object_name(), table)
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())


def files_of(results, name):
    """The paths of an object's files, ordered by name. Raises UserError where its model or what tells of it is missing.

    Snakemake leaves a file of its own in each folder that a rule makes, hidden.
    """
    folder, key = results / name / EXAMPLE, key_of(name)
    files = sorted(path for path in folder.glob("*") if path.name.startswith(f"{key}."))
    missing = {f"{key}.json", f"{key}.safetensors"} - {path.name for path in files}
    if missing:
        raise UserError(f"object {name}: {folder}: no example of its weights: {min(missing)} is missing")
    return files


def add(shard, path):
    """Add the file `path` to the tar `shard` under its name alone."""
    member = tarfile.TarInfo(path.name)
    with open_file(path) as file:
        member.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        shard.addfile(member, file)


def read_about(results, name):
    """What the JSON file of an object's example says. Raises UserError where it, or the model beside it, is unfit."""
    path = results / name / EXAMPLE / f"{key_of(name)}.json"
    about = read_json(path, ABOUT)
    if about["object"] != name:
        raise UserError(f"{path}: object: {about['object']}, in the results of {name}")
    read_header(path.with_name(f"{key_of(name)}.safetensors"), TRAINED)
    return about


def row_of(name, shard, size, about):
    """An object's row in the index: `about` is the content of its JSON file."""
    training = about["training"]
    return {
        "object": name,
        "key": key_of(name),
        "shard": shard,
        "bytes": size,
        "category": about["category"],
        **about["metrics"],
        **{f"training_{figure}": training.get(figure) for figure in ("steps", "training_seconds", "backend")},
        "source": about["source"].get("model"),
        "settings": json.dumps({"train": training.get("config"), "render": about["source"].get("settings")}),
    }


def write_index(path, rows):
    """Write rows, in which columns may be missing, as a parquet file."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = {name: pyarrow.array([row.get(name) for row in rows]) for name in columns}
    with open(path, "wb") as file:  # a path itself would have to be UTF-8
        pyarrow.parquet.write_table(pyarrow.table(table), file)


def shards_of(results, names, shard_bytes):
    """Lists of objects' names, in order, that fill a shard each; one may exceed `shard_bytes` if it is alone."""
    shards: list[list[str]] = []
    filled = 0
    for name in names:
        size = sum(path.stat().st_size + 2 * MEMBER_BYTES for path in files_of(results, name))
        if not shards or filled + size > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    return shards


def write_collection(results, table, out, shard_bytes=SHARD_BYTES):
    """Write the collection of the objects in a `table` (objects.tsv), whose results lie in `results`, to `out`.

    One file is in memory at a time. Raises UserError naming an object whose example is missing.
    """
    rows = []
    shards = shards_of(results, objects_in(table), shard_bytes)
    with atomic_folder(out) as folder:
        for number, names in enumerate(shards):
            shard = f"{number:06d}.tar"
            with tarfile.open(folder / shard, "w", format=tarfile.PAX_FORMAT) as file:
                for name in names:
                    files = files_of(results, name)
                    for path in files:
                        add(file, path)
                    rows.append(
                        row_of(name, shard, sum(path.stat().st_size for path in files), read_about(results, name))
                    )
        write_index(folder / "index.parquet", rows)
    print(f"{len(rows)} objects in {len(shards)} shards", flush=True)
