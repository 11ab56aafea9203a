"""Textures: areas of flat colour painted over each other on a supersampled canvas, and patterns."""

import numpy as np

SUPERSAMPLING = 4

# Five rows of pixels a character, enough for "OBJ 2 NGP".
FONT = {
    "O": "0110 1001 1001 1001 0110",
    "B": "1110 1001 1110 1001 1110",
    "J": "0011 0001 0001 1001 0110",
    "2": "1110 0001 0110 1000 1111",
    "N": "1001 1101 1011 1001 1001",
    "G": "0111 1000 1011 1001 0111",
    "P": "1110 1001 1110 1000 1000",
    " ": "00 00 00 00 00",
}


def colour(text):
    """'#rrggbb' (sRGB) as three floats in [0, 1]."""
    return np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)]) / 255


class Canvas:
    """Picture of `width` x `height` pixels over [x0, x1] x [y0, y1], y upwards.

    With x0 > x1 the x axis points left: a mirrored picture, in which text still reads.
    """

    def __init__(self, width, height, x0, x1, y0, y1, background):
        columns, rows = width * SUPERSAMPLING, height * SUPERSAMPLING
        self.x, self.y = np.meshgrid(
            x0 + (np.arange(columns) + 0.5) / columns * (x1 - x0), y1 - (np.arange(rows) + 0.5) / rows * (y1 - y0)
        )
        self.reading = np.sign(x1 - x0)
        self.pixels = np.empty((rows, columns, 3))
        self.pixels[:] = colour(background)

    def paint(self, mask, paint):
        """Give the subpixels under `mask` (boolean) the colour `paint` ('#rrggbb')."""
        self.pixels[mask] = colour(paint)

    def disc(self, x, y, radius, stretch=1.0):
        """Mask of an ellipse: `radius` along y, `stretch * radius` along x."""
        return ((self.x - x) / stretch) ** 2 + (self.y - y) ** 2 < radius**2

    def box(self, x0, x1, y0, y1, radius=0.0):
        """Mask of a rectangle with rounded corners."""
        away_x = np.maximum(np.abs(self.x - (x0 + x1) / 2) - ((x1 - x0) / 2 - radius), 0)
        away_y = np.maximum(np.abs(self.y - (y0 + y1) / 2) - ((y1 - y0) / 2 - radius), 0)
        return np.hypot(away_x, away_y) <= radius + 1e-9

    def polygon(self, corners):
        """Mask of a convex polygon, corners anticlockwise."""
        inside = np.ones_like(self.x, bool)
        for (xa, ya), (xb, yb) in zip(corners, corners[1:] + corners[:1], strict=True):
            inside &= (xb - xa) * (self.y - ya) > (yb - ya) * (self.x - xa)
        return inside

    def text(self, text, x, y, size, aspect=1.0):
        """Mask of `text` centred on (x, y), characters `size` high, pixels `aspect` wide."""
        rows = [" ".join(line).replace(" ", "0") for line in zip(*(FONT[c].split() for c in text), strict=True)]
        unit = size / 5
        mask = np.zeros_like(self.x, bool)
        for row, bits in enumerate(rows):
            top = y + size / 2 - row * unit
            for column in (index for index, bit in enumerate(bits) if bit == "1"):
                centre = x + self.reading * (column + 0.5 - len(bits) / 2) * unit * aspect
                half = unit * aspect / 2
                mask |= self.box(centre - half, centre + half, top - unit, top)
        return mask

    def image(self):
        """The picture as (height, width, 3) floats, averaged over the subpixels."""
        rows, columns, _ = self.pixels.shape
        shape = (rows // SUPERSAMPLING, SUPERSAMPLING, columns // SUPERSAMPLING, SUPERSAMPLING, 3)
        return self.pixels.reshape(shape).mean(axis=(1, 3))


def wood(light, dark, size=160, seed=3):
    """Tileable wood, grain along v: growth rings whose lines wander and are uneven in darkness."""
    random = np.random.default_rng(seed)
    u, v = np.meshgrid(np.arange(size) / size, np.arange(size) / size)

    def wave(across, along):
        return np.cos(2 * np.pi * (across * u + along * v + random.random()))

    wander = 0.05 * wave(1, 1) + 0.03 * wave(0, 2) + 0.02 * wave(2, -1)
    rings = np.zeros_like(u)
    for frequency, weight in ((3, 0.45), (5, 0.3), (9, 0.25), (14, 0.15)):
        phase = 2 * np.pi * (frequency * (u + wander) + random.random())
        rings += weight * np.cos(phase) * (1 + 0.4 * wave(1, 1))
    blend = np.clip(0.5 + 0.5 * rings, 0, 1)[..., None]
    return (1 - blend) * colour(light) + blend * colour(dark)


def petals(ground, petal, dot, size=128):
    """Tileable fabric: overlapping circles whose lenses are petals, with a dot between them."""
    canvas = Canvas(size, size, 0, 1, 0, 1, ground)
    covered = np.zeros_like(canvas.x, int)
    for x in (0, 0.5, 1):
        for y in (0, 0.5, 1):
            if (x == 0.5) == (y == 0.5):
                covered += canvas.disc(x, y, 0.47)
    canvas.paint(covered > 1, petal)
    for x, y in ((0.5, 0), (0.5, 1), (0, 0.5), (1, 0.5)):
        canvas.paint(canvas.disc(x, y, 0.075), dot)
    return canvas.image()
