"""A model in few bytes, as the page's renderer reads it: quantised, deflated, in Base64.

The hash table has 8 bits a number and a scale a level, the MLPs' matrices 16 bits a number, the occupancy a bit a
cell. On the demo objects that costs below 0.1 dB and leaves a sixth of the model file.
"""

import base64
import dataclasses
import zlib

import numpy as np

from obj2ngp.ngp.field import GridLevels, mlp_shapes
from obj2ngp.ngp.networks import written_by_hand

LARGEST_QUANTUM = 127  # 8 bits, signed and symmetric, as OpenGL's normalised integers
TABLE_ROWS = 8192  # of 2048 texels: a larger texture is more than many graphics cards take
MOST_CELLS = 256  # cells along an edge of the occupancy grid
MOST_MATRICES = 12  # uniform blocks that every WebGL2 has for a fragment shader
MATRIX_BYTES = 1 << 16  # of a uniform block, on all but few graphics cards
TABLE_WIDTH = 2048
LARGEST_HALF = 65504.0  # number in 16 bits


class Unsuited(Exception):
    """A field that no page can show; the message says what is wrong with it."""


def quantise(table, offset):
    """(int8 table, (L,) float scale) of a table (entries, features) float32, whose levels begin at `offset` (L+1,).

    A number of level l is scale[l] * q / LARGEST_QUANTUM.
    """
    numbers, scales = np.empty(table.shape, np.int8), []
    for begin, end in zip(offset[:-1], offset[1:]):
        scale = max(float(np.abs(table[begin:end]).max()), 1e-30)
        numbers[begin:end] = np.rint(table[begin:end] * (LARGEST_QUANTUM / scale))
        scales.append(scale)
    return numbers, scales


def dequantise(numbers, scales, offset):
    """The float32 table that the page's renderer reads; see `quantise`."""
    each = np.repeat(np.asarray(scales, np.float32) / LARGEST_QUANTUM, np.diff(offset))
    return numbers * each[:, None]


def check_kind(model):
    """Raise Unsuited if no page can show the field of `model`, whatever its bytes."""
    network, grid, up = model.config.network, model.occupied.shape[0], lambda n: -(-n // 4) * 4
    if not written_by_hand(network):
        raise Unsuited("it has the encoding {0.encoding} and the head {0.head}".format(network))
    texels = len(model.table) * -(-network.features // 4)
    density, color = mlp_shapes(network)
    inputs = [up(rows) for rows, _ in density + color]
    inputs[len(density)] = up(network.geometry_features) + up(network.sh_degree**2)
    outputs = [up(columns) for _, columns in density + color]
    matrix = max(4 * rows * columns for rows, columns in zip(inputs, outputs))
    if texels > TABLE_ROWS * TABLE_WIDTH:
        raise Unsuited("it is too large: its hash table has {:,} entries".format(len(model.table)))
    if grid > MOST_CELLS:
        raise Unsuited("it is too large: its occupancy grid has {} cells along an edge".format(grid))
    if len(inputs) > MOST_MATRICES or matrix > MATRIX_BYTES:
        raise Unsuited("it is too large: its networks have more layers, or wider ones, than a shader takes")


def packed(model):
    """(description, data) of a model: a JSON-able dict and a text, for the page's renderer. Raises Unsuited.

    The description's `scale` and `offset` put a world point into the unit cube, as in ngp.model_file.Model; `jitter`
    is the width in pixels of the square in which a pixel's rays lie.
    """
    check_kind(model)
    if model.weights.abs().max() > LARGEST_HALF:
        raise Unsuited("its networks' matrices have numbers beyond {:g}".format(LARGEST_HALF))
    config, levels = model.config, GridLevels(model.config.network)
    offset = levels.offset.numpy()
    numbers, scales = quantise(model.table.numpy(), offset)
    matrices, cells = model.weights.numpy().astype("<f2"), np.packbits(model.occupied.numpy())
    description = {
        "network": dataclasses.asdict(config.network),
        "levels": {
            "scale": [float(x) for x in levels.scale],
            "resolution": levels.resolution.tolist(),
            "offset": offset.tolist(),
            "hashed": levels.hashed.tolist(),
            "quantum": scales,
        },
        "weights": len(matrices),
        "grid": model.occupied.shape[0],
        "march_steps": config.march_steps,
        "jitter": config.pixel_jitter,
        "scale": model.scale,
        "offset": model.offset.tolist(),
    }
    content = numbers.tobytes() + matrices.tobytes() + cells.tobytes()
    return description, base64.b64encode(zlib.compress(content, 9)).decode("ascii")
