"""How much light gets from a density lattice's points to cameras: kernels of numba, each compiled once on a machine.

Positions are in lattice coordinates: a point's index is where it is, so that it lies at (index + 0.5) / R in the unit
cube. Between points, values are interpolated linearly.
"""

import math

import numba
import numpy as np
from scipy.ndimage import distance_transform_cdt, maximum_filter, minimum_filter

from .rays import picture_planes

MOST = 2.0  # optical thickness from which on it does not matter how large it is
COARSE = 2  # every so many points are looked at first
FEW = 0.02  # and below which it does not matter how small


def compiled(signature):
    """Compile a function for one signature, and keep the result for the next process where a folder can be written."""

    def compile(function):
        try:
            return numba.njit(signature, cache=True, nogil=True)(function)
        except RuntimeError:  # numba finds no such folder
            return numba.njit(signature, nogil=True)(function)

    return compile


@compiled("float32(float32[:,:,:], float64, float64, float64)")
def interpolated(values, x, y, z):
    """The value of a lattice at a place between its points."""
    a, b, c = int(x), int(y), int(z)
    u, v, w = x - a, y - b, z - c
    one = values[a, b, c] * (1 - w) + values[a, b, c + 1] * w
    two = values[a, b + 1, c] * (1 - w) + values[a, b + 1, c + 1] * w
    near = one * (1 - v) + two * v
    one = values[a + 1, b, c] * (1 - w) + values[a + 1, b, c + 1] * w
    two = values[a + 1, b + 1, c] * (1 - w) + values[a + 1, b + 1, c + 1] * w
    return np.float32(near * (1 - u) + (one * (1 - v) + two * v) * u)


@compiled("int64(int32[:,:,:], float64, float64, float64)")
def steps_without(gap, x, y, z):
    """How many steps from a place there is no value for sure; not above 0 where there may be one. See `gaps`."""
    return COARSE * gap[int(x) // COARSE, int(y) // COARSE, int(z) // COARSE] - COARSE - 1


@compiled("boolean(int64, int64, int64, float64[:], float64[:,:])")
def is_pictured(x, y, z, camera, planes):
    """Whether a lattice point lies before all `planes` (3,4) of a camera (3,)."""
    dx, dy, dz = x - camera[0], y - camera[1], z - camera[2]
    for plane in range(4):
        if dx * planes[0, plane] + dy * planes[1, plane] + dz * planes[2, plane] < 0:
            return False
    return True


@compiled("float32[:](float32[:,:,:], int32[:,:,:], int64[:,:], float64[:,:], float64[:,:,:])")
def least_thickness(density, gap, points, cameras, planes):
    """The optical thickness (N,) between lattice points (N,3) and that of the cameras (C,3) for which it is least.

    density  per step of the lattice         gap  of the density, see `gaps`
    planes   (C,3,4), see rays.picture_planes

    It is 0 where no camera has the point in its picture.
    """
    end, best_camera = len(density) - 1, 0
    result = np.empty(len(points), np.float32)
    for i in range(len(points)):
        px, py, pz = points[i]
        least, first = np.float32(MOST), best_camera
        for j in range(len(cameras)):  # that of the point before goes first: what it leaves, others soon exceed
            camera = first if j == 0 else (j - 1 if j <= first else j)
            dx, dy, dz = cameras[camera, 0] - px, cameras[camera, 1] - py, cameras[camera, 2] - pz
            length = math.sqrt(dx * dx + dy * dy + dz * dz)
            dx, dy, dz = dx / length, dy / length, dz / length
            t, thickness = 0.5, np.float32(0)
            while t < length and thickness < least:
                x, y, z = px + dx * t, py + dy * t, pz + dz * t
                if not (0 <= x < end and 0 <= y < end and 0 <= z < end):
                    break
                free = steps_without(gap, x, y, z)
                if free > 0:
                    t += free
                else:
                    thickness += interpolated(density, x, y, z)
                    t += 1
            if thickness < least and is_pictured(px, py, pz, cameras[camera], planes[camera]):
                least, best_camera = thickness, camera
                if least < FEW:
                    break
        if least == MOST:
            least = np.float32(0)
            for camera in range(len(cameras)):
                if is_pictured(px, py, pz, cameras[camera], planes[camera]):
                    least = np.float32(MOST)
                    break
        result[i] = least
    return result


@compiled("float32[:](float32[:,:,:], int32[:,:,:], float64[:,:], float64[:,:], float64)")
def peaks(values, gap, origins, directions, enough):
    """The highest value (N,) of a lattice along rays (N,3), (N,3) in lattice coordinates; directions of length 1.

    gap     of the values, see `gaps`
    enough  where a ray meets this much, it does not matter whether it meets more
    """
    end = len(values) - 1
    result = np.zeros(len(origins), np.float32)
    for i in range(len(origins)):
        (ox, oy, oz), (dx, dy, dz) = origins[i], directions[i]
        enter, leave = 0.0, math.inf
        for o, d in ((ox, dx), (oy, dy), (oz, dz)):
            if d != 0:
                one, two = -o / d, (end - o) / d
                enter, leave = max(enter, min(one, two)), min(leave, max(one, two))
            elif not 0 <= o < end:
                leave = -1.0
        t = enter + 1e-6
        while t < leave - 1e-6 and result[i] < enough:
            x, y, z = ox + dx * t, oy + dy * t, oz + dz * t
            if not (0 <= x < end and 0 <= y < end and 0 <= z < end):
                break
            free = steps_without(gap, x, y, z)
            if free > 0:
                t += free
            else:
                result[i] = max(result[i], interpolated(values, x, y, z))
                t += 0.5
    return result


def gaps(lattice):
    """How many blocks of COARSE x COARSE x COARSE points each of them is from the nearest that has a value, int32.

    Along an edge or diagonally; 0 for a block that has one itself. Points of a block that is n blocks from it are at
    least (n - 1) * COARSE + 1 steps from a value.
    """
    occupied = np.pad(lattice > 0, [(0, -side % COARSE) for side in lattice.shape])
    for axis in range(3):
        occupied = np.logical_or.reduceat(occupied, np.arange(0, occupied.shape[axis], COARSE), axis=axis)
    return distance_transform_cdt(~occupied, "chessboard").astype(np.int32)


def hiding(density, images):
    """(R,R,R) float32: the optical thickness between each point of a density lattice and the camera that sees it best.

    density  (R,R,R) float32, per edge of the unit cube
    images   PosedImages in the unit cube's coordinates

    It is MOST at most. What is between FEW and MOST is exact; elsewhere only every COARSE-th point is looked at.
    """
    resolution = len(density)
    step, gap, pose = density / np.float32(resolution), gaps(density), np.asarray(images.pose, float)
    cameras, planes = pose[:, :3, 3] * resolution - 0.5, np.stack([picture_planes(images, each) for each in pose])

    def of(points):
        return least_thickness(step, gap, points, cameras, planes)

    size = -(-resolution // COARSE)
    coarse = of(np.indices((size,) * 3).reshape(3, -1).T * COARSE).reshape((size,) * 3)
    in_the_way = np.maximum(coarse, maximum_filter(step, 3)[::COARSE, ::COARSE, ::COARSE])  # thin parts, too
    surface = (maximum_filter(in_the_way, 3) > FEW) & (minimum_filter(coarse, 3) < MOST)
    result, surface = (enlarged(part)[:resolution, :resolution, :resolution] for part in (coarse, surface))
    points = np.argwhere(surface)
    result[tuple(points.T)] = of(points)
    return result


def enlarged(lattice):
    """A lattice with each point COARSE times along each axis."""
    for axis in range(3):
        lattice = lattice.repeat(COARSE, axis)
    return lattice
