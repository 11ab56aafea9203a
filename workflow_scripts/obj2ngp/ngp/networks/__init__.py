"""What fields are made of: encodings of positions, and heads that make density and colour of them.

Each is a module of this folder, named in ENCODINGS or HEADS of `ngp.config`, with a class `Encoding` or `Head` in plain
PyTorch: its parameters come in as a tensor, so that all backends, the optimiser and the model file can keep them.

    class Encoding:                                      class Head:
        def __init__(self, network)                          def __init__(self, network)
        shape   of its parameters, (rows, columns)           count   of its parameters
        width   features of a position
        def start(self, generator)                           def start(self, generator)
        def __call__(self, table, positions)                 def __call__(self, weights, encoding, directions)

`network` is a NetworkConfig. `start` draws the first parameters, a NumPy array, from a NumPy generator. Calls are
differentiable: positions (S,3) in the unit cube give features (S,width); those and unit directions (S,3) give the log
of the density per edge of the cube (S,) and the colour (S,3) in [0,1].
"""

from __future__ import annotations

import importlib

HASH, MLPS = "hash", "mlps"  # those that the backends have stages of their own for


def encoding_of(network):
    """The Encoding that a NetworkConfig names."""
    return importlib.import_module("obj2ngp.ngp.networks." + network.encoding).Encoding(network)


def head_of(network):
    """The Head that a NetworkConfig names."""
    return importlib.import_module("obj2ngp.ngp.networks." + network.head).Head(network)


def written_by_hand(network):
    """Whether the backends have stages of their own for both parts of a NetworkConfig."""
    return (network.encoding, network.head) == (HASH, MLPS)
