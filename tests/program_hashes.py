"""What each program runs, as one number: raise its METHOD when its results change, or say that they do not.

    python tests/program_hashes.py       or `make hashes`

writes the METHOD and a hash of every program into program_hashes.tsv beside this file. The hash covers the syntax of
the program and of all modules of obj2ngp that it imports, however far down, without comments, docstrings and layout;
and every byte of the files of other kinds, such as scripts and styles of pages, that lie below a package of these.
"""

import ast
import functools
import hashlib
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SCRIPTS = FOLDER.parent / "workflow_scripts"
TABLE = FOLDER / "program_hashes.tsv"
PACKAGE = "obj2ngp"
sys.path.insert(0, str(SCRIPTS))

from obj2ngp.exports.registry import FORMATS  # noqa: E402

PROGRAMS = {
    "render": "render",
    "import_views": "import_views",
    "train": "train",
    "render_test": "render_views",
    "metrics": "metrics",
    "orbit": "orbit",
    "viewer": "viewer",
    "gallery": "gallery",
    **{f"export {name}": f"{PACKAGE}/exports/{format.module}" for name, format in FORMATS.items()},
}  # by rule


def code_hash(program, scripts=SCRIPTS):
    """The hash, 16 hexadecimal digits, of the program `program`.py in the folder `scripts`."""
    seen, waiting = {}, [scripts / f"{program}.py"]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            tree, seen[path] = parsed(path.read_bytes())
            waiting += imported(tree, path, scripts)
    seen.update((path, path.read_bytes().hex()) for path in data_files({path.parent for path in seen}))
    text = "\n".join(f"{path.relative_to(scripts)} {seen[path]}" for path in sorted(seen))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def data_files(folders):
    """What lies in packages beside code: all files in `folders` and below them, as far as no package begins there."""
    for folder in folders:
        for path in folder.iterdir() if (folder / "__init__.py").is_file() else ():
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                yield path
            elif path.is_dir() and not (path / "__init__.py").is_file() and path.name != "__pycache__":
                yield from filter(Path.is_file, path.rglob("*"))


@functools.lru_cache(maxsize=None)
def parsed(source):
    """The syntax tree of a module's `source` and its text."""
    tree = ast.parse(source)
    return tree, syntax(tree)


def imported(tree, path, scripts):
    """The files of obj2ngp that the module in `path`, whose syntax `tree` is, imports.

    Of a package that imports by name, with importlib, those are all below it.
    """
    package = path.relative_to(scripts).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) + 1 - node.level]] if node.level else []
            base += node.module.split(".") if node.module else []
            names = [base, *([*base, alias.name] for alias in node.names)]
        else:
            continue
        for name in names:
            if name[0] == PACKAGE:
                yield from files(name, scripts)
            if name[0] == "importlib" and path.name == "__init__.py":
                yield from path.parent.rglob("*.py")


def files(name, scripts):
    """The files that importing the module `name`, a list of its parts, runs."""
    for length in range(1, len(name) + 1):
        path = scripts.joinpath(*name[:length])
        yield from filter(Path.is_file, (path / "__init__.py", path.with_suffix(".py")))


def syntax(node):
    """The syntax tree as a text, the same in all versions of Python: without docstrings, places and empty parts."""
    if isinstance(node, list):
        return "[" + ",".join(map(syntax, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = []
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            value = value[1:]
        if value not in (None, []) and name not in ("ctx", "kind"):
            parts.append(f"{name}={syntax(value)}")
    return f"{type(node).__name__}({','.join(parts)})"


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def methods():
    """The METHOD of each rule in `PROGRAMS`."""
    from obj2ngp import evaluation
    from obj2ngp.ngp import config, settings
    from obj2ngp.report import settings as report
    from obj2ngp.scene import settings as scene
    from obj2ngp.viewer import settings as viewer
    from obj2ngp.views import settings as views

    return {
        "render": scene.METHOD,
        "import_views": views.METHOD,
        "train": config.METHOD,
        "render_test": settings.VIEWS_METHOD,
        "metrics": evaluation.METHOD,
        "orbit": settings.ORBIT_METHOD,
        "viewer": viewer.METHOD,
        "gallery": report.METHOD,
        **{f"export {name}": format.method for name, format in FORMATS.items()},
    }


def table():
    """The lines of the table as they should be."""
    rows = [f"{rule}\t{methods()[rule]}\t{code_hash(program)}" for rule, program in PROGRAMS.items()]
    return ["rule\tmethod\thash", *rows]


if __name__ == "__main__":
    TABLE.write_text("\n".join(table()) + "\n")
