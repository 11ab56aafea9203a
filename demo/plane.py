"""A propeller plane: red fuselage with a cream arrow, sunburst wings, wheels under spats."""

import numpy as np

from modelling import PartList, lathe, lofted, moved, patch, rounded_box, smoothed, tube
from painting import Canvas

NAME = "plane"

MATERIALS = {
    "fuselage": ("fuselage.png", 0.20, 60),
    "wing": ("wing.png", 0.20, 60),
    "propeller": ("propeller.png", 0.15, 60),
    "glass": ((0.07, 0.13, 0.18), 0.40, 120),
    "cowling": ((0.72, 0.36, 0.03), 0.25, 80),
    "metal": ((0.45, 0.47, 0.50), 0.35, 100),
    "spat": ((0.54, 0.042, 0.024), 0.20, 60),
    "tyre": ((0.035, 0.035, 0.04), 0.05, 10),
}

RED, CREAM, NAVY, GOLD = "#c23a2b", "#f3e6c8", "#22384f", "#dfa32f"
NOSE, TAIL, HALF_HEIGHT = -1.02, 1.35, 0.34  # the texture's side view

# Fuselage along z, the nose at -z: (z, metres).
RADIUS = [(-1.02, 0.215), (-0.80, 0.245), (-0.30, 0.260), (0.20, 0.225), (0.80, 0.13), (1.35, 0.04)]
MIDDLE = [(-1.02, 0.0), (0.0, 0.0), (0.60, 0.035), (1.35, 0.11)]


def _side_view(points, left):
    """Texture coordinates: the left side in the upper half of the texture, the right in the lower.

    Either is seen from outside, the nose on the left or on the right.
    """
    along = (points[..., 2] - NOSE) / (TAIL - NOSE)
    height = points[..., 1] / (2 * HALF_HEIGHT) + 0.5
    return np.stack([along if left else 1 - along, (left + height) / 2], axis=-1)


def _fuselage():
    z = np.linspace(NOSE, TAIL, 21)
    radius, middle = smoothed(RADIUS, z, 0.4), smoothed(MIDDLE, z, 0.4)
    closed = [0, *range(len(z)), -1]  # the first and last ring once more, shrunk to a point
    radius, middle, z = radius[closed], middle[closed], z[closed]
    radius[[0, -1]] = 0
    angle = np.radians(np.linspace(-90, 90, 11))[:, None]
    right = np.stack(np.broadcast_arrays(np.cos(angle) * radius, middle + 1.08 * np.sin(angle) * radius, z), axis=-1)
    left = right[::-1] * [-1, 1, 1]
    return [patch(right, _side_view(right, False)), patch(left, _side_view(left, True))]


def aerofoil(thickness, points=8):
    """Closed outline (2 points - 1, 2) of a symmetric NACA four-digit section of chord 1.

    x from 0 at the nose to 1, y half of `thickness` at most. The last coefficient is the one
    that closes the trailing edge.
    """
    x = (1 - np.cos(np.linspace(0, np.pi, points))) / 2  # dense at the nose
    powers = 0.2969 * np.sqrt(x) - 0.1260 * x - 0.3516 * x**2 + 0.2843 * x**3 - 0.1036 * x**4
    y = 5 * thickness * np.where(x == 1, 0, powers)
    return np.concatenate([np.stack([x, y], -1)[::-1], np.stack([x, -y], -1)[1:]])


def _wing(half_span, root_chord, tip_chord, thickness):
    """Half a wing along +x, the line of its quarter chord on the x axis, the tip rounded.

    Texture: u along the span, v from the trailing edge (0) to the leading edge (1).
    """
    outline = aerofoil(thickness)
    rings = []
    for share in (0, 0.15, 0.3, 0.45, 0.6, 0.72, 0.82, 0.89, 0.94, 0.975, 0.995):
        rounding = np.sqrt(1 - max((share - 0.82) / 0.18, 0) ** 2)
        chord = root_chord + (tip_chord - root_chord) * share
        z = chord * (rounding * (outline[:, 0] - 0.5) + 0.25)
        rings.append(np.stack([0 * z + share * half_span, chord * rounding * outline[:, 1], z], -1))

    def uv(points):
        return np.stack([points[..., 0] / half_span, 0.75 - points[..., 2] / root_chord], axis=-1)

    return lofted(rings, uv)


def _fin(part):
    """A half wing lying along +x, raised to stand along +y."""
    return moved(part, z=90)


def _paint_fuselage(canvas):
    """Side view: x of the canvas is z of the plane."""
    z, y = canvas.x, canvas.y
    arrow = 0.02 + 0.06 * (z + 0.2)
    canvas.paint((np.abs(y - arrow) < 0.052 - 0.03 * (z + 0.2)) & (z > -0.85), CREAM)
    canvas.paint(canvas.polygon([(-0.99, 0.0), (-0.80, -0.10), (-0.80, 0.08)]), CREAM)
    canvas.paint(canvas.box(0.24, 0.80, -0.055, 0.125, 0.03), CREAM)
    canvas.paint(canvas.text("NGP", 0.52, 0.035, 0.115, aspect=1.25), NAVY)
    canvas.paint(y < -0.175, NAVY)
    return canvas.image()


def textures():
    """File name -> image (h, w, 3) in [0, 1]."""
    left = Canvas(384, 112, NOSE, TAIL, -HALF_HEIGHT, HALF_HEIGHT, RED)
    right = Canvas(384, 112, TAIL, NOSE, -HALF_HEIGHT, HALF_HEIGHT, RED)
    wing = Canvas(256, 96, 0, 1, 0, 1, CREAM)
    rays = np.degrees(np.arctan2(0.42 * (wing.y - 0.5), wing.x - 0.16))
    wing.paint((np.floor((rays + 8) / 16) % 2 == 0) & (wing.x > 0.2), RED)
    wing.paint(wing.x > 0.86, NAVY)
    wing.paint(np.abs(wing.x - 0.86) < 0.012, GOLD)
    wing.paint(wing.x < 0.2, RED)
    blade = Canvas(128, 32, 0, 1, 0, 1, "#8a5a33")
    blade.paint(np.abs(blade.x - 0.5) > 0.40, GOLD)
    blade.paint(np.abs(np.abs(blade.x - 0.5) - 0.36) < 0.02, CREAM)
    return {
        "fuselage.png": np.concatenate([_paint_fuselage(left), _paint_fuselage(right)]),
        "wing.png": wing.image(),
        "propeller.png": blade.image(),
    }


def parts():
    """List of (part name, material, part)."""
    result = PartList()
    add = result.add

    add("fuselage", "fuselage", _fuselage())
    wing = moved(_wing(1.42, 0.66, 0.46, 0.13), (0.08, -0.13, -0.22), z=5)
    add("wing", "wing", wing, True)
    add("tailplane", "wing", moved(_wing(0.56, 0.42, 0.30, 0.10), (0.0, 0.13, 1.12)), True)
    add("fin", "wing", moved(_fin(_wing(0.50, 0.44, 0.26, 0.10)), (0, 0.10, 1.13)))

    cowl = [
        (0, -0.13),
        (0.12, -0.13),
        (0.185, -0.115),
        (0.235, -0.05),
        (0.25, 0.05),
        (0.25, 0.16),
        (0.225, 0.17),
        (0, 0.17),
    ]
    add("cowling", "cowling", moved(lathe(cowl, 24), (0, 0, -1.02), x=90))
    spinner = [(0, -0.24), (0.03, -0.225), (0.06, -0.18), (0.085, -0.10), (0.09, -0.03), (0, -0.03)]
    add("spinner", "metal", moved(lathe(spinner, 14), (0, 0, -1.10), x=90))
    span = np.linspace(-1, 1, 17)
    width = 0.022 + 0.040 * np.sqrt(np.clip(1 - span**2, 0, 1)) * np.minimum(1, 3 * np.abs(span))
    angle = np.linspace(0, 2 * np.pi, 9)
    rings = []
    for share, half in zip(span, width * np.where(np.abs(span) == 1, 0.4, 1), strict=True):
        twist = np.sign(share) * np.radians(35 - 15 * abs(share))
        flat, deep = half * np.cos(angle), 0.012 * np.sin(angle)
        rings.append(
            np.stack(
                [
                    0 * angle + 0.44 * share,
                    flat * np.cos(twist) - deep * np.sin(twist),
                    flat * np.sin(twist) + deep * np.cos(twist),
                ],
                axis=-1,
            )
        )
    blades = lofted(rings, lambda points: points[..., :2] / 0.88 + 0.5)
    add("propeller", "propeller", moved(blades, (0, 0, -1.20), z=20))

    dome = [
        (0, -0.1),
        (0.17, -0.1),
        (0.17, 0.0),
        (0.162, 0.06),
        (0.135, 0.115),
        (0.09, 0.15),
        (0.04, 0.168),
        (0, 0.172),
    ]
    add("canopy", "glass", moved(lathe(dome, 20), (0, 0.19, -0.12), scale=(1, 1, 2.0)))
    frame = np.radians(np.linspace(0, 180, 10))
    for index, z in enumerate((-0.24, 0.02)):
        reach = np.sqrt(1 - ((z + 0.12) / 0.34) ** 2)
        hoop = np.stack([0.170 * reach * np.cos(frame), 0.19 + 0.170 * reach * np.sin(frame), 0 * frame + z], axis=-1)
        add(f"canopy_frame_{index}", "spat", tube(hoop, 0.012, 6))

    strut = np.array([[0.20, -0.18, -0.42], [0.33, -0.34, -0.46], [0.40, -0.44, -0.48]])
    add("strut", "metal", tube(strut, 0.026, 8), True)
    spat = rounded_box((0.13, 0.15, 0.36), 0.06, steps=2)
    add("spat", "spat", moved(spat, (0.40, -0.45, -0.46), x=-4), True)
    tyre = [(0, -0.04), (0.09, -0.04), (0.115, -0.02), (0.115, 0.02), (0.09, 0.04), (0, 0.04)]
    add("tyre", "tyre", moved(lathe(tyre, 16), (0.40, -0.50, -0.47), z=90), True)
    tail_strut = np.array([[0, 0.08, 1.16], [0, -0.03, 1.20]])
    add("tail_strut", "metal", tube(tail_strut, 0.018, 6))
    add("tail_wheel", "tyre", moved(lathe(tyre, 12), (0, -0.07, 1.22), scale=0.55, z=90))
    return result
