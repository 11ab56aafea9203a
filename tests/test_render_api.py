"""What runs inside Blender uses only what Blender 2.90 and its Python 3.7 have, checked without running it."""

import ast
import re
import subprocess
import sys

import pytest

from scene_helpers import ROOT

SCRIPTS = ROOT / "workflow_scripts"
PACKAGE = SCRIPTS / "obj2ngp"
INSIDE_BLENDER = [
    SCRIPTS / "render.py",
    PACKAGE / "__init__.py",
    *sorted(PACKAGE.glob("common/*.py")),
    *sorted(PACKAGE.glob("scene/*.py")),
]

# What a plain reading of 2.90's interface does not know: newer names, each in a branch for newer versions, ...
NEWER = {
    ("blender.py", "Mesh", "color_attributes"),
    ("blender.py", "ImageFormatSettings", "media_type"),
    ("blender.py", "ImageFormatSettings", "use_exr_interleave"),
}
# ... and what belongs to the kind of light, socket or add-on at hand, or is missing from the stubs (since 2.83).
OF_A_SUBCLASS = {
    ("studio.py", "NodeSocket", "default_value"),
    ("studio.py", "Light", "energy"),
    ("studio.py", "Light", "angle"),
    ("studio.py", "float", "foreach_get"),
    ("blender.py", "AddonPreferences", "compute_device_type"),
    ("blender.py", "AddonPreferences", "devices"),
    ("blender.py", "AddonPreferences", "get_devices_for_type"),
}


@pytest.mark.parametrize("path", INSIDE_BLENDER, ids=lambda path: path.name)
def test_python_3_7_can_parse_it(path):
    ast.parse(path.read_text(), feature_version=(3, 7))


@pytest.mark.slow
def test_blender_2_90_has_every_attribute_that_is_used():
    """mypy against the stubs of 2.90: exactly the names above are unknown."""
    modules = [f"obj2ngp/scene/{name}.py" for name in ("blender", "materials", "studio")]
    command = [sys.executable, "-m", "mypy", "--no-strict-optional", "--ignore-missing-imports", "--check-untyped-defs"]
    command += ["--config-file=", "--no-incremental", "--no-pretty", "--follow-imports=silent", "--cache-dir=/dev/null"]
    report = subprocess.run(command + modules, cwd=SCRIPTS, capture_output=True, text=True).stdout
    assert re.search(r"checked \d source files|Success", report), report
    unknown = re.findall(r'scene/(\w+\.py):\d+: error: "(\w+)" has no attribute "(\w+)"', report)
    assert set(unknown) == NEWER | OF_A_SUBCLASS
    assert not re.search(r"\[(call-arg|call-overload|index|name-defined)\]", report), report


def test_newer_names_stand_in_branches_on_the_version():
    tree = ast.parse((PACKAGE / "scene/blender.py").read_text())
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        names = {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
        if names & {name for _, _, name in NEWER}:
            assert any(isinstance(node, ast.Name) and node.id == "VERSION" for node in ast.walk(function))


def test_only_one_module_knows_versions():
    for path in INSIDE_BLENDER:
        if path.name != "blender.py":
            assert not re.search(r"app\.version\b(?!_string)", path.read_text()), path.name
