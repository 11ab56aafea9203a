"""Metrics of geometry, on the ball: known values, what counts as surface, and the columns that they give."""

import csv
import json
import math

import imageio.v3 as iio
import numpy as np
import pytest
import torch
import trimesh

import metrics
from ball import DISTANCE, RADIUS, ball_images
from obj2ngp.common.files import UserError
from obj2ngp.common.lattice import Lattice, save_lattice
from obj2ngp.evaluation import geometry
from obj2ngp.ngp.backends.cpu import Backend
from obj2ngp.ngp.buffers import Rays, Samples
from obj2ngp.ngp.config import NetworkConfig, OccupancyConfig, TrainConfig
from obj2ngp.ngp.depth import median_distance
from obj2ngp.ngp.field import Field
from obj2ngp.ngp.lattice import density_lattice
from obj2ngp.ngp.model_file import Model
from obj2ngp.ngp.rendering import Renderer
from obj2ngp.scene.source_mesh import source_surface, triangulated
from obj2ngp.surface.rays import Triangles
from obj2ngp.views.nerf_synthetic import write_images
from obj2ngp.views.pictures import truth_on_white
from test_surface import CENTER, ball_density

RECORD = {"settings": {"up": "Z"}, "normalization": {"scale": 1.0, "translation": [0, 0, 0]}}
SIDE = 2 * RADIUS


@pytest.fixture(autouse=True)
def fewer_points(monkeypatch):
    """Fewer points, which tests take less time for; with much fewer the nearest is further than the thresholds."""
    monkeypatch.setattr(geometry, "POINTS", 60_000)


def ball_mesh(radius=RADIUS):
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    return np.array(mesh.vertices), np.array(mesh.faces)


def write_obj(path, *meshes, materials=("",)):
    """An .obj file of (vertices, faces), each under the next of `materials`, and its .mtl, with see-through `glass`."""
    lines, first = ["mtllib ball.mtl"], 1
    for (vertices, faces), material in zip(meshes, materials * len(meshes), strict=False):
        lines += [f"usemtl {material}"] if material else []
        lines += [f"v {x} {y} {z}" for x, y, z in vertices]
        lines += ["f " + " ".join(str(first + corner) for corner in face) for face in faces]
        first += len(vertices)
    path.write_text("\n".join(lines) + "\n")
    path.with_name("ball.mtl").write_text("newmtl paint\nKd 1 0 0\nnewmtl glass\nd 0.3\n")
    return path


def write_record(folder, record=RECORD):
    path = folder / "record.json"
    path.write_text(json.dumps(record))
    return path


def pair(found, true=None, images=None):
    """The SurfacePair of two meshes that the ball's cameras see."""
    images = images or ball_images(size=48)
    samples = (geometry.sample_seen(Triangles(*mesh), images) for mesh in (found, true or ball_mesh()))
    return geometry.pair_surfaces(*samples, SIDE)


def test_the_same_surface_has_the_best_values():
    same = pair(ball_mesh())
    assert geometry.f_score_1(same) > 0.99 and geometry.normal_consistency(same) > 0.99
    assert geometry.chamfer(same) < 0.1  # the points of the two samples lie that far apart


def test_a_larger_ball_is_as_far_as_it_is():
    far = pair(ball_mesh(RADIUS + 0.015 * SIDE))
    assert geometry.chamfer(far) == pytest.approx(0.15, rel=0.05)
    assert geometry.f_score_1(far) < 0.01 and geometry.f_score_2(far) > 0.98


def test_values_worked_out_by_hand():
    worked = geometry.SurfacePair(*map(np.array, ([0, 0.02, 0.03, 0.03], [0.005, 0.015], [1.0, 0.5], [0.25, 0.75])))
    assert geometry.chamfer(worked) == pytest.approx(10 * (0.02 + 0.01) / 2)
    assert geometry.f_score_1(worked) == pytest.approx(2 * 0.25 * 0.5 / 0.75)
    assert geometry.f_score(worked, 0.025) == pytest.approx(2 * 0.5 * 1 / 1.5)
    assert geometry.normal_consistency(worked) == pytest.approx(0.625)


def test_of_nothing_found_all_is_worst():
    nothing = geometry.pair_surfaces(([], []), ball_mesh(), SIDE)
    assert geometry.f_score_2(nothing) == 0 == geometry.normal_consistency(nothing)
    assert geometry.chamfer(nothing) == 10


def test_depths_worked_out_by_hand():
    truth = np.array([[1.0, 2.0], [np.inf, 1.0]])
    views = geometry.DepthPair(truth, np.array([[1.01, np.inf], [3.0, 0.99]]))
    assert geometry.depth_error(views) == pytest.approx(1) and geometry.silhouette_iou(views) == 0.5
    nothing = np.full((2, 2), np.inf)
    assert geometry.depth_error(geometry.DepthPair(truth, nothing)) == 100
    assert geometry.silhouette_iou(geometry.DepthPair(truth, nothing)) == 0
    assert geometry.silhouette_iou(geometry.DepthPair(nothing, nothing)) == 1


def test_points_are_spread_by_area():
    vertices = np.array([[0, 0, 0], [3, 0, 0], [0, 2, 0], [0, 0, 5], [1, 0, 5], [0, 2, 5.0]])
    points, normals = geometry.sample_surface(
        vertices, np.array([[0, 1, 2], [3, 4, 5]]), 4000, np.random.default_rng(1)
    )
    assert (points[:, 2] == 0).mean() == pytest.approx(0.75, abs=0.03)
    assert np.allclose(normals, [0, 0, 1])
    assert points[points[:, 2] == 0].mean(axis=0) == pytest.approx([1, 2 / 3, 0], abs=0.05)


def test_doubled_and_interior_faces_do_not_count(tmp_path):
    vertices, faces = ball_mesh()
    plain = write_obj(tmp_path / "plain.obj", (vertices, faces))
    doubled = write_obj(tmp_path / "more.obj", (vertices, faces), (vertices, faces[:300, ::-1]), ball_mesh(0.2))
    record = write_record(tmp_path)
    (_, one), (_, two) = (source_surface(path, record) for path in (plain, doubled))
    assert len(one) == len(faces) and len(two) == 2 * len(faces)
    images = ball_images(size=48)
    points, _ = geometry.sample_seen(Triangles(*source_surface(doubled, record)), images)
    assert len(points) == geometry.POINTS
    assert np.linalg.norm(points, axis=1) == pytest.approx(RADIUS, abs=0.01)
    assert (points[:, 0] > 0).mean() == pytest.approx(0.5, abs=0.02)  # no side has more of them


def test_what_lets_most_light_through_is_no_surface(tmp_path):
    glazed = write_obj(tmp_path / "glazed.obj", ball_mesh(0.2), ball_mesh(), materials=("paint", "glass"))
    vertices, faces = source_surface(glazed, write_record(tmp_path))
    assert np.linalg.norm(vertices[faces].reshape(-1, 3), axis=1) == pytest.approx(0.2, abs=1e-6)
    with pytest.raises(UserError, match=r"glass.obj: all of it lets more than half of the light through"):
        source_surface(write_obj(tmp_path / "glass.obj", ball_mesh(), materials=("glass",)), write_record(tmp_path))


def test_the_source_lies_as_the_record_says(tmp_path):
    record = {"settings": {"up": "Y"}, "normalization": {"scale": 0.5, "translation": [0, 0.1, 0]}}
    model = write_obj(tmp_path / "quad.obj", (np.array([[0, 0, 2.0], [4, 0, 2], [4, 6, 2], [0, 6, 2]]), [[0, 1, 2, 3]]))
    vertices, faces = source_surface(model, write_record(tmp_path, record))
    # y up becomes z up: (x, y, z) lies at (x, -z, y).
    assert sorted(map(tuple, vertices.round(6).tolist())) == [(0, -0.9, 0), (0, -0.9, 3), (2, -0.9, 0), (2, -0.9, 3)]
    assert len(faces) == 2
    with pytest.raises(UserError, match="record.json: settings: missing"):
        source_surface(model, write_record(tmp_path, {}))


@pytest.mark.parametrize("scale", [1e-300, 1e-5, 1e8])
def test_a_record_of_another_size_is_refused(tmp_path, scale):
    """All of a surface in one point is searched without end."""
    model = write_obj(tmp_path / "ball.obj", ball_mesh())
    record = write_record(tmp_path)
    content = json.loads(record.read_text())
    content["normalization"]["scale"] = scale
    record.write_text(json.dumps(content))
    with pytest.raises(UserError, match="record.json: normalization.scale: "):
        source_surface(model, record)


def test_polygons_are_taken_apart_into_fans():
    triangles, face = triangulated(np.array([0, 3, 8]))
    assert triangles.tolist() == [[0, 1, 2], [3, 4, 5], [3, 5, 6], [3, 6, 7]] and face.tolist() == [0, 1, 1, 1]


@pytest.fixture(scope="module")
def ball_results(tmp_path_factory):
    """Results of a ball whose field and depths are exact."""
    folder = tmp_path_factory.mktemp("ball")
    write_obj(folder / "ball.obj", ball_mesh())
    images = ball_images(size=48)
    for split in ("train", "test"):
        write_images(images, folder / "renders", split)
    write_record(folder / "renders" / "train")
    (folder / "test").mkdir()
    y, x = np.divmod(np.arange(48 * 48), 48)
    for name, rgba, pose in zip(images.names, images.rgba, images.pose, strict=True):
        iio.imwrite(folder / "test" / f"{name}.png", truth_on_white(rgba))
        ray = np.stack([(x - 23.5) / images.focal, (23.5 - y) / images.focal, -np.ones(48 * 48)], 1) @ pose[:, :3].T
        ray /= np.linalg.norm(ray, axis=1, keepdims=True)
        middle = -ray @ pose[:, 3]
        inside = np.maximum(RADIUS**2 - DISTANCE**2 + middle**2, 0)
        depth = np.where(inside > 0, (middle - np.sqrt(inside)) * 1000, 0).round().astype(np.uint16)
        iio.imwrite(folder / "test" / f"{name}_depth.png", depth.reshape(48, 48))
    save_lattice(folder / "test" / "density.npz", Lattice(ball_density(0.002, resolution=96), 1.0, CENTER))
    return folder


def measure(folder, *source):
    arguments = ["--object", "ball", "--transforms", folder / "renders" / "transforms_test.json"]
    arguments += ["--source", *source, "--predictions", folder / "test", "--out", folder / "metrics.csv"]
    metrics.main(list(map(str, arguments)))
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file)), json.loads((folder / "metrics.json").read_text())


def test_a_row_has_the_figures_of_the_shape(ball_results):
    rows, protocol = measure(ball_results, ball_results / "ball.obj")
    assert len(rows) == 12
    assert {float(row["chamfer"]) for row in rows} == {float(rows[0]["chamfer"])}
    assert float(rows[0]["chamfer"]) < 0.12 and float(rows[0]["normal_consistency"]) > 0.97
    assert float(rows[0]["f_score_1"]) > 0.95 and float(rows[0]["f_score_2"]) > 0.99
    assert all(float(row["depth_error"]) < 0.5 and float(row["silhouette_iou"]) > 0.98 for row in rows)
    assert "longest side" in protocol["chamfer"]


def test_without_a_source_the_shape_is_not_measured(ball_results):
    rows, protocol = measure(ball_results)
    assert "chamfer" not in rows[0] and "psnr" in rows[0]
    assert protocol["f_score_1"] == "not computed: no source mesh is given"


def test_missing_depths_are_named(ball_results, tmp_path):
    images = ball_images(size=48)
    shape = geometry.Geometry(*ball_mesh(), images, tmp_path)
    with pytest.raises(UserError, match="000_depth.png: No such file"):
        shape.depths(images, 0)
    for picture in (np.zeros((4, 4), np.uint16), np.full((48, 48), 9, np.uint8)):
        iio.imwrite(tmp_path / "000_depth.png", picture)
        with pytest.raises(UserError, match="000_depth.png: shape"):
            shape.depths(images, 0)


def test_median_distance_is_where_half_of_the_light_is_left():
    """Three rays of several samples: one crosses half inside its second sample, one never, one has none."""
    rays, samples, step = Rays(4), Samples(16, NetworkConfig()), 0.1
    rays.active.fill_(3)
    rays.first[:3], rays.count[:3] = torch.tensor([0, 3, 5]), torch.tensor([3, 2, 0])
    samples.count.fill_(5)
    samples.ray[:5] = torch.tensor([0, 0, 0, 1, 1])
    samples.t[:5] = torch.tensor([1.0, 1.1, 1.2, 2.0, 2.1])
    samples.density[:5] = torch.tensor([2.0, 10.0, 1e9, 3.0, 3.0])
    distance = median_distance(rays, samples, step)
    crossing = 1.05 + (math.log(2) - 0.2) / 10  # the second sample stands for 1.05 to 1.15
    assert distance.tolist() == [pytest.approx(crossing, abs=1e-6), math.inf, math.inf]
    samples.count.fill_(0)
    assert median_distance(rays, samples, step).tolist() == [math.inf] * 3


def test_the_lattice_has_what_rendering_meets():
    network = NetworkConfig(levels=2, table_log2=8, base_resolution=4, finest_resolution=8)
    field = Field(network)
    field.start(3)
    occupied = torch.zeros(16, 16, 16, dtype=torch.bool)
    occupied[3:9, 2, 5] = True
    config = TrainConfig(network=network, occupancy=OccupancyConfig(resolution=16))
    model = Model(field.table, field.weights, occupied, config, 0.5, torch.full((3,), 0.25), {})
    lattice = density_lattice(Renderer(model, Backend), 30)
    assert lattice.density.shape == (32,) * 3 and (lattice.density > 0).sum() == 6 * 8
    index = np.stack(np.indices((32,) * 3), -1).reshape(-1, 3)
    density, _ = model.query(lattice.to_world((index + 0.5) / 32), np.ones((len(index), 3)), "cpu")
    assert np.allclose(lattice.density.ravel(), density / model.scale, rtol=1e-5)
