"""The field with tiny-cuda-nn: hash grid, spherical harmonics and MLPs, forwards and backwards."""

from __future__ import annotations

import tinycudann
import torch

from ...field import MAX_LOG_DENSITY
from .. import STREAM_CELL, BackendError, keep_dense_cells
from .hashing import pcg4d, unit
from .rays import unravel

FULLY_FUSED_WIDTHS = (16, 32, 64, 128)
ALIGNMENTS = (16, 8, 4, 1)  # of an MLP's inputs and outputs: by kind of MLP, GPU and version of tiny-cuda-nn


def grid_config(network):
    """tiny-cuda-nn's JSON for the hash encoding of a NetworkConfig."""
    steps = max(1, network.levels - 1)
    return {
        "otype": "HashGrid",
        "n_levels": network.levels,
        "n_features_per_level": network.features,
        "log2_hashmap_size": network.table_log2,
        "base_resolution": network.base_resolution,
        "per_level_scale": (network.finest_resolution / network.base_resolution) ** (1 / steps),
    }


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
    padded = lambda size: -(-size // alignment) * alignment  # noqa: E731
    places, start = [], 0
    for layer, (inputs, outputs) in enumerate(shapes):
        columns = padded(inputs) if layer == 0 else inputs
        rows = padded(outputs) if layer == len(shapes) - 1 else outputs
        place = start + torch.arange(outputs)[None, :] * columns + torch.arange(inputs)[:, None]
        places.append(place.reshape(-1))
        start += rows * columns
    return torch.cat(places), start


class Mlp:
    """A tiny-cuda-nn network whose weights come from, and whose gradient goes to, a part of Field.weights."""

    def __init__(self, shapes, begin, output_activation, device):
        inputs, width, outputs = shapes[0][0], shapes[0][1], shapes[-1][1]
        if width % 8:
            raise BackendError("train.network: tiny-cuda-nn needs MLP widths in multiples of 8, got {}".format(width))
        self.network = tinycudann.Network(inputs, outputs, mlp_config(width, len(shapes) - 1, output_activation))
        self.network.loss_scale = 1.0  # it would be undone in half precision; LOSS_SCALE is undone in single
        self.params = self.network.params
        layouts = [parameter_places(shapes, alignment) for alignment in ALIGNMENTS]
        fitting = [places for places, total in layouts if total == self.params.numel()]
        if not fitting:
            raise BackendError(
                "tiny-cuda-nn holds an MLP of shapes {} in {} parameters: unknown layout".format(
                    shapes, self.params.numel()
                )
            )
        self.places = fitting[0].to(device)
        self.part = slice(begin, begin + len(self.places))
        self.params.data.zero_()

    def __call__(self, x):
        """(n, outputs) float32."""
        return self.network(x).float()

    def load(self, weights):
        self.params.data[self.places] = weights[self.part]


class Networks:
    """The modules of one field, and the graph that the forward stages leave for the backward stages."""

    def __init__(self, field, training):
        network = field.network
        self.training = training
        self.encoding = tinycudann.Encoding(3, grid_config(network))
        if self.encoding.params.numel() != field.table.numel():
            raise BackendError(
                "train.network: tiny-cuda-nn's hash grid has {} parameters, not {}; another"
                " finest_resolution may fit".format(self.encoding.params.numel(), field.table.numel())
            )
        self.encoding.loss_scale = 1.0
        self.encoding.params.data = field.table.view(-1)  # shared: the optimiser's steps need no copy
        self.harmonics = tinycudann.Encoding(3, {"otype": "SphericalHarmonics", "degree": network.sh_degree})
        self.density = Mlp(field.density_shapes, 0, "None", field.device)
        self.color = Mlp(field.color_shapes, self.density.part.stop, "Sigmoid", field.device)
        self.encoded = self.evaluated = None

    def load(self, field):
        """Takes the MLPs' weights from the field."""
        for mlp in (self.density, self.color):
            mlp.load(field.weights)


def prepare(field, samples):
    samples.scratch = Networks(field, training=hasattr(samples, "d_encoding"))


def _used(samples):
    """Samples to compute: at least one, since tiny-cuda-nn takes no empty batch. No ray owns it then."""
    return max(1, min(int(samples.count), samples.capacity))


def encode(field, samples):
    networks, n = samples.scratch, _used(samples)
    with torch.set_grad_enabled(networks.training):
        networks.encoded = networks.encoding(samples.position[:n])
    samples.encoding[:n] = networks.encoded.detach()


def _log_density(raw):
    return raw[:, 0].detach().clamp(max=MAX_LOG_DENSITY)


def evaluate(field, rays, samples, step_size):
    networks, n = samples.scratch, _used(samples)
    networks.load(field)
    with torch.no_grad():
        direction = networks.harmonics((rays.direction[samples.ray[:n].long()] + 1) / 2).float()
    with torch.set_grad_enabled(networks.training):
        encoding = samples.encoding[:n].detach().requires_grad_(networks.training)
        raw = networks.density(encoding)
        rgb = networks.color(torch.cat([raw, direction], 1))
    samples.density[:n] = torch.exp(_log_density(raw))
    samples.rgb[:n] = rgb.detach()
    networks.evaluated = (encoding, raw, rgb)


def evaluate_backward(field, rays, samples):
    networks = samples.scratch
    encoding, raw, rgb = networks.evaluated
    n = len(raw)
    d_raw = torch.zeros_like(raw)
    d_raw[:, 0] = samples.d_density[:n] * samples.density[:n]
    inputs = [encoding, networks.density.params, networks.color.params]
    d_encoding, *d_params = torch.autograd.grad([raw, rgb], inputs, [d_raw, samples.d_rgb[:n]])
    samples.d_encoding[:n] = d_encoding
    for mlp, gradient in zip((networks.density, networks.color), d_params):
        field.weight_gradient[mlp.part] += gradient[mlp.places]
    networks.evaluated = None


def encode_backward(field, samples):
    networks = samples.scratch
    encoded = networks.encoded
    d_encoded = samples.d_encoding[: len(encoded)].to(encoded.dtype)
    (gradient,) = torch.autograd.grad(encoded, networks.encoding.params, d_encoded)
    field.table_gradient += gradient.view_as(field.table_gradient)
    networks.encoded = None


def update_occupancy(field, grid, samples, clock, step_size):
    networks, total, resolution = samples.scratch, len(grid.cells), grid.resolution
    n = min(grid.config.cells_per_update, total, samples.capacity)
    index = torch.arange(n, device=grid.cells.device)
    cell = grid.cells[(grid.cursor + index) % total].long()
    corner = torch.stack(unravel(cell, (resolution, resolution)), 1)
    inside = torch.stack([unit(w) for w in pcg4d(index, int(clock.step), clock.seed, STREAM_CELL)[:3]], 1)
    networks.load(field)
    with torch.no_grad():
        raw = networks.density(networks.encoding((corner + inside) / resolution).float())
    density = torch.exp(_log_density(raw))
    grid.density[cell] = torch.max(grid.density[cell] * grid.config.decay, density)
    grid.cursor.copy_((grid.cursor + n) % total)
    keep_dense_cells(grid, clock, step_size)
