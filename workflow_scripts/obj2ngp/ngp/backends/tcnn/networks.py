"""The field with tiny-cuda-nn: hash grid, spherical harmonics and MLPs, forwards and backwards."""

from __future__ import annotations

import tinycudann
import torch

from ...field import MAX_LOG_DENSITY
from ...tiny_cuda_nn import grid_config, mlp_config, parameter_places
from .. import BackendError

ALIGNMENTS = (16, 8, 4, 1)  # of an MLP's inputs and outputs: by kind of MLP, GPU and version of tiny-cuda-nn


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
    """The modules of one field, the stages that they run, and the graphs that the forward stages leave.

    training  whether the forward stages leave graphs, for the backward stages
    Raises BackendError for networks that tiny-cuda-nn cannot run.
    """

    def __init__(self, field, training):
        network = field.network
        self.field, self.training = field, training
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

    def load(self):
        """Takes the MLPs' weights from the field."""
        for mlp in (self.density, self.color):
            mlp.load(self.field.weights)

    def encode(self, samples):
        """See Backend.encode."""
        n = batch(samples)
        with torch.set_grad_enabled(self.training):
            self.encoded = self.encoding(samples.position[:n])
        samples.encoding[:n] = self.encoded.detach()

    def evaluate(self, rays, samples):
        """See Backend.evaluate."""
        n = batch(samples)
        self.load()
        with torch.no_grad():
            direction = self.harmonics((rays.direction[samples.ray[:n].long()] + 1) / 2).float()
        with torch.set_grad_enabled(self.training):
            encoding = samples.encoding[:n].detach().requires_grad_(self.training)
            raw = self.density(encoding)
            rgb = self.color(torch.cat([raw, direction], 1))
        samples.density[:n] = density_of(raw)
        samples.rgb[:n] = rgb.detach()
        self.evaluated = (encoding, raw, rgb)

    def evaluate_backward(self, samples):
        """See Backend.evaluate_backward."""
        encoding, raw, rgb = self.evaluated
        n = len(raw)
        d_raw = torch.zeros_like(raw)
        d_raw[:, 0] = samples.d_density[:n] * samples.density[:n]
        inputs = [encoding, self.density.params, self.color.params]
        d_encoding, *d_params = torch.autograd.grad([raw, rgb], inputs, [d_raw, samples.d_rgb[:n]])
        samples.d_encoding[:n] = d_encoding
        for mlp, gradient in zip((self.density, self.color), d_params):
            self.field.weight_gradient[mlp.part] += gradient[mlp.places]
        self.evaluated = None

    def encode_backward(self, samples):
        """See Backend.encode_backward."""
        d_encoded = samples.d_encoding[: len(self.encoded)].to(self.encoded.dtype)
        (gradient,) = torch.autograd.grad(self.encoded, self.encoding.params, d_encoded)
        self.field.table_gradient += gradient.view_as(self.field.table_gradient)
        self.encoded = None

    def density_at(self, positions):
        """See Backend.density."""
        self.load()
        with torch.no_grad():
            return density_of(self.density(self.encoding(positions).float()))


def batch(samples):
    """How many samples to compute: at least one, since tiny-cuda-nn takes no empty batch. No ray owns it then."""
    return max(1, samples.used())


def density_of(raw):
    """(n,) of the density MLP's outputs (n, geometry_features)."""
    return torch.exp(raw[:, 0].detach().clamp(max=MAX_LOG_DENSITY))
