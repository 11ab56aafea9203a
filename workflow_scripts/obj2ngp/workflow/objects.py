"""The objects of a run: names, and `.obj` files or sets of posed images, from a table, folders or a ShapeNet tree.

Names are those of the objects' result folders, so they are unique, safe as file names, and follow
from an object's own path or table row alone: adding objects renames none. Everything that is
refused is a `UserError` that names the object and the file.
"""

import csv
import io
import os
import re
import unicodedata
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Optional, Tuple, Union

from obj2ngp.common.checks import NAME, read_text
from obj2ngp.common.files import UserError
from obj2ngp.common.records import FILE
from obj2ngp.common.settings import SNAKEMAKES, setting
from obj2ngp.views import kinds

PERIODIC = re.compile(r"(.+?)\1{19}$")  # Snakemake takes such an end for an endless recursion
LONGEST_NAME = 200  # bytes; file systems allow 255, and temporary siblings are a little longer
DEEPEST = 200  # folders within one another, which Python searches by calls within one another
RESERVED = {  # what else lies in the folder of the results
    *("failures.csv", "objects.tsv", "parameters.json", "summary.csv"),
    *("collection", "excerpt", "gallery", "plots", "slices"),
}
RESULTS = {name for name in RESERVED if name.endswith((".csv", ".tsv"))}  # tells a folder of results from others
COMMON = "collection excerpt gallery object_table parameters plots summary verify".split()  # rules for all objects
LOGS = {f"{rule}.{end}" for rule in COMMON for end in ("log", "benchmark.tsv")}  # what else lies in that of the logs

KIND = "views.kind"  # a column that says what kind of set an object is

SYNSET = re.compile(r"\d{8}")
RELEASE = re.compile(r"ShapeNetCore\.v\d.*", re.IGNORECASE)
V1_MODEL = "model.obj"
V2_MODEL = os.path.join("models", "model_normalized.obj")


Names = Optional[Union[Tuple[str, ...], str]]


@dataclass(frozen=True)
class ShapeNet:
    """Objects of a ShapeNet folder as downloaded."""

    root: str = setting(
        MISSING,
        "ShapeNet folder: `<synset>/<model>/model.obj` (version 1), `<synset>/<model>/models/model_normalized.obj`"
        " (version 2), both mixed, or folders `ShapeNetCore.v*` with them; a model that is there in both versions is"
        " taken from version 2",
    )
    synsets: Names = setting(
        None, 'list of synsets **in quotes** (`["03001627"]`), or a file with one a line; null: all'
    )
    models: Names = setting(
        None, "list of models (`<model>` or `<synset>/<model>`), or a file with one a line; null: all"
    )
    limit: Optional[int] = setting(None, "keeps this many objects, the first by name; null: all", 1, 10**6)


@dataclass(frozen=True)
class Objects:
    """Where the objects come from: one of `table`, `folder`, `views` and `shapenet`."""

    table: Optional[str] = setting(None, "tab-separated file with the columns `object` and `path`, see below")
    folder: Optional[str] = setting(
        None, "folder that is searched for `.obj` files and sets of posed images at any depth"
    )
    views: Optional[str] = setting(None, "folder that is searched for sets of posed images alone, at any depth")
    shapenet: Optional[ShapeNet] = None
    exclude: Names = setting(
        None,
        "list of names to leave out, or a file with one a line: objects that cannot be rendered, once the others are"
        " done",
    )


@dataclass(frozen=True)
class Object:
    """One object: `overrides` holds pairs of a dotted configuration key and its text."""

    name: str
    path: str
    overrides: tuple = ()

    @property
    def is_model(self):
        """Whether it is an `.obj` file to be rendered; else it is a set of posed images, a folder or a file."""
        return _is_model_file(os.path.basename(self.path))


def find_objects(source, wanted=None):
    """The objects that `source` (Objects) names, as `Found`. Relative paths start at the working directory."""
    readers = {"table": read_table, "folder": scan_folder, "views": scan_views, "shapenet": scan_shapenet}
    named = [kind for kind in readers if getattr(source, kind) is not None]
    if not named:
        raise UserError(
            "objects: there are none yet; name a folder with .obj files or image sets, as in"
            " --config 'objects={folder: path/to/models}', or run `make demo`"
        )
    if len(named) > 1:
        raise UserError(f"objects: name one of {', '.join(readers)}, not {' and '.join(named)} (null unsets one)")
    [kind] = named
    value = getattr(source, kind)
    found = Found(wanted)
    found.add(readers[kind](value), _names(source.exclude, "objects.exclude") or set())
    if not found.total:
        raise UserError(f"objects.{kind}: no object in {value.root if kind == 'shapenet' else value}")
    return found


class Found(dict):
    """Objects by name, each of which is known to be good.

    `wanted` tells by its name whether a run needs an object, so that a machine which makes a slice of very many need
    not look at the others' files; None: it needs all. `total` counts the others, too.
    """

    def __init__(self, wanted=None):
        super().__init__()
        self.total = 0
        self._wanted = wanted
        self._paths = {}

    def add(self, found, excluded):
        """Take the Objects of `found` whose names are not in `excluded`, in which no other name may be."""
        missing, chosen = set(excluded), []
        for item in found:
            missing.discard(item.name)
            if item.name not in excluded:
                self.total += 1
                if self._wanted is None or self._wanted(item.name):
                    chosen.append(item)
        for name in sorted(missing):
            raise UserError(f"objects.exclude: there is no object {name}")
        for item in chosen:
            self._add(item)

    def _add(self, item):
        _check_name(item)
        _check_path(item)
        twin = self.setdefault(item.name, item)
        if twin is not item:
            raise UserError(f"object {item.name}: two objects have this name: {twin.path} and {item.path}")
        first = self._paths.setdefault(os.path.abspath(item.path), item.name)
        if first != item.name:
            raise UserError(f"object {item.name}: {item.path} is already the file of object {first}")


def pattern_of(objects, is_model):
    """A regular expression for the names of those of `objects` that are .obj files, or of the others, before a slash.

    It names the fewer: none where all objects are of one kind.
    """
    objects = list(objects)
    wanted = [re.escape(item.name) for item in objects if item.is_model == is_model]
    others = [re.escape(item.name) for item in objects if item.is_model != is_model]
    if not wanted:
        return "(?!)"  # which matches nothing
    if len(wanted) <= len(others):
        return "|".join(wanted)
    return (f"(?!(?:{'|'.join(others)})/)" if others else "") + NAME.pattern


def read_table(table):
    """Objects of a tab-separated file with the columns `object`, `path` and any overrides.

    An override's column is named after the configuration key, such as `render.up`; an empty cell
    overrides nothing. Empty lines and lines that start with # are skipped.
    """
    lines = io.StringIO(_read("objects.table", table), newline="")
    try:
        yield from _objects_of(table, enumerate(csv.reader(lines, delimiter="\t"), 1))
    except csv.Error as error:
        raise UserError(f"objects.table: cannot read {table}: {error}") from error


def _read(key, path):
    """The text of the file that the configuration names at `key`. Raises UserError."""
    try:
        return read_text(path)
    except UserError as error:
        raise UserError(f"{key}: cannot read {error}") from error


def _objects_of(table, lines):
    """The objects of the numbered `lines` (lists of cells) of a table. They are read one by one: there may be many."""
    stripped = ((n, [cell.strip() for cell in row]) for n, row in lines if row and not row[0].startswith("#"))
    rows = ((n, row) for n, row in stripped if any(row))
    _, header = next(rows, (0, []))
    for column in ("object", "path"):
        if header.count(column) != 1:
            raise UserError(f"{table}: the header needs one tab-separated column '{column}'")
    if len(set(header)) != len(header):
        raise UserError(f"{table}: the header names a column twice: {', '.join(header)}")
    for number, row in rows:
        if len(row) != len(header):
            raise UserError(f"{table}, line {number}: {len(row)} cells, {len(header)} in the header")
        cells = dict(zip(header, row, strict=True))
        name, path = cells.pop("object"), cells.pop("path")
        yield Object(name, path, tuple((key, cell) for key, cell in cells.items() if cell))


def scan_folder(folder):
    """Objects of all `.obj` files and sets of posed images below `folder`, in the order of their names.

    `cars/police.obj` and the set in the folder `cars/police` are called `cars-police`; a file that is called like its
    own folder, or like a ShapeNet model, adds nothing to the folder's name. Characters that are unsafe in a file name
    become `_`. Links are followed; a folder that several paths lead to is searched once.
    """
    return _scan(folder, "objects.folder", _models)


def scan_views(folder):
    """Objects of all sets of posed images below `folder`, as `scan_folder` has them."""
    return _scan(folder, "objects.views", lambda names: [])


def _models(names):
    return filter(_is_model_file, names)


def _scan(folder, key, models):
    if not os.path.isdir(folder):
        raise UserError(f"{key}: {folder} is not a folder")
    for file in sorted(_found(folder, key, models)):
        parts = [*file.relative_to(folder).parts]
        if _is_model_file(file.name):
            parts[-1] = file.stem
        while len(parts) > 1 and parts[-1] in (parts[-2], "model", "models", "model_normalized"):
            parts.pop()
        name = unicodedata.normalize("NFC", "-".join(parts or [Path(os.path.abspath(folder)).name]))
        yield Object(re.sub(r"^\W|[^\w.+-]", _safe, name), str(file))


def _safe(found):
    """What stands in a name for a character of a path: itself for a mark, without which letters would look alike."""
    inner = found.start() > 0 and NAME.fullmatch("a" + found.group())
    return found.group() if inner and unicodedata.category(found.group()).startswith("M") else "_"


def _found(folder, key, models):
    """The files that `models` chooses among the names in a folder, and the sets, at or below `folder`.

    A folder's own path comes before links to it, so that a link renames nothing. Not searched are a set's folder, and
    what is in a folder of results: meshes and sets are exported, and a gallery shows them.
    """
    visited, links = set(), [folder]
    while links:
        found = []
        for parent, folders, names in os.walk(links.pop(0), onerror=lambda error: _refuse(key, error)):
            if parent.count(os.sep) > DEEPEST:
                raise UserError(f"{key}: {folder}: more than {DEEPEST} folders within one another")
            if not _is_new(parent, visited) or FILE in names:
                folders.clear()
                continue
            if RESULTS <= {*names}:
                folders[:] = set(folders) - RESERVED
            yield from (Path(parent, name) for name in models(names))
            if kinds.recognise_folder(parent, {*folders, *names}):
                folders.clear()
                if kinds.is_whole(parent):
                    yield Path(parent)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            found += filter(os.path.islink, (os.path.join(parent, name) for name in folders))
        links += sorted(found)


def _is_new(folder, visited):
    """Whether the folder is not in `visited`, where it is then."""
    status = os.stat(folder)
    identity = status.st_dev, status.st_ino
    new = identity not in visited
    visited.add(identity)
    return new


def scan_shapenet(source):
    """Objects `<synset>-<model>` of the ShapeNet tree that the `ShapeNet` in `source` describes."""
    root = source.root
    folders = _synset_folders(root, _names(source.synsets, "objects.shapenet.synsets"))
    wanted = _names(source.models, "objects.shapenet.models")
    found, seen = {}, set()
    for synset, folder in folders:
        for model in _subfolders(folder):
            if wanted is not None:
                keys = {model, f"{synset}/{model}"} & wanted
                if not keys:
                    continue
                seen |= keys
            path = _shapenet_model(os.path.join(folder, model))
            name = f"{synset}-{model}"
            if path and (name not in found or path.endswith(V2_MODEL)):
                found[name] = path
            elif wanted is not None and name not in found:
                raise UserError(f"object {name}: neither {V1_MODEL} nor {V2_MODEL} in {folder}/{model}")
    for model in sorted((wanted or set()) - seen):
        raise UserError(f"objects.shapenet.models: no model {model} in the chosen synsets of {root}")
    for name in sorted(found)[: source.limit]:
        yield Object(name, found[name])


def _names(names, key):
    """The set of `names`, a tuple or a file with one a line; None if None."""
    if isinstance(names, str):
        names = _read(key, names).split()
    return None if names is None else set(names)


def _synset_folders(root, wanted):
    """Pairs of synset and folder, older releases first, of the `wanted` synsets (None: all)."""
    if not os.path.isdir(root):
        raise UserError(f"objects.shapenet.root: {root} is not a folder")
    trees = [root]
    trees += [os.path.join(root, name) for name in _subfolders(root) if RELEASE.fullmatch(name)]
    found = [
        (name, os.path.join(tree, name))
        for tree in trees
        for name in _subfolders(tree)
        if (SYNSET.fullmatch(name) if wanted is None else name in wanted)
    ]
    for synset in sorted((wanted or set()) - {name for name, _ in found}):
        raise UserError(f"objects.shapenet.synsets: no folder {synset} in {root}")
    return found


def _shapenet_model(folder):
    """The model file of a ShapeNet model's folder, or None."""
    paths = (os.path.join(folder, V2_MODEL), os.path.join(folder, V1_MODEL))
    return next((path for path in paths if os.path.isfile(path)), None)


def _subfolders(folder):
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir())


def _is_model_file(name):
    return name.lower().endswith(".obj") and not name.startswith(".")


def _refuse(key, error):
    raise UserError(f"{key}: cannot read {error.filename}: {error.strerror}") from error


def _check_name(item):
    if not NAME.fullmatch(item.name) or not item.name.isprintable() or item.name.endswith("."):
        raise UserError(
            f"object {item.name!r} ({item.path}): a name starts with a letter, digit or _ and holds only"
            " letters, digits and . _ + -"
        )
    if item.name.count(item.name[-1]) >= 20 and PERIODIC.search(item.name):
        raise UserError(f"object {item.name} ({item.path}): the name's end repeats itself 20 times or more")
    if item.name in RESERVED or item.name in LOGS:
        raise UserError(f"object {item.name} ({item.path}): this name is the workflow's own")
    if len(os.fsencode(item.name)) > LONGEST_NAME:
        raise UserError(f"object {item.name} ({item.path}): the name is over {LONGEST_NAME} bytes")


def _check_path(item):
    if not item.path.isprintable():  # control characters, and bytes that are not UTF-8
        raise UserError(f"object {item.name}: unsafe characters in the path {item.path!r}")
    if item.path.startswith("-"):  # programs would take it for an option
        raise UserError(f"object {item.name}: {item.path}: the path must not begin with -")
    if SNAKEMAKES.search(item.path):
        raise UserError(f"object {item.name}: {item.path}: the path must not hold {{ or }}, or a word in < >")
    if item.is_model:
        if not os.path.isfile(item.path):
            raise UserError(f"object {item.name}: there is no file {item.path}")
    elif not os.path.exists(item.path):
        raise UserError(f"object {item.name}: there is no file or folder {item.path}")
    elif not (dict(item.overrides).get(KIND) or kinds.recognise(item.path)):
        raise UserError(
            f"object {item.name}: {item.path} is neither an .obj file nor a known set of posed images"
            f" ({', '.join(kinds.KINDS)})"
        )
