"""The density of a field on a regular lattice, and the file that carries it from the trainer to the metrics.

Standard library and numpy, valid for Python 3.7 and without PyTorch, which the metrics' environment lacks.
"""

from dataclasses import dataclass

import numpy as np

from .checks import checked, mapping, number, numbers, open_file
from .files import UserError, atomic_path

# Where the unit cube lies, as files say it: the edges of the cube that are a world unit, and the world's origin in it.
PLACE = {"scale": number(1e-6, 1e6), "offset": numbers(3)}

# A file holds the logarithm of density in bytes: 0 up to the lowest, 255 from the highest on, steps of 6 % between.
# Surfaces are looked for well inside this range.
LOWEST, HIGHEST = 0.01, 30000.0
LARGEST = 512**3 + 4096  # bytes of an array: the finest occupancy grid has so many cells


def spread_bits(cells, bits):
    """Whole numbers with the lowest `bits` of those in an array three apart: an axis of a Morton code (Morton 1966)."""
    return sum(((cells >> bit & 1) << 3 * bit for bit in range(bits)), np.zeros_like(cells))


@dataclass
class Lattice:
    """Density at the middles of R^3 equal cells of the unit cube.

    density        (R,R,R) float32, per edge of the unit cube, indexed [x,y,z]
    scale, offset  the unit cube's position of a world point is point * scale + offset (3,)
    """

    density: np.ndarray
    scale: float
    offset: np.ndarray

    def to_world(self, points):
        """World positions (N,3) of points of the unit cube (N,3)."""
        return (points - np.asarray(self.offset, float)) / self.scale


def save_lattice(path, lattice):
    """Write a Lattice as an .npz file. Atomic."""
    with np.errstate(divide="ignore"):
        share = np.log(lattice.density / LOWEST) / np.log(HIGHEST / LOWEST)
    code = np.round(255 * np.clip(share, 0, 1)).astype(np.uint8)
    with atomic_path(path) as temporary:
        np.savez_compressed(str(temporary), code=code, scale=lattice.scale, offset=np.asarray(lattice.offset, float))


def load_lattice(path):
    """The Lattice in a file; densities up to LOWEST are 0. Raises UserError."""
    try:
        with open_file(path) as stream, np.load(stream) as file:
            if any(member.file_size > LARGEST for member in file.zip.infolist()):
                raise ValueError(f"an array of more than {LARGEST:,} bytes")
            code, scale, offset = file["code"], file["scale"], file["offset"]
        if code.dtype != np.uint8 or code.shape != code.shape[:1] * 3 or not code.size:
            raise ValueError(f"code: {code.dtype} of shape {code.shape}")
        if scale.dtype != float or offset.dtype != float:
            raise ValueError(f"scale: {scale.dtype}, offset: {offset.dtype}")
    except (UserError, MemoryError):
        raise
    except Exception as error:  # NumPy and its archives meet damaged files with errors of all kinds
        raise UserError(f"{path}: no density lattice: {error}") from error
    checked({"scale": scale.tolist(), "offset": offset.tolist()}, mapping(PLACE), path)
    table = (LOWEST * (HIGHEST / LOWEST) ** (np.arange(256) / 255)).astype(np.float32)
    table[0] = 0
    return Lattice(table[code], float(scale), offset)
