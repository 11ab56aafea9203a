"""Stand-in for tiny-cuda-nn's PyTorch modules in plain PyTorch, with its layouts, padding and half precision."""

import math

import checked
import torch

BATCH = 256  # batches are padded to a multiple
PRIMES = (1, 2654435761, 805459861)
ACTIVATIONS = {"None": lambda x: x, "ReLU": torch.relu, "Sigmoid": torch.sigmoid}


def _multiple(size, of):
    return (size + of - 1) // of * of


class _Call(torch.autograd.Function):
    """Runs a module on half-precision parameters, and its backward pass with gradients in half precision."""

    @staticmethod
    def forward(ctx, module, x, params, loss_scale):
        ctx.set_materialize_grads(False)
        ctx.module, ctx.loss_scale = module, loss_scale
        ctx.save_for_backward(x, params)
        return module._compute(x, params.float()).half()

    @staticmethod
    def backward(ctx, d_output):
        checked.tensor("doutput", d_output.contiguous(), (None, None), torch.float16)
        x, params = ctx.saved_tensors
        with torch.enable_grad():
            inputs = [x.detach().requires_grad_(), params.float().detach().requires_grad_()]
            output = ctx.module._compute(*inputs)
        scaled = (d_output.float() * ctx.loss_scale).half().float()
        d_x, d_params = torch.autograd.grad(output, inputs, scaled, allow_unused=True)
        undo = lambda d, dtype: None if d is None else (d.to(dtype).float() / ctx.loss_scale).to(dtype)  # noqa: E731
        return None, undo(d_x, torch.float32), undo(d_params, torch.float16), None


class Module(torch.nn.Module):
    """`params` is flat and float32; the output is half, with the rows of the input."""

    def __init__(self, n_params, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        initial = (torch.rand(n_params, generator=generator) - 0.5).to(checked.DEVICE)
        self.params = torch.nn.Parameter(initial)
        self.loss_scale = 128.0

    def forward(self, x):
        checked.tensor("input", x.contiguous(), (None, self.n_input_dims), x.dtype)
        if not x.is_floating_point():
            raise RuntimeError("input must be floating point, is {}".format(x.dtype))
        checked.tensor("params", self.params, (self.n_params,), torch.float32)
        if len(x) == 0:
            raise RuntimeError("empty batch")
        padded = torch.nn.functional.pad(x.float(), [0, 0, 0, _multiple(len(x), BATCH) - len(x)])
        output = _Call.apply(self, padded, self.params.half(), self.loss_scale)
        return output[: len(x), : self.n_output_dims]


class Encoding(Module):
    """HashGrid or SphericalHarmonics of three inputs in [0,1]."""

    def __init__(self, n_input_dims, encoding_config, seed=1337, dtype=None):
        if dtype not in (None, torch.float16) or n_input_dims != 3:
            raise NotImplementedError("half precision of three inputs only")
        kind = encoding_config["otype"]
        if kind == "HashGrid":
            checked.keys(
                kind,
                encoding_config,
                (
                    "otype",
                    "n_levels",
                    "n_features_per_level",
                    "log2_hashmap_size",
                    "base_resolution",
                    "per_level_scale",
                ),
            )
            for key in ("n_levels", "n_features_per_level", "log2_hashmap_size", "base_resolution"):
                checked.number(key, encoding_config[key], int)
            checked.number("per_level_scale", encoding_config["per_level_scale"], float)
            if encoding_config["n_features_per_level"] not in (1, 2, 4, 8):
                raise RuntimeError("GridEncoding: n_features_per_level must be 1, 2, 4, or 8.")
            levels, features = _grid_levels(encoding_config), encoding_config["n_features_per_level"]
            n_params, self.n_output_dims = features * sum(size for _, _, size in levels), features * len(levels)
            self._compute = lambda x, params: hash_grid(x, params.view(-1, features), levels)
        elif kind == "SphericalHarmonics":
            checked.keys(kind, encoding_config, ("otype", "degree"))
            degree = encoding_config["degree"]
            if degree not in (1, 2, 3, 4):
                raise NotImplementedError("degrees above 4")
            n_params, self.n_output_dims = 0, degree**2
            self._compute = lambda x, params: spherical_harmonics(2 * x - 1)[:, : degree**2]
        else:
            raise RuntimeError("Encoding type {} not found".format(kind))
        self.n_input_dims, self.n_params = n_input_dims, n_params
        super().__init__(n_params, seed)


def _grid_levels(config):
    """(scale, resolution, entries) of each level, in single precision throughout, as grid.h has it."""
    levels = []
    growth = torch.log2(torch.tensor(config["per_level_scale"], dtype=torch.float32))
    for level in range(config["n_levels"]):
        scale = float(torch.exp2(level * growth) * config["base_resolution"] - 1)
        resolution = int(math.ceil(scale)) + 1
        levels.append((scale, resolution, min(_multiple(resolution**3, 8), 1 << config["log2_hashmap_size"])))
    return levels


def hash_grid(x, table, levels):
    """(N, levels * features); `table` (entries, features). Indices wrap around at a level's end."""
    outputs, first = [], 0
    for scale, resolution, size in levels:
        position = x * scale + 0.5
        low = position.detach().floor()
        fraction = position - low
        total = 0
        for corner in range(8):
            bits = [corner >> axis & 1 for axis in range(3)]
            vertex = [low[:, axis].long() + bits[axis] for axis in range(3)]
            if resolution**3 > size:
                index = vertex[0] * PRIMES[0] ^ vertex[1] * PRIMES[1] ^ vertex[2] * PRIMES[2]
            else:
                index = vertex[0] + resolution * (vertex[1] + resolution * vertex[2])
            weight = 1.0
            for axis in range(3):
                weight = weight * (fraction[:, axis] if bits[axis] else 1 - fraction[:, axis])
            total = total + weight[:, None] * table[first + index % size]
        outputs.append(total)
        first += size
    return torch.cat(outputs, 1)


def spherical_harmonics(direction):
    """(N,16): the polynomials of Sloan's "Stupid Spherical Harmonics Tricks", appendix A2."""
    x, y, z = direction.unbind(1)
    pi = math.pi
    a, b, c = math.sqrt(3 / (4 * pi)), math.sqrt(15 / (4 * pi)), math.sqrt(5 / (16 * pi))
    d, e = math.sqrt(35 / (32 * pi)), math.sqrt(105 / (4 * pi))
    f, g = math.sqrt(21 / (32 * pi)), math.sqrt(7 / (16 * pi))
    return torch.stack(
        [
            torch.full_like(x, 0.5 / math.sqrt(pi)),
            -a * y,
            a * z,
            -a * x,
            b * x * y,
            -b * y * z,
            c * (3 * z * z - 1),
            -b * x * z,
            b / 2 * (x * x - y * y),
            -d * y * (3 * x * x - y * y),
            e * x * y * z,
            -f * y * (5 * z * z - 1),
            g * z * (5 * z * z - 3),
            -f * x * (5 * z * z - 1),
            e / 2 * z * (x * x - y * y),
            -d * x * (x * x - 3 * y * y),
        ],
        1,
    )


class Network(Module):
    """An MLP without biases; inputs are padded with ones, outputs are cut off."""

    def __init__(self, n_input_dims, n_output_dims, network_config, seed=1337):
        checked.keys(
            "network", network_config, ("otype", "activation", "output_activation", "n_neurons", "n_hidden_layers")
        )
        kind, width, hidden = (network_config[key] for key in ("otype", "n_neurons", "n_hidden_layers"))
        for name, value in (
            ("n_input_dims", n_input_dims),
            ("n_output_dims", n_output_dims),
            ("n_neurons", width),
            ("n_hidden_layers", hidden),
        ):
            checked.number(name, value, int)
        if kind == "FullyFusedMLP":
            if width not in (16, 32, 64, 128):
                raise RuntimeError("FullyFusedMLP only supports 16, 32, 64, and 128 neurons, but got {}".format(width))
            alignment = 16
        elif kind == "CutlassMLP":
            if width % 8:
                raise RuntimeError("CutlassMLP needs a multiple of 8 neurons, got {}".format(width))
            alignment = 8
        else:
            raise RuntimeError("Invalid network type: {}".format(kind))
        if hidden < 1:
            raise RuntimeError("{} requires at least 1 hidden layer".format(kind))
        widths = [_multiple(n_input_dims, alignment)] + [width] * hidden + [_multiple(n_output_dims, alignment)]
        shapes = list(zip(widths[1:], widths[:-1]))  # (outputs, inputs), row by row
        super().__init__(sum(rows * columns for rows, columns in shapes), seed)
        self.n_input_dims, self.n_output_dims, self.n_params = n_input_dims, n_output_dims, self.params.numel()
        self.shapes = shapes
        self.activation = ACTIVATIONS[network_config["activation"]]
        self.output_activation = ACTIVATIONS[network_config["output_activation"]]

    def _compute(self, x, params):
        x = torch.nn.functional.pad(x, [0, self.shapes[0][1] - x.shape[1]], value=1.0)
        start = 0
        for layer, (rows, columns) in enumerate(self.shapes):
            x = x @ params[start : start + rows * columns].view(rows, columns).t()
            x = (self.activation if layer + 1 < len(self.shapes) else self.output_activation)(x)
            start += rows * columns
        return x
