"""How tiny-cuda-nn describes a field of ours and orders its parameters. It needs no tiny-cuda-nn itself.

Read from its sources, commit 6ee3546: `encodings/grid.h`, `fully_fused_mlp.cu`, `common_device.h`.
"""

from __future__ import annotations

import numpy as np
import torch

from .field import GROWTH_SLACK, level_growth

FULLY_FUSED_WIDTHS = (16, 32, 64, 128)
FULLY_FUSED_ALIGNMENT = 16  # of inputs and outputs
GRID_FEATURES = (1, 2, 4, 8)  # a level


def grid_config(network):
    """tiny-cuda-nn's JSON for the hash encoding of a NetworkConfig."""
    return {
        "otype": "HashGrid",
        "n_levels": network.levels,
        "n_features_per_level": network.features,
        "log2_hashmap_size": network.table_log2,
        "base_resolution": network.base_resolution,
        "per_level_scale": level_growth(network) * (1 - GROWTH_SLACK),
    }


def grid_resolutions(network):
    """(L,) int64: vertices along an edge as tiny-cuda-nn counts them from `grid_config`, in single precision."""
    growth = np.log2(np.float32(grid_config(network)["per_level_scale"]))
    power = np.exp2(np.arange(network.levels, dtype=np.float32) * growth)
    return np.ceil(power * np.float32(network.base_resolution) - np.float32(1)).astype(np.int64) + 1


def mlp_config(width, layers, output_activation):
    """tiny-cuda-nn's JSON for an MLP with `layers` hidden layers of `width` neurons."""
    return {
        "otype": "FullyFusedMLP" if width in FULLY_FUSED_WIDTHS else "CutlassMLP",
        "activation": "ReLU",
        "output_activation": output_activation,
        "n_neurons": width,
        "n_hidden_layers": layers,
    }


def parameter_places(shapes, alignment):
    """Where an MLP's weights, in the order of `Field.weights`, lie among tiny-cuda-nn's parameters.

    shapes     (inputs, outputs) of each matrix; ours are stored row by row
    alignment  tiny-cuda-nn pads the network's inputs and its outputs to a multiple of this
    Returns (n,) int64 and the number of tiny-cuda-nn's parameters: first to last layer, each matrix
    (outputs, inputs) row by row. The padding is no part of the field: its inputs are 1, so its weights are 0.
    """
    places, start = [], 0
    for layer, (inputs, outputs) in enumerate(shapes):
        columns = padded(inputs, alignment) if layer == 0 else inputs
        rows = padded(outputs, alignment) if layer == len(shapes) - 1 else outputs
        place = start + torch.arange(outputs)[None, :] * columns + torch.arange(inputs)[:, None]
        places.append(place.reshape(-1))
        start += rows * columns
    return torch.cat(places), start


def padded(size, alignment):
    """`size` rounded up to a multiple of `alignment`."""
    return -(-size // alignment) * alignment


def mlp_parameters(matrices):
    """(n,) float32: an MLP's matrices, each (inputs, outputs), as FullyFusedMLP's parameters, in its order."""
    places, total = parameter_places([tuple(matrix.shape) for matrix in matrices], FULLY_FUSED_ALIGNMENT)
    parameters = torch.zeros(total)
    parameters[places] = torch.cat([matrix.reshape(-1) for matrix in matrices])
    return parameters
