"""Small modelling kit: textured parts out of grids of points, written as Wavefront OBJ.

Axes as in ShapeNet: x right, y up, the front of an object looks along -z; lengths in metres. A
*patch* is a grid of points (n, m, 3) with texture coordinates (n, m, 2); it is seen from the side
on which (d points / d first index) x (d points / d second index) lies. A *part* is a list of
patches that together close a solid.
"""

import numpy as np

SMOOTH_ANGLE = 50.0  # degrees: faces that meet at a smaller angle are shaded as one surface


def patch(points, uv):
    """One patch: a pair of float arrays (n, m, 3) and (n, m, 2)."""
    return np.asarray(points, float), np.asarray(uv, float)


def rounded_box(size, radius, grain=None, steps=2, inner=(1, 1, 1)):
    """Box of `size` (3,) centred on the origin, its edges rounded with `radius`.

    The texture is projected along the axes, one repetition a metre, with v along the axis `grain`
    (the longest one by default). `steps` quads span half a rounded edge, `inner` (3,) the flat
    middle along each axis.
    """
    half = np.asarray(size, float) / 2
    core = half - radius
    grain = int(np.argmax(half)) if grain is None else grain
    edge = np.tan(np.linspace(0, np.pi / 4, steps + 1))  # equal angles around the edge
    part = []
    for axis in range(3):
        for sign in (-1, 1):
            u, v = [a for a in range(3) if a != axis]
            if v != grain:
                u, v = (v, u) if u == grain else (u, v)
            lines = [
                np.concatenate(
                    [
                        -core[a] - radius * edge[:0:-1],
                        np.linspace(-core[a], core[a], inner[a] + 1),
                        core[a] + radius * edge[1:],
                    ]
                )
                for a in (u, v)
            ]
            cube = np.empty((len(lines[0]), len(lines[1]), 3))
            cube[..., u], cube[..., v] = np.meshgrid(*lines, indexing="ij")
            cube[..., axis] = sign * half[axis]
            nearest = np.clip(cube, -core, core)
            away = cube - nearest
            away /= np.linalg.norm(away, axis=-1, keepdims=True)
            points = nearest + radius * away
            part += outward([patch(points, cube[..., [u, v]] + 0.37 * axis)])
    return part


def lathe(profile, segments=24):
    """Solid of revolution about y. `profile`: (n, 2) radius and height, from axis to axis.

    The texture lies face on, along the axis: the unit square holds the disc.
    """
    profile = np.asarray(profile, float)
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    radius, height = profile[:, :1], profile[:, 1:]
    points = np.stack(np.broadcast_arrays(radius * np.cos(angle), height, radius * np.sin(angle)), axis=-1)
    return outward([patch(points, 0.5 + points[..., [0, 2]] / (2 * radius.max()))])


def lofted(rings, uv=None):
    """Solid through closed `rings` (n, m, 3), first point = last, both ends closed by a fan.

    `uv`: function (n, m, 3) -> (n, m, 2) of the points.
    """
    rings = np.asarray(rings, float)
    ends = [np.broadcast_to(ring[:-1].mean(axis=0), ring.shape) for ring in (rings[0], rings[-1])]
    points = np.concatenate([ends[0][None], rings, ends[1][None]])
    return outward([patch(points, points[..., :2] if uv is None else uv(points))])


def smoothed(curve, x, width=0.1):
    """Values at `x` of the polyline `curve` [(x, value), ...], averaged over `width`.

    The window narrows towards the ends, where the curve keeps its values.
    """
    curve = np.asarray(curve, float)
    room = np.minimum(x - curve[0, 0], curve[-1, 0] - x)
    near = x[:, None] + np.linspace(-1, 1, 9) * np.minimum(room, width / 2)[:, None]
    return np.interp(near, curve[:, 0], curve[:, 1]).mean(axis=1)


def tube(path, radii, segments=12, repeats=1.0):
    """Round rod along `path` (n, 3) with `radii` (n,) or one radius, closed by domes.

    u goes around, v along the rod in metres times `repeats`.
    """
    path = np.asarray(path, float)
    radii = np.broadcast_to(np.asarray(radii, float), len(path))
    tangents = np.gradient(path, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    dome = np.radians([90, 45])
    ends = [(0, -np.sin(a), np.cos(a)) for a in dome], [(-1, np.sin(a), np.cos(a)) for a in dome]
    stations = ends[0] + [(index, 0, 1) for index in range(len(path))] + ends[1][::-1]
    angle = np.linspace(0, 2 * np.pi, segments + 1)[:, None]
    side = np.eye(3)[np.argmin(np.abs(tangents[0]))]
    centres, rings = [], []
    for index, ahead, shrink in stations:
        side = side - tangents[index] * (tangents[index] @ side)  # carried along without twist
        side /= np.linalg.norm(side)
        across = np.cross(tangents[index], side)
        centres.append(path[index] + ahead * radii[index] * tangents[index])
        around = np.cos(angle) * side + np.sin(angle) * across
        rings.append(centres[-1] + shrink * radii[index] * around)
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    along = repeats * np.concatenate([[0], np.cumsum(steps)])[:, None]
    uv = np.stack(np.broadcast_arrays(angle[:, 0] / (2 * np.pi), along), axis=-1)
    return outward([patch(rings, uv)])


def moved(part, offset=(0, 0, 0), scale=1.0, x=0.0, y=0.0, z=0.0):
    """`part` scaled by a factor or three, turned about x, then y, then z (degrees), and shifted."""
    matrix = np.eye(3)
    for axis, degrees in enumerate((x, y, z)):
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turn = np.eye(3)
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn[first, first] = turn[second, second] = cosine
        turn[first, second], turn[second, first] = -sine, sine
        matrix = turn @ matrix
    return warped(part, lambda points: (points * scale) @ matrix.T + np.asarray(offset))


def warped(part, function):
    """`part` with `function` (n, m, 3) -> (n, m, 3) applied to its points."""
    return [patch(function(points), uv) for points, uv in part]


def mirrored(part):
    """`part` mirrored at the plane x = 0, still seen from outside."""
    return [patch(points[::-1] * [-1, 1, 1], uv[::-1]) for points, uv in part]


def outward(part):
    """`part` turned inside out if its signed volume says that its patches look inwards.

    A patch alone is measured by the cone that joins it to the origin.
    """
    if volume(part) >= 0:
        return part
    return [patch(points[::-1], uv[::-1]) for points, uv in part]


def volume(part):
    """Signed volume of a closed part (divergence theorem over its triangles)."""
    total = 0.0
    for points, _ in part:
        a, b, c, d = points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]
        for second, third in ((b, c), (c, d)):
            total += np.einsum("nmi,nmi->", a, np.cross(second, third)) / 6
    return total


def quads(part):
    """All faces of a part: corner positions (f, 4, 3) and texture coordinates (f, 4, 2)."""
    corners = []
    for arrays in zip(*part, strict=True):
        pieces = [
            np.stack([a[:-1, :-1], a[1:, :-1], a[1:, 1:], a[:-1, 1:]], axis=2).reshape(-1, 4, a.shape[-1])
            for a in arrays
        ]
        corners.append(np.concatenate(pieces))
    return corners


def corner_normals(positions):
    """Unit normals (f, 4, 3) of the corners of faces (f, 4, 3).

    Each is the area-weighted mean over the faces that meet there at less than SMOOTH_ANGLE.
    """
    areas = np.cross(positions[:, 2] - positions[:, 0], positions[:, 3] - positions[:, 1])
    units = areas / np.maximum(np.linalg.norm(areas, axis=1, keepdims=True), 1e-12)
    rounded = np.round(positions.reshape(-1, 3), 5) + 0.0  # no negative zero
    _, place = np.unique(rounded, axis=0, return_inverse=True)
    around = [[] for _ in range(place.max() + 1)]
    for corner, number in enumerate(place.ravel()):
        around[number].append(corner // 4)
    normals = np.empty((len(place), 3))
    for corner, number in enumerate(place.ravel()):
        faces = np.unique(around[number])
        smooth = units[faces] @ units[corner // 4] > np.cos(np.radians(SMOOTH_ANGLE))
        normals[corner] = areas[faces[smooth]].sum(axis=0)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return normals.reshape(positions.shape)


class _Numbered:
    """Rounded rows and their 1-based numbers, as OBJ counts them."""

    def __init__(self, decimals):
        self.decimals, self.numbers = decimals, {}

    def __call__(self, row):
        # The offset breaks ties: the last bit of a sine, which differs between machines, must not
        # decide how 0.01525 is rounded. Adding 0.0 makes a negative zero positive.
        key = tuple(float(value) for value in np.round(row + 1e-7, self.decimals) + 0.0)
        return self.numbers.setdefault(key, len(self.numbers) + 1)

    def lines(self, keyword):
        return [" ".join([keyword] + [f"{value:.12g}" for value in key]) for key in self.numbers]


def obj_text(name, parts):
    """OBJ file of `parts`, a list of (part name, material, part), with `name`.mtl beside it."""
    positions, coordinates, normals = _Numbered(4), _Numbered(3), _Numbered(3)
    faces = []
    for part_name, material, part in parts:
        faces += ["g " + part_name, "usemtl " + material]
        corners, uv = quads(part)
        for face in zip(corners, uv, corner_normals(corners), strict=True):
            numbers = [(positions(p), coordinates(t), normals(n)) for p, t, n in zip(*face, strict=True)]
            distinct = {corner[0]: corner for corner in numbers}  # a pole makes a triangle
            if len(distinct) > 2:
                faces.append("f " + " ".join("/".join(map(str, corner)) for corner in distinct.values()))
    vertices = positions.lines("v") + coordinates.lines("vt") + normals.lines("vn")
    return "\n".join([f"mtllib {name}.mtl", "o " + name] + vertices + faces) + "\n"


class PartList(list):
    """A model's parts, each (part name, material, part)."""

    def add(self, name, material, part, both_sides=False):
        """Append a part and, for `both_sides`, its mirror image on the left."""
        self.append((name, material, part))
        if both_sides:
            self.append((name + "_left", material, mirrored(part)))


def mtl_text(materials):
    """MTL file of `materials`: name -> (diffuse RGB or texture file name, specular 0..1, Ns)."""
    blocks = []
    for name, (diffuse, specular, exponent) in materials.items():
        textured = isinstance(diffuse, str)
        blocks += [
            "newmtl " + name,
            "Kd %.3f %.3f %.3f" % ((1, 1, 1) if textured else diffuse),
            "Ks %.3f %.3f %.3f" % ((specular,) * 3),
            f"Ns {exponent:.1f}",
            "d 1.0",
            "illum 2",
        ]
        if textured:
            blocks.append("map_Kd " + diffuse)
        blocks.append("")
    return "\n".join(blocks)
