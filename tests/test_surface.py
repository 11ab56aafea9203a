"""Rays that meet meshes, and the surface of a density lattice, on the ball: where all is known."""

import dataclasses

import numpy as np
import pytest

from ball import RADIUS, ball_images
from obj2ngp.common.files import UserError
from obj2ngp.common.lattice import LOWEST, Lattice, load_lattice, save_lattice
from obj2ngp.surface import extraction, light
from obj2ngp.surface.rays import Triangles, pixel_rays

R = 48
CENTER = np.full(3, 0.5)


def ball_density(softness=0.01, peak=300.0, holes=(), resolution=R):
    """(R,R,R): density that rises through the ball's surface; `holes` are (middle, radius) of empty balls."""
    points = (np.stack(np.indices((resolution,) * 3), -1) + 0.5) / resolution
    density = peak / (1 + np.exp((np.linalg.norm(points - CENTER, axis=-1) - RADIUS) / softness))
    for middle, radius in holes:
        density[np.linalg.norm(points - middle, axis=-1) < radius] = 0
    return density.astype(np.float32)


@pytest.fixture(scope="module")
def images():
    """Twelve views of the ball, 48 pixels a side, in the unit cube's coordinates."""
    return extraction.in_unit_cube(ball_images(size=48), 1.0, CENTER)


def triangle():
    return Triangles(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]]), np.array([[0, 1, 2]]))


def test_rays_meet_both_sides_of_a_triangle_at_their_distance():
    origins = [[0.2, 0.2, 3], [0.2, 0.2, -2], [0.9, 0.9, 3], [0.2, 0.2, 3]]
    distance, face = triangle().first_hit(origins, [[0, 0, -1], [0, 0, 1], [0, 0, -1], [0, 0, 1]])
    assert distance == pytest.approx([3, 2, np.inf, np.inf], rel=1e-6) and face.tolist() == [0, 0, -1, -1]


def test_pixel_rays_go_through_the_middles_of_pixels(images):
    origins, directions = pixel_rays(images.pose[0], images.focal, images.center, [0, 23], [0, 24])
    assert np.allclose(np.linalg.norm(directions, axis=1), 1) and np.allclose(origins, images.pose[0][:, 3])
    local = directions @ images.pose[0][:, :3]
    assert np.allclose(local[:, :2] / -local[:, 2:] * images.focal, [[-23.5, 23.5], [0.5, 0.5]])


def test_what_lies_behind_a_surface_or_outside_all_pictures_is_not_seen(images):
    surface = extraction.level_set(np.log(ball_density()), 150)
    ball = Triangles(surface.vertices, surface.faces)
    assert ball.seen(surface.vertices, images).mean() > 0.99
    inner = CENTER + (surface.vertices - CENTER) * 0.9
    assert not ball.seen(inner, images).any()
    for normals in (surface.vertices - CENTER, CENTER - surface.vertices):  # only who is asked first depends on them
        assert (ball.seen(surface.vertices, images, normals) == ball.seen(surface.vertices, images)).all()
    assert not ball.seen(CENTER + np.array([[0, 0, 50.0]]), images).any()


def test_the_level_set_lies_where_the_density_is():
    surface = extraction.level_set(np.log(ball_density()), 150)
    assert np.linalg.norm(surface.vertices - CENTER, axis=1) == pytest.approx(RADIUS, abs=4e-3)
    corners = surface.vertices[surface.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((normal * (corners.mean(axis=1) - CENTER)).sum(axis=1) > 0).all()  # their fronts are outside
    edges = np.sort(surface.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()  # closed


def test_the_level_set_is_closed_at_the_cube_s_walls_and_may_be_empty():
    surface = extraction.level_set(np.zeros((8, 8, 8), np.float32), 0.5)
    assert surface.vertices.min() == pytest.approx(0, abs=0.07) and surface.vertices.max() == pytest.approx(1, abs=0.07)
    assert not extraction.level_set(np.full((8, 8, 8), -9, np.float32), 0.5)


@pytest.mark.parametrize("softness, peak", [(0.004, 300), (0.012, 150), (0.03, 60)])
def test_the_level_follows_the_density(softness, peak):
    """Whatever its softness, the surface of the best level is the ball's, within the pixels' width or the softness."""
    surface = extraction.extract(Lattice(ball_density(softness, peak), 1.0, CENTER), ball_images(size=48))
    radius = np.linalg.norm(surface.vertices, axis=1).mean()
    assert surface.level in extraction.LEVELS and radius == pytest.approx(RADIUS, abs=max(0.01, softness))


def test_without_silhouettes_the_level_is_the_middle_one():
    opaque = ball_images(size=16)
    opaque.rgba[..., 3] = 255
    assert extraction.best_level(np.log(ball_density()), opaque)[0] == extraction.LEVELS[5]


def test_optical_thickness_is_that_of_the_camera_that_sees_a_point_best(images):
    """A slab of haze: through it for the cameras above, and along it for none."""
    density = np.zeros((R,) * 3, np.float32)
    density[8:-8, 8:-8, 20:28] = 4.8  # a tenth a step
    above = dataclasses.replace(images, pose=images.pose[:1].copy(), rgba=images.rgba[:1])
    above.pose[0, :, :3], above.pose[0, :, 3] = np.eye(3), (0.5, 0.5, 2)  # looks down
    thickness = light.hiding(density, above)
    assert thickness[24, 24, [40, 28, 27, 24, 20]] == pytest.approx([0, 0, 0.05, 0.35, 0.75], abs=0.05)
    assert thickness[24, 24, 10] == pytest.approx(0.8, abs=0.05)
    below = dataclasses.replace(above, pose=np.concatenate([above.pose, above.pose * np.array([1, -1, -1, 1])]))
    below.pose[1, :, 3] = (0.5, 0.5, -1)
    assert light.hiding(density, below)[24, 24, [28, 26, 22, 10]] == pytest.approx([0, 0.15, 0.25, 0], abs=0.05)
    away = dataclasses.replace(above, pose=above.pose * np.array([1, -1, -1, 1]))
    assert not light.hiding(density, away).any()  # which no picture shows


def test_peaks_are_the_highest_values_along_rays():
    values = np.zeros((8, 8, 8), np.float32)
    values[3, 4, 5] = 2
    rays = np.array([[-3.0, 4, 5], [3.0, 4, 9], [3, 4.5, -1], [0, 0, -1], [3, 4, 5.5]])
    directions = np.array([[1.0, 0, 0], [0, 0, -1], [0, 0, 1], [0, 0, 1], [0, 0, 1]])
    found = light.peaks(values, light.gaps(values), rays, directions, 9.0)
    assert found == pytest.approx([2, 2, 1, 0, 1], abs=0.3) and found[3] == 0
    assert (light.peaks(values, light.gaps(values), rays, directions, 0.5) > 0.5).tolist() == (found > 0.5).tolist()


@pytest.mark.parametrize("side", [8, 9])
def test_gaps_never_lead_over_a_value(side):
    values = np.zeros((side,) * 3, np.float32)
    values[1, 6, 2] = values[side - 1, 0, 0] = 1
    steps = np.abs(np.indices(values.shape)[..., None] - np.argwhere(values).T[:, None, None, None]).max(axis=0).min(-1)
    gap = light.gaps(values)[tuple(np.indices(values.shape) // light.COARSE)]
    assert (gap > 0).any() and not gap[values > 0].any()
    assert (steps >= np.where(gap > 0, (gap - 1) * light.COARSE + 1, 0)).all()


def test_what_is_hidden_or_small_is_dropped():
    lattice = Lattice(ball_density(holes=[(CENTER, 0.2)]), 1.0, CENTER)
    lattice.density[2:4, 2:4, 2:4] = 300  # a speck, in view
    surface = extraction.extract(lattice, ball_images(size=48))
    assert np.linalg.norm(surface.vertices, axis=1) == pytest.approx(RADIUS, abs=0.03)
    half = dataclasses.replace(
        ball_images(size=48), pose=ball_images(size=48).pose[:1], rgba=ball_images(size=48).rgba[:1]
    )
    assert 0.2 < len(extraction.drop_unseen(surface, half).faces) / len(surface.faces) < 0.6
    assert len(np.unique(surface.faces)) == len(surface.vertices)
    assert 0.8 < surface.silhouette_iou <= 1


def test_nothing_dense_gives_no_surface():
    assert not extraction.extract(Lattice(np.zeros((16,) * 3, np.float32), 1.0, CENTER), ball_images(size=16))


def test_the_surface_is_in_the_world_of_its_views():
    """Another scale and place of the cube in the world: the same ball."""
    lattice = Lattice(ball_density(), 0.5, CENTER + 0.25)
    images = ball_images(size=48)
    images.pose[:, :, 3] = (images.pose[:, :, 3] - 0.25) / 0.5
    surface = extraction.extract(lattice, images)
    assert np.linalg.norm(surface.vertices + 0.5, axis=1) == pytest.approx(RADIUS / 0.5, abs=0.04)


def test_a_lattice_file_keeps_densities_within_its_steps(tmp_path):
    lattice = Lattice(ball_density(), 0.4, np.array([0.5, 0.4, 0.6]))
    save_lattice(tmp_path / "density.npz", lattice)
    read = load_lattice(tmp_path / "density.npz")
    dense = lattice.density > 2 * LOWEST
    assert np.abs(np.log(read.density[dense] / lattice.density[dense])).max() < 0.03
    assert read.density[lattice.density < LOWEST].max(initial=0) == 0
    assert read.scale == 0.4 and np.allclose(read.to_world(CENTER[None]), [[0, 0.25, -0.25]])
    (tmp_path / "density.npz").write_bytes(b"junk")
    with pytest.raises(UserError, match="density.npz: no density lattice"):
        load_lattice(tmp_path / "density.npz")
