"""The demo objects: what the script writes is what is committed, and it is sound geometry."""

import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

DEMO = Path(__file__).resolve().parents[1] / "demo"
NAMES = ("car", "chair", "plane")


def read_obj(path):
    """Vertices, texture coordinates, normals, and faces [(group, material, corners)]."""
    arrays, faces, group, material = {"v": [], "vt": [], "vn": []}, [], None, None
    for line in path.read_text().splitlines():
        keyword, *values = line.split()
        if keyword in arrays:
            arrays[keyword].append([float(value) for value in values])
        elif keyword == "g":
            group = values[0]
        elif keyword == "usemtl":
            material = values[0]
        elif keyword == "f":
            corners = [[int(number) - 1 for number in value.split("/")] for value in values]
            faces.append((group, material, np.array(corners)))
    return *(np.array(array) for array in arrays.values()), faces


def read_mtl(path):
    """Material name -> texture file name or None."""
    materials = {}
    for line in path.read_text().splitlines():
        keyword, *values = line.split() or [""]
        if keyword == "newmtl":
            materials[values[0]] = None
        elif keyword == "map_Kd":
            materials[list(materials)[-1]] = values[0]
    return materials


@pytest.mark.slow
def test_the_script_writes_the_committed_files(tmp_path):
    subprocess.run([sys.executable, DEMO / "make_objects.py", "--out", tmp_path], check=True)
    made = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    committed = {path.relative_to(DEMO / "objects") for path in (DEMO / "objects").rglob("*") if path.is_file()}
    assert made == committed
    for path in made:
        new, old = tmp_path / path, DEMO / "objects" / path
        if path.suffix == ".png":  # its bytes depend on the version of zlib
            np.testing.assert_allclose(iio.imread(new).astype(int), iio.imread(old), atol=1)
        else:
            assert new.read_text() == old.read_text(), path


def test_together_they_are_small():
    assert sum(path.stat().st_size for path in (DEMO / "objects").rglob("*.*")) < 1_000_000


@pytest.mark.parametrize("name", NAMES)
def test_materials_and_textures(name):
    folder = DEMO / "objects" / name
    materials = read_mtl(folder / f"{name}.mtl")
    *_, faces = read_obj(folder / f"{name}.obj")
    assert {material for _, material, _ in faces} == set(materials)
    assert len(materials) > 1
    textures = [texture for texture in materials.values() if texture]
    assert textures
    for texture in textures:
        assert iio.imread(folder / texture).std() > 10


@pytest.mark.parametrize("name", NAMES)
def test_parts_are_closed_and_look_outwards(name):
    vertices, _, normals, faces = read_obj(DEMO / "objects" / name / f"{name}.obj")
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=2e-3)
    for group in {group for group, _, _ in faces}:
        edges, volume, agreement = [], 0.0, []
        for corners in (corners for g, _, corners in faces if g == group):
            places = corners[:, 0]
            edges += list(zip(places, np.roll(places, -1), strict=True))
            points = vertices[places]
            cross = [np.cross(points[i], points[i + 1]) for i in range(1, len(points) - 1)]
            volume += points[0] @ np.sum(cross, axis=0) / 6
            area = np.sum(np.cross(points, np.roll(points, -1, axis=0)), axis=0)
            if np.linalg.norm(area) > 1e-7:
                agreement.append((normals[corners[:, 2]] @ area).min() / np.linalg.norm(area))
        assert volume > 0, group
        assert min(agreement) > 0.3, group
        # Each edge is walked once either way: closed, and wound the same way everywhere.
        assert sorted(edges) == sorted((b, a) for a, b in edges), group
