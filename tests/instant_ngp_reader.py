"""An independent reader of instant-ngp's snapshots: NumPy alone, written from its format, not from our field.

Values follow tiny-cuda-nn (`grid_index`, `pos_fract`, `sh_enc`, row-major weights), the march instant-ngp's.
"""

import zlib

import msgpack
import numpy as np

STEP = np.sqrt(3) / 1024
PRIMES = np.array([1, 2654435761, 805459861], np.uint32)


class Snapshot:
    """A snapshot's field, of which every parameter is used exactly once."""

    def __init__(self, path):
        self.content = msgpack.unpackb(zlib.decompress(path.read_bytes()))
        state = self.content["snapshot"]
        assert state["params_type"] == "__half" and state["version"] >= 1 and state["mode"] == "nerf"
        self.parameters = np.frombuffer(state["params_binary"], np.float16).astype(np.float32)
        assert len(self.parameters) == state["n_params"]
        encoding, network, color = (self.content[name] for name in ("encoding", "network", "rgb_network"))
        self.levels, self.features = encoding["n_levels"], encoding["n_features_per_level"]
        place = 0

        def matrix(rows, columns):
            nonlocal place
            place += rows * columns
            return self.parameters[place - rows * columns : place].reshape(rows, columns)

        def mlp(config, inputs, outputs):
            width = config["n_neurons"]
            assert config["otype"] == "FullyFusedMLP" and width in (16, 32, 64, 128)
            first = matrix(width, inputs)
            hidden = [matrix(width, width) for _ in range(config["n_hidden_layers"] - 1)]
            return [first, *hidden, matrix(outputs, width)]

        multiple = lambda size: -(-size // 16) * 16  # noqa: E731
        self.encoded = multiple(self.levels * self.features)
        geometry = multiple(network["n_output_dims"])
        self.density_mlp = mlp(network, self.encoded, geometry)
        self.color_mlp = mlp(color, geometry + 16, 16)
        self.grids = []
        log2_scale = np.log2(np.float32(encoding["per_level_scale"]))
        for level in range(self.levels):
            scale = np.exp2(np.float32(level) * log2_scale) * np.float32(encoding["base_resolution"]) - np.float32(1)
            resolution = int(np.ceil(scale)) + 1
            size = min(-(-(resolution**3) // 8) * 8, 1 << encoding["log2_hashmap_size"])
            self.grids.append((scale, resolution, matrix(size, self.features)))
        assert place == len(self.parameters)
        density = np.frombuffer(state["density_grid_binary"], np.float16).astype(np.float32)
        assert len(density) == state["density_grid_size"] ** 3 == 128**3
        self.bits = density > min(0.01, density.mean())

    def encode(self, position):
        """(N, padded) features at positions (N,3) in the unit cube."""
        columns = []
        for scale, resolution, table in self.grids:
            place = position.astype(np.float32) * scale + np.float32(0.5)
            corner = np.floor(place)
            part, corner = place - corner, corner.astype(np.uint32)
            total = 0
            for bits in range(8):
                up = np.array([bits & 1, bits >> 1 & 1, bits >> 2 & 1], np.uint32)
                vertex = corner + up
                if len(table) < resolution**3:
                    entry = np.bitwise_xor.reduce(vertex * PRIMES, axis=1)
                else:
                    entry = vertex @ np.array([1, resolution, resolution**2], np.uint32)
                total = total + np.where(up, part, 1 - part).prod(1)[:, None] * table[entry % len(table)]
            columns.append(total)
        features = np.concatenate(columns, 1)
        return np.pad(features, ((0, 0), (0, self.encoded - features.shape[1])), constant_values=1)

    def field(self, position, direction):
        """Density (N,), per edge of the cube, and colour (N,3)."""
        raw = run(self.density_mlp, self.encode(position))
        color = run(self.color_mlp, np.concatenate([raw, harmonics(direction)], 1))[:, :3]
        return np.exp(raw[:, 0]), 1 / (1 + np.exp(-color))

    def occupied(self, position):
        """(N,) bool: whether the cells of positions (N,3) are sampled."""
        cell = (position * 128).astype(np.int64)
        spread = [sum((cell[:, axis] >> bit & 1) << 3 * bit for bit in range(7)) << axis for axis in range(3)]
        return self.bits[spread[0] | spread[1] | spread[2]]

    def render(self, origin, direction, offset=0.5):
        """(R,4): colour over black and opacity of rays (R,3), sampled every STEP, `offset` steps into the cube."""
        with np.errstate(divide="ignore"):
            sides = np.sort([(0 - origin) / direction, (1 - origin) / direction], axis=0)
        near, far = np.maximum(sides[0].max(1), 0), sides[1].min(1)
        t = near[:, None] + (np.arange(1024) + offset) * STEP
        ray, step = np.nonzero(t < far[:, None])
        position = origin[ray] + t[ray, step, None] * direction[ray]
        kept = self.occupied(position.clip(0, 1 - 1e-6))
        ray, step = ray[kept], step[kept]
        thickness, color = np.zeros(t.shape), np.zeros((*t.shape, 3))
        density, color[ray, step] = self.field(position[kept], direction[ray])
        thickness[ray, step] = density * STEP
        light = np.exp(-np.cumsum(np.pad(thickness, ((0, 0), (1, 0))), 1))
        return np.concatenate([np.einsum("rs,rsc->rc", light[:, :-1] - light[:, 1:], color), 1 - light[:, -1:]], 1)


def run(matrices, rows):
    """A network on rows (N, inputs); matrices are (outputs, inputs)."""
    for matrix in matrices[:-1]:
        rows = np.maximum(rows @ matrix.T, 0)
    return rows @ matrices[-1].T


def harmonics(direction):
    """(N,16) spherical harmonics of directions (N,3): `sh_enc`, degree 4."""
    x, y, z = direction.T
    return np.stack(
        [
            np.full_like(x, 0.28209479177387814),
            -0.48860251190291987 * y,
            0.48860251190291987 * z,
            -0.48860251190291987 * x,
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.94617469575755997 * z**2 - 0.31539156525251999,
            -1.0925484305920792 * x * z,
            0.54627421529603959 * (x**2 - y**2),
            0.59004358992664352 * y * (-3 * x**2 + y**2),
            2.8906114426405538 * x * y * z,
            0.45704579946446572 * y * (1 - 5 * z**2),
            0.3731763325901154 * z * (5 * z**2 - 3),
            0.45704579946446572 * x * (1 - 5 * z**2),
            1.4453057213202769 * z * (x**2 - y**2),
            0.59004358992664352 * x * (-(x**2) + 3 * y**2),
        ],
        1,
    )
