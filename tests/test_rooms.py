"""The plan of CONTRIBUTING.md: which room may import which, what each environment has, and how long files may be."""

import ast
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pythons import find_python

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ROOT / "workflow_scripts"
PACKAGE = PROGRAMS / "obj2ngp"


@dataclass
class Room:
    """What the modules of a room may import, at their top, beside the standard library and the room itself."""

    rooms: set = field(default_factory=set)
    packages: set = field(default_factory=set)  # that its environment brings, or that it is made for
    optional: set = field(default_factory=set)  # more packages, inside functions alone: the room works without
    programs: set = field(default_factory=set)  # that run in its environment
    python: str = "py311"  # the oldest that its environments have


BLENDER = {"bpy", "mathutils"}
SURFACE = {"numba", "scipy", "skimage", "trimesh", "embreex"}
TCNN = {"tinycudann", "vren", "torch_scatter", "apex"}
ROOMS = {
    "common": Room(packages={"numpy"}, programs={"worker"}, python="py37"),
    "scene": Room({"common"}, {"numpy", *BLENDER}, programs={"render"}, python="py37"),
    "views": Room({"common"}, {"numpy", "PIL"}, optional={"cv2"}, programs={"import_views"}, python="py38"),
    "ngp": Room(
        {"common", "views"},
        {"numpy", "PIL", "imageio_ffmpeg", "rich", "safetensors", "torch", "numba", "triton", *TCNN},
        programs={"train", "render_views", "orbit"},
        python="py38",
    ),
    "surface": Room({"common", "views"}, {"numpy", "PIL", *SURFACE}),
    "exports": Room(
        {"common", "views", "ngp", "surface"},
        {
            "numpy",
            "PIL",
            "imageio_ffmpeg",
            "rich",
            "safetensors",
            "torch",
            "numba",
            "triton",
            *TCNN,
            "msgpack",
            "pyarrow",
            *SURFACE,
            "fast_simplification",
            "xatlas",
        },
        programs={"export", "collect"},
    ),
    "viewer": Room(
        {"common", "views", "ngp", "scene"},
        {"numpy", "PIL", "imageio_ffmpeg", "rich", "safetensors", "torch", "numba", "triton", *TCNN},
        optional={"viser"},
        programs={"viewer", "view"},
        python="py38",
    ),
    "evaluation": Room(
        {"common", "views", "scene", "surface"},
        {"numpy", "PIL", "flip_evaluator", *SURFACE},
        optional={"torch", "lpips"},
        programs={"metrics"},
    ),
    "report": Room(
        {"common", "views", "evaluation"},
        {"numpy", "PIL", "flip_evaluator", "jinja2", "markupsafe", "safetensors", *SURFACE},
        optional={"matplotlib"},
        programs={"summary", "gallery", "status", "verify", "plots"},
    ),
    "workflow": Room(
        {"common"}, {"numpy", "yaml", "snakemake", "snakemake_interface_logger_plugins"}, programs={"launch"}
    ),
}
# Declarations of settings, which the workflow reads: they need nothing but `common`.
SETTINGS = {
    "obj2ngp.scene.settings",
    "obj2ngp.ngp.config",
    "obj2ngp.ngp.settings",
    "obj2ngp.views.kinds",
    "obj2ngp.views.settings",
    "obj2ngp.exports.settings",
    "obj2ngp.exports.registry",
    "obj2ngp.viewer.settings",
    "obj2ngp.report.settings",
}

# What starts a job runs in front of its program, with that program's Python.
PYTHON_3_8 = {"launch", *(f"obj2ngp.workflow{name}" for name in ("", ".gpus", ".limits", ".workers"))}

MODULES = sorted(PACKAGE.rglob("*.py"))
FILES = sorted(PROGRAMS.rglob("*.py"))


def name_of(path):
    """The dotted name of the module at `path`; a package is its `__init__`."""
    parts = path.relative_to(PROGRAMS).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path): path for path in FILES}


def room_of(name):
    """The room of the module `obj2ngp.<room>...`; None for `obj2ngp` itself."""
    return name.split(".")[1] if "." in name else None


def imported(statement, path):
    """The dotted names that an import statement of the file `path` needs."""
    if isinstance(statement, ast.Import):
        return {alias.name for alias in statement.names}
    base = statement.module or ""
    if statement.level:
        package = path.relative_to(PROGRAMS).parts[: -statement.level]
        base = ".".join([*package, *filter(None, [base])])
    names = {f"{base}.{alias.name}" for alias in statement.names}
    return {name if name in NAMES else base for name in names}


def imports(path, everywhere=False):
    """The dotted names that the file imports when it is loaded; `everywhere`: inside functions, too."""
    found, nodes = set(), [ast.parse(path.read_text())]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= imported(node, path)
        elif everywhere or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes += ast.iter_child_nodes(node)
    return found - {"__future__"}


def closure(name):
    """The names of our modules that are loaded with the module `name`, packages around them included."""
    loaded, waiting = set(), [name]
    while waiting:
        name = waiting.pop()
        if name in NAMES and name not in loaded:
            loaded.add(name)
            waiting += imports(NAMES[name])
            waiting += [name.rpartition(".")[0]]
    return loaded


def packages(names):
    """The packages of other people among dotted `names`."""
    top = {name.partition(".")[0] for name in names}
    return top - {"obj2ngp"} - sys.stdlib_module_names


def test_every_room_is_known():
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(ROOMS)
    programs = [program for room in ROOMS.values() for program in room.programs]
    assert sorted(programs) == sorted(path.stem for path in PROGRAMS.glob("*.py"))


@pytest.mark.parametrize("name", [name_of(path) for path in MODULES])
def test_a_module_imports_only_what_its_room_may(name):
    room = ROOMS.get(room_of(name), Room())
    direct = imports(NAMES[name], everywhere=True)
    allowed = {other for other in NAMES if room_of(other) in room.rooms | {room_of(name), None}}
    if room_of(name) == "workflow":
        allowed |= SETTINGS
    assert direct & set(NAMES) <= allowed
    assert packages(direct) <= room.packages | room.optional
    needed = set().union(*(imports(NAMES[module]) for module in closure(name)))
    assert packages(needed) <= room.packages, "on the way through other modules"


@pytest.mark.parametrize("name", sorted(SETTINGS & set(NAMES)))
def test_settings_need_nothing_but_common(name):
    assert {room_of(module) for module in closure(name) - {name}} <= {None, "common", room_of(name)}
    assert packages(set().union(*(imports(NAMES[module]) for module in closure(name)))) <= ROOMS["common"].packages


@pytest.mark.parametrize("room", ROOMS)
def test_a_program_uses_its_own_room(room):
    for program in ROOMS[room].programs:
        direct = imports(PROGRAMS / f"{program}.py", everywhere=True)
        assert {room_of(name) for name in direct & set(NAMES)} <= {"common", room}, program
        assert not packages(direct), program


def test_loading_a_room_loads_no_other():
    """What the syntax tells, confirmed by a real import: `obj2ngp` and its rooms load nothing by themselves."""
    code = "import sys, " + ", ".join(f"obj2ngp.{room}" for room in ROOMS)
    code += "; print(*(name for name in sys.modules if name.split('.')[0] in {'obj2ngp', 'numpy', 'torch'}))"
    run = subprocess.run([sys.executable, "-c", code], cwd=PROGRAMS, capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) == {"obj2ngp", *(f"obj2ngp.{room}" for room in ROOMS)}


def python_of(path):
    """The oldest Python that runs the file, as the linter writes it."""
    if name_of(path) in PYTHON_3_8:
        return "py38"
    if path.parent == PROGRAMS:
        return next(room.python for room in ROOMS.values() if path.stem in room.programs)
    return ROOMS[room_of(name_of(path)) or "common"].python


def test_the_linter_knows_the_oldest_python_of_each_room():
    """ruff refuses what a room's Python cannot parse, by this table; what is not in it runs in the project's own."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
    versions = table["per-file-target-version"]
    for path in FILES:
        file, room = (
            f"workflow_scripts/{place}"
            for place in (path.relative_to(PROGRAMS), f"obj2ngp/{room_of(name_of(path))}/**")
        )
        assert versions.get(file, versions.get(room, table["target-version"])) == python_of(path), file


@pytest.mark.parametrize("version", ["3.7", "3.8"])
def test_that_python_can_read_its_files(version):
    """Compiled by the Python itself, where it is found."""
    python = find_python(version)
    if python is None:
        pytest.skip(f"no Python {version} found on PATH or in pyenv")
    files = [path for path in FILES if python_of(path) <= "py" + version.replace(".", "")]
    assert len(files) > 10
    code = "import sys\nfor path in sys.argv[1:]: compile(open(path, encoding='utf-8').read(), path, 'exec')"
    run = subprocess.run([python, "-c", code, *files], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.network
def test_the_python_of_blender_2_90_loads_its_rooms():
    """Python 3.7 and numpy 1.17 load every module that does without Blender."""
    base = find_python("3.7")
    if base is None:
        pytest.skip("no Python 3.7 found on PATH or in pyenv")
    python = ROOT / ".cache/python37/bin/python"
    subprocess.run([base, "-m", "venv", python.parents[1]], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "numpy==1.17.5"], check=True)
    names = [name for name in NAMES if room_of(name) in ("common", "scene")]
    names = [name for name in names if not BLENDER & set().union(*(imports(NAMES[each]) for each in closure(name)))]
    assert len(names) > 10
    run = subprocess.run([python, "-c", "import " + ", ".join(names)], cwd=PROGRAMS, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_are_short(path):
    lines = len(path.read_text().splitlines())
    assert lines <= (60 if path.parent == PROGRAMS else 400)
