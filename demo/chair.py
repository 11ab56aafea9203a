"""A lounge chair: oiled wood, brass feet, cushions with a petal pattern."""

import numpy as np

from modelling import PartList, moved, rounded_box, tube, warped
from painting import petals, wood

NAME = "chair"

MATERIALS = {
    "wood": ("wood.png", 0.15, 60),
    "fabric": ("fabric.png", 0.02, 10),
    "piping": ((0.80, 0.49, 0.10), 0.02, 10),
    "brass": ((0.60, 0.43, 0.16), 0.40, 120),
}


def textures():
    """File name -> image (h, w, 3) in [0, 1]."""
    return {"wood.png": wood("#b97a43", "#7d4a25"), "fabric.png": petals("#1f6f78", "#bfe0d4", "#e8a33d")}


def _puffed(part, size, amount):
    """Push the large faces of a cushion out, most in the middle."""
    half = np.asarray(size) / 2

    def push(points):
        middle = np.clip(1 - (points[..., [0, 2]] / half[[0, 2]]) ** 2, 0, 1).prod(axis=-1)
        result = points.copy()
        result[..., 1] += amount * middle * points[..., 1] / half[1]
        return result

    return warped(part, push)


def _cushion(size, puff):
    """A cushion lying flat, and the piping around its upper edge."""
    part = _puffed(rounded_box(size, 0.045, grain=2, inner=(5, 1, 5)), size, puff)
    part = [(points, 3.0 * uv) for points, uv in part]
    half_x, half_z = size[0] / 2 - 0.012, size[2] / 2 - 0.012
    angle = np.linspace(0, 2 * np.pi, 33)
    round_square = np.sign(np.stack([np.cos(angle), np.sin(angle)], -1))
    round_square *= np.abs(np.stack([np.cos(angle), np.sin(angle)], -1)) ** 0.22
    loop = np.stack([half_x * round_square[:, 0], 0 * angle, half_z * round_square[:, 1]], -1)
    return part, tube(loop + [0, size[1] / 2 - 0.012, 0], 0.009, 6)


def parts():
    """List of (part name, material, part)."""
    result = PartList()
    add = result.add

    seat, seat_piping = _cushion((0.58, 0.13, 0.58), 0.025)
    back, back_piping = _cushion((0.58, 0.12, 0.50), 0.020)
    place_seat = dict(offset=(0, 0.405, -0.02), x=5)
    place_back = dict(offset=(0, 0.70, 0.285), x=-72)
    add("seat", "fabric", moved(seat, **place_seat))
    add("back", "fabric", moved(back, **place_back))
    add("seat_piping", "piping", moved(seat_piping, **place_seat))
    add("back_piping", "piping", moved(back_piping, **place_back))

    # Legs lean outwards; the front ones end under the armrests, the rear ones carry the back.
    front = np.array([[0.36, 0.05, -0.34], [0.345, 0.30, -0.29], [0.335, 0.585, -0.245]])
    rear = np.array([[0.36, 0.05, 0.42], [0.345, 0.33, 0.31], [0.335, 0.585, 0.30]])
    add("leg_front", "wood", tube(front, (0.017, 0.028, 0.024), 10, 2.0), both_sides=True)
    add("leg_rear", "wood", tube(rear, (0.017, 0.028, 0.024), 10, 2.0), both_sides=True)
    for name, leg in (("foot_front", front), ("foot_rear", rear)):
        down = (leg[0] - leg[1]) / np.linalg.norm(leg[0] - leg[1])
        path = leg[0] + np.outer([-0.03, 0.0, 0.035], down)
        add(name, "brass", tube(path, (0.0205, 0.019, 0.016), 10), both_sides=True)

    def bent_arm(points):
        result = points.copy()
        along = points[..., 2] / 0.37
        result[..., 1] += 0.025 * np.cos(1.4 * along) - 0.03 * (along > 0) * along**2
        result[..., 0] *= 1 - 0.25 * along  # broad in front, where the hand lies
        result[..., 0] += 0.03 * along**2
        return result

    arm = warped(rounded_box((0.085, 0.034, 0.74), 0.015, inner=(1, 1, 8)), bent_arm)
    add("arm", "wood", moved(arm, (0.325, 0.59, 0.02), x=-1), both_sides=True)

    # The frame under the seat, and the ladder behind the back cushion.
    rail = rounded_box((0.030, 0.060, 0.60), 0.010, steps=1)
    add("side_rail", "wood", moved(rail, (0.315, 0.335, 0.0), x=5), both_sides=True)
    for name, height, z in (("front_rail", 0.352, -0.275), ("rear_rail", 0.315, 0.285)):
        rail = rounded_box((0.64, 0.055, 0.030), 0.010, steps=1)
        add(name, "wood", moved(rail, (0, height, z)))
    post = np.array([[0.25, 0.32, 0.27], [0.25, 0.62, 0.355], [0.25, 0.925, 0.452]])
    add("post", "wood", tube(post, (0.020, 0.022, 0.016), 10, 2.0), both_sides=True)
    for index, height in enumerate((0.56, 0.70, 0.84)):
        z = 0.338 + 0.318 * (height - 0.56)
        bow = np.linspace(-0.25, 0.25, 5)
        path = np.stack([bow, 0 * bow + height, z + 0.02 - 0.3 * bow**2], axis=-1)
        add(f"slat_{index}", "wood", tube(path, 0.014, 8, 2.0))
    top = np.linspace(-0.30, 0.30, 7)
    path = np.stack([top, 0.955 - 0.25 * top**2, 0.475 - 0.3 * top**2], axis=-1)
    add("top_rail", "wood", tube(path, 0.024, 10, 2.0))
    return result
