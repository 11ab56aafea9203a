"""A small two-tone car of the sixties: a lofted body with painted windows, doors and number."""

import numpy as np

from modelling import PartList, lathe, moved, patch, rounded_box, smoothed, tube
from painting import Canvas

NAME = "car"

MATERIALS = {
    "paint": ("body.png", 0.25, 80),
    "hubcap": ("hubcap.png", 0.25, 80),
    "plate": ("plate.png", 0.05, 20),
    "tyre": ((0.035, 0.035, 0.04), 0.05, 10),
    "trim": ((0.014, 0.255, 0.283), 0.25, 80),
    "chrome": ((0.55, 0.57, 0.60), 0.40, 120),
    "grille": ((0.05, 0.05, 0.06), 0.20, 60),
    "lens": ((0.90, 0.84, 0.62), 0.30, 120),
    "indicator": ((0.80, 0.32, 0.03), 0.20, 60),
    "tail_light": ((0.50, 0.02, 0.02), 0.20, 60),
}

TEAL, CREAM, GLASS, PANE, SEAM, CHROME = ("#1f8a91", "#f0e4c4", "#2a3742", "#4c6070", "#12565c", "#c4c8cc")
HALF_LENGTH, HALF_WIDTH, HEIGHT = 1.50, 0.75, 1.50  # of the texture's three views
AXLES = (-0.93, 0.93)
WHEEL_RADIUS = 0.29
PLATE = (0.46, 0.115)  # width, height

# Curves along z, the front at -z: (z, metres).
TOP = [
    (-1.50, 0.62),
    (-1.44, 0.76),
    (-1.20, 0.88),
    (-0.85, 0.945),
    (-0.62, 0.99),
    (-0.45, 1.14),
    (-0.28, 1.29),
    (-0.10, 1.365),
    (0.20, 1.39),
    (0.55, 1.36),
    (0.80, 1.26),
    (1.00, 1.10),
    (1.15, 0.98),
    (1.30, 0.90),
    (1.44, 0.78),
    (1.50, 0.62),
]
BELT = [(-1.50, 0.60), (-1.35, 0.74), (-0.90, 0.83), (0.60, 0.86), (1.30, 0.78), (1.50, 0.60)]
BOTTOM = [(-1.50, 0.42), (-1.40, 0.27), (-1.20, 0.22), (1.20, 0.22), (1.40, 0.27), (1.50, 0.42)]
WIDTH = [
    (-1.50, 0.46),
    (-1.44, 0.60),
    (-1.25, 0.68),
    (-0.60, 0.72),
    (0.60, 0.72),
    (1.25, 0.67),
    (1.44, 0.58),
    (1.50, 0.44),
]


def _shell():
    """The right half of the body: points (n, m, 3) of its side and of roof, bonnet and boot."""
    ends = HALF_LENGTH - 0.10 * (1 - np.sin(np.linspace(0, np.pi / 2, 4)))
    z = np.concatenate([-ends[::-1], np.linspace(-1.34, 1.34, 23), ends])
    top, belt, bottom, width = (smoothed(curve, z) for curve in (TOP, BELT, BOTTOM, WIDTH))
    belt = np.minimum(belt, top - 0.02)
    rise = top - belt
    cabin = np.clip((rise - 0.10) / 0.40, 0, 1)  # 0 over bonnet and boot, 1 under the roof
    waist, shoulder = 0.945 * width, width * (0.90 - 0.14 * cabin)

    def row(x, y):
        return np.stack([x, y, z], axis=-1)

    side = [
        row(0 * z, bottom - 0.01),
        row(0.80 * width, bottom),
        row(0.93 * width, bottom + 0.02),
        row(0.985 * width, bottom + 0.10),
        row(width, bottom + 0.45 * (belt - bottom)),
        row(0.99 * width, bottom + 0.75 * (belt - bottom)),
        row(0.965 * width, belt - 0.03),
        row(waist, belt),
        row(waist + 0.33 * (shoulder - waist), belt + 0.30 * rise),
        row(waist + 0.72 * (shoulder - waist), belt + 0.62 * rise),
        row(shoulder, belt + 0.84 * rise),
    ]
    roof = [
        side[-1],
        row(0.93 * shoulder, belt + 0.925 * rise),
        row(0.78 * shoulder, belt + 0.965 * rise),
        row(0.45 * shoulder, belt + 0.99 * rise),
        row(0 * z, top),
    ]
    return np.array(side), np.array(roof)


def _view(points, row):
    """Texture coordinates of a view: right side (row 0), left side (1), or top (2) of the atlas."""
    along = points[..., 2] / (2 * HALF_LENGTH)
    across = points[..., 0] / (2 * HALF_WIDTH) + 0.5 if row == 2 else points[..., 1] / HEIGHT
    return np.stack([0.5 - along if row == 0 else 0.5 + along, (row + across) / 3], axis=-1)


def _body():
    """The closed body as a part."""
    side, roof = _shell()
    left_side, left_roof = side[::-1] * [-1, 1, 1], roof[::-1] * [-1, 1, 1]
    part = [
        patch(side, _view(side, 0)),
        patch(roof, _view(roof, 2)),
        patch(left_roof, _view(left_roof, 2)),
        patch(left_side, _view(left_side, 1)),
    ]
    half = np.concatenate([side, roof[1:]])
    for end in (0, -1):
        right = half[:, end]
        cap = np.stack([right, right * [-1, 1, 1]][:: 1 if end else -1], axis=1)
        part.append(patch(cap, np.full(cap.shape[:2] + (2,), (0.5, 0.1))))
    return part


def _paint_side(canvas):
    """Side view: x of the canvas is z of the car."""
    z, y = canvas.x, canvas.y
    canvas.paint(y < 0.235, SEAM)
    canvas.paint((y > 1.0) & (z > -0.62) & (z < 1.2), CREAM)
    canvas.paint(canvas.polygon([(-0.46, 0.87), (0.78, 0.87), (0.66, 1.03), (-0.34, 1.03)]), CREAM)
    canvas.paint(canvas.polygon([(-0.39, 0.89), (0.08, 0.89), (0.08, 1.26), (-0.12, 1.26)]), GLASS)
    canvas.paint(canvas.polygon([(0.15, 0.89), (0.74, 0.89), (0.56, 1.24), (0.15, 1.26)]), GLASS)
    for start in (-0.20, 0.30):  # the sky in the panes
        sheen = canvas.polygon([(start, 0.91), (start + 0.10, 0.91), (start + 0.22, 1.22), (start + 0.12, 1.22)])
        canvas.paint(sheen, PANE)
    canvas.paint((np.abs(y - 0.815) < 0.012) & (np.abs(z) < 1.30), CHROME)
    for seam in (-0.42, 0.12):
        canvas.paint(canvas.box(seam - 0.008, seam + 0.008, 0.33, 0.80), SEAM)
    canvas.paint(canvas.box(-0.42, 0.12, 0.325, 0.341), SEAM)
    canvas.paint(canvas.box(-0.02, 0.08, 0.725, 0.755, 0.012), CHROME)
    canvas.paint(canvas.disc(-0.16, 0.56, 0.17), CREAM)
    canvas.paint(canvas.text("2", -0.16, 0.56, 0.22, aspect=0.85), SEAM)
    for axle in AXLES:
        canvas.paint(canvas.disc(axle, WHEEL_RADIUS, 0.35), "#101216")
    return canvas.image()


def _paint_top(canvas):
    """Top view: x of the canvas is z of the car, y is x."""
    z, x = canvas.x, np.abs(canvas.y)
    canvas.paint((z > -0.66) & (z < 1.08) & (x < 0.62), CREAM)
    canvas.paint((z > -0.60) & (z < -0.17) & (x < 0.50 - 0.15 * (z + 0.17)), GLASS)
    canvas.paint((z > -0.54) & (z < -0.23) & (np.abs(canvas.y - 0.24 + 0.3 * z) < 0.06), PANE)
    canvas.paint((z > 0.74) & (z < 1.02) & (x < 0.43 + 0.15 * (z - 0.74)), GLASS)
    for start, end in ((-1.60, -0.70), (1.10, 1.60)):  # two stripes along bonnet and boot
        canvas.paint((z > start) & (z < end) & (np.abs(x - 0.11) < 0.07), CREAM)
    return canvas.image()


def textures():
    """File name -> image (h, w, 3) in [0, 1]."""
    width, height = 384, 192
    top = Canvas(width, height, -HALF_LENGTH, HALF_LENGTH, -HALF_WIDTH, HALF_WIDTH, TEAL)
    left = Canvas(width, height, -HALF_LENGTH, HALF_LENGTH, 0, HEIGHT, TEAL)
    right = Canvas(width, height, HALF_LENGTH, -HALF_LENGTH, 0, HEIGHT, TEAL)
    hubcap = Canvas(64, 64, -1, 1, -1, 1, CHROME)
    hubcap.paint(hubcap.disc(0, 0, 0.86), CREAM)
    hubcap.paint(hubcap.disc(0, 0, 0.42), CHROME)
    hubcap.paint(hubcap.disc(0, 0, 0.32), TEAL)
    plate = Canvas(128, 32, -2, 2, -0.5, 0.5, "#1c2430")
    plate.paint(plate.box(-1.94, 1.94, -0.44, 0.44, 0.08), "#f4f2ea")
    plate.paint(plate.text("OBJ 2 NGP", 0, 0, 0.5, aspect=0.9), "#1c2430")
    return {
        "body.png": np.concatenate([_paint_top(top), _paint_side(left), _paint_side(right)]),
        "hubcap.png": hubcap.image(),
        "plate.png": plate.image(),
    }


def parts():
    """List of (part name, material, part)."""
    result = PartList([("body", "paint", _body())])
    add = result.add

    tyre = lathe(
        [
            (0, -0.09),
            (0.20, -0.09),
            (0.265, -0.08),
            (0.29, -0.045),
            (0.29, 0.045),
            (0.265, 0.08),
            (0.18, 0.08),
            (0, 0.08),
        ],
        18,
    )
    hubcap = lathe([(0, 0), (0.18, 0), (0.165, 0.018), (0.07, 0.030), (0.05, 0.05), (0, 0.055)], 16)
    arc = np.radians(np.linspace(4, 176, 10))
    lip = np.stack([0 * arc, 0.355 * np.sin(arc), 0.355 * np.cos(arc)], axis=-1)
    for name, axle in zip(("front", "rear"), AXLES, strict=True):
        add("tyre_" + name, "tyre", moved(tyre, (0.645, WHEEL_RADIUS, axle), z=-90), True)
        add("hubcap_" + name, "hubcap", moved(hubcap, (0.72, WHEEL_RADIUS, axle), z=-90), True)
        add("lip_" + name, "trim", moved(tube(lip, 0.022, 6), (0.69, WHEEL_RADIUS, axle)), True)

    bow = np.linspace(-1, 1, 11)
    for name, sign in (("front", -1), ("rear", 1)):
        bumper = np.stack([0.66 * bow, 0 * bow + 0.37, sign * (1.545 - 0.20 * np.abs(bow) ** 3)], axis=-1)
        add("bumper_" + name, "chrome", tube(bumper, 0.042, 8))
    for name, place in (("front", ((0, 0.375, -1.592), 180)), ("rear", ((0, 0.56, 1.505), 0))):
        plate = rounded_box((*PLATE, 0.02), 0.004, steps=1)
        plate = [patch(points, points[..., :2] / PLATE + 0.5) for points, _ in plate]
        add("plate_" + name, "plate", moved(plate, place[0], y=place[1]))

    bowl = [(0, -0.08), (0.10, -0.08), (0.118, 0), (0.112, 0.015), (0, 0.015)]
    glass = [(0, 0), (0.098, 0), (0.09, 0.02), (0.055, 0.036), (0, 0.042)]
    light = dict(offset=(0.445, 0.665, -1.452), x=-90, y=-12)
    add("headlight_bowl", "chrome", moved(lathe(bowl, 16), **light), True)
    add("headlight", "lens", moved(lathe(glass, 16), **light), True)
    add("grille", "grille", moved(rounded_box((0.50, 0.15, 0.06), 0.025), (0, 0.56, -1.49)))
    for index, height in enumerate((0.525, 0.56, 0.595)):
        path = np.stack([[-0.23, 0, 0.23], [height] * 3, [-1.522] * 3], axis=-1)
        add(f"bar_{index}", "chrome", tube(path, 0.008, 6))
    lamp = rounded_box((0.13, 0.06, 0.05), 0.02, steps=1)
    add("indicator", "indicator", moved(lamp, (0.45, 0.505, -1.462), y=12), True)
    lamp = rounded_box((0.10, 0.17, 0.06), 0.025)
    add("tail_light", "tail_light", moved(lamp, (0.47, 0.62, 1.455), y=-14), True)
    mirror = rounded_box((0.10, 0.08, 0.05), 0.022)
    add("mirror", "chrome", moved(mirror, (0.735, 0.93, -0.36)), True)
    return result
