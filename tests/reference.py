"""Plain PyTorch reference of the stages of a training step; autograd gives the gradients.

Written for clarity: loops where a formula has a sum, float64 where it matters. Shapes are those of
`ngp.buffers`; positions are in the unit cube.
"""

import math

import torch

MASK = 0xFFFFFFFF


def pcg4d(a, b, c, d):
    """Four 32-bit words (int64 tensors or ints) hashed to four: Jarzynski & Olano 2020, listing of `pcg4d`."""
    x, y, z, w = torch.broadcast_tensors(*(torch.as_tensor(word, dtype=torch.int64) for word in (a, b, c, d)))
    x, y, z, w = ((word * 1664525 + 1013904223) & MASK for word in (x, y, z, w))

    def mix(x, y, z, w):  # products wrap modulo 2^64, which keeps their low 32 bits right
        x = (x + y * w) & MASK
        y = (y + z * x) & MASK
        z = (z + x * y) & MASK
        w = (w + y * z) & MASK
        return x, y, z, w

    return mix(*(word ^ (word >> 16) for word in mix(x, y, z, w)))


def unit(word):
    """Floats in [0,1) of the upper 24 bits of 32-bit words."""
    return (word >> 8).double() * 2.0**-24


def draw_rays(views, active, seed, step, edge):
    """origin, direction, background, target (active,3), jitter and pixel (active,) of a step, edge^2 rays a pixel."""
    rgba, pose = views.rgba.cpu(), views.pose.cpu().double()
    pixels = views.pixels[: int(views.pixel_count)].cpu().long()
    focal, center_x, center_y, scale = views.camera.tolist()
    height, width = rgba.shape[1:3]
    index = torch.arange(active)
    pick, x, y, jitter = pcg4d(index // edge**2, step, seed, 0)
    background = torch.stack([unit(word) for word in pcg4d(index // edge**2, step, seed, 1)[:3]], -1)
    part_row, part_column = index // edge % edge, index % edge
    across = ((part_column + part_row / edge) / edge + unit(x)) % 1
    down = ((part_row + (edge - 1 - part_column) / edge) / edge + unit(y)) % 1
    pixel = pixels[(pick * len(pixels)) >> 32]
    view, row, column = pixel // (height * width), pixel // width % height, pixel % width
    local = torch.stack(
        [
            (column + 0.5 + (across - 0.5) * views.jitter - center_x) / focal,
            -(row + 0.5 + (down - 0.5) * views.jitter - center_y) / focal,
            -torch.ones(active, dtype=torch.float64),
        ],
        -1,
    )
    direction = torch.einsum("rij,rj->ri", pose[view, :, :3], local)
    direction = direction / direction.norm(dim=1, keepdim=True)
    origin = pose[view, :, 3] * scale + views.offset.cpu()
    color = rgba[view, row, column].double() / 255
    target = color[:, :3] * color[:, 3:] + background * (1 - color[:, 3:])
    return origin, direction, background, target, (index % edge**2 / edge**2 + unit(jitter)) % 1, pixel


def march(origin, direction, jitter, occupied, step_size, limit=math.inf):
    """(t of the samples, whether rounding may decide otherwise) of one ray through the (G,G,G) grid `occupied`."""
    near, far = 0.0, 1e9
    for o, d in zip(origin.tolist(), direction.tolist(), strict=True):
        if abs(d) > 1e-9:
            near, far = max(near, min(-o / d, (1 - o) / d)), min(far, max(-o / d, (1 - o) / d))
        elif not 0 <= o <= 1:
            far = -1.0
    far = min(far, float(limit))
    start = near + float(jitter) * step_size
    steps = max(0, math.ceil((far - start) / step_size)) if far > near else 0
    t = start + torch.arange(steps, dtype=torch.float64) * step_size
    scaled = (origin.double() + t[:, None] * direction.double()) * len(occupied)
    cell = scaled.floor().long().clamp(0, len(occupied) - 1)
    kept = occupied[cell[:, 0], cell[:, 1], cell[:, 2]].bool()
    # Within rounding of a face both cells are right; so are both answers at the far end of the interval.
    edge = bool(((scaled - scaled.round()).abs() < 1e-4).any()) or abs((far - start) / step_size % 1 - 0.5) > 0.4999
    return t[kept], edge


def encode(position, table, levels, wrap=False):
    """(S, levels*features) multiresolution hash encoding (Müller et al. 2022) of positions (S,3).

    At the cube's upper faces the vertex beyond a level's last one is the last one itself, or, if `wrap`, the entry
    that its index gives modulo the level's size, as tiny-cuda-nn has it.
    """
    columns = []
    for level in range(len(levels.scale)):
        scale, resolution = float(levels.scale[level]), int(levels.resolution[level])
        first, size = int(levels.offset[level]), int(levels.offset[level + 1] - levels.offset[level])
        scaled = position.float() * scale + 0.5
        low = scaled.floor().long()
        fraction = scaled.to(table.dtype) - low
        total = 0
        for corner in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0), (1, 0, 1), (1, 1, 0), (1, 1, 1)):
            offset = torch.tensor(corner)
            vertex = low + offset if wrap else (low + offset).clamp(max=resolution - 1)
            x, y, z = vertex.unbind(-1)
            if levels.hashed[level]:
                entry = (x ^ (y * 2654435761) ^ (z * 805459861)) % size
            else:
                entry = (x + resolution * (y + resolution * z)) % size
            weight = torch.where(offset == 1, fraction, 1 - fraction).prod(-1)
            total = total + weight[:, None] * table[first + entry]
        columns.append(total)
    return torch.cat(columns, -1)


def spherical_harmonics(direction, degree):
    """(S, degree^2) real spherical harmonics; tiny-cuda-nn's order and signs."""
    x, y, z = direction.unbind(-1)
    pi = math.pi
    values = [torch.full_like(x, 0.5 / math.sqrt(pi))]
    first = math.sqrt(3 / (4 * pi))
    values += [-first * y, first * z, -first * x]
    second = math.sqrt(15 / (4 * pi))
    values += [
        second * x * y,
        -second * y * z,
        math.sqrt(5 / (16 * pi)) * (3 * z * z - 1),
        -second * x * z,
        second / 2 * (x * x - y * y),
    ]
    values += [
        math.sqrt(35 / (32 * pi)) * y * (y * y - 3 * x * x),
        math.sqrt(105 / (4 * pi)) * x * y * z,
        math.sqrt(21 / (32 * pi)) * y * (1 - 5 * z * z),
        math.sqrt(7 / (16 * pi)) * z * (5 * z * z - 3),
        math.sqrt(21 / (32 * pi)) * x * (1 - 5 * z * z),
        math.sqrt(105 / (16 * pi)) * z * (x * x - y * y),
        math.sqrt(35 / (32 * pi)) * x * (3 * y * y - x * x),
    ]
    return torch.stack(values[: degree**2], -1)


def mlp(x, matrices):
    """ReLU between the matrices, none behind the last."""
    for matrix in matrices[:-1]:
        x = (x @ matrix).relu()
    return x @ matrices[-1]


def evaluate(encoding, direction, density_matrices, color_matrices, sh_degree):
    """(density (S,), rgb (S,3)) of encodings seen along directions (S,3)."""
    raw = mlp(encoding, density_matrices)
    color_input = torch.cat([raw, spherical_harmonics(direction, sh_degree)], -1)
    return raw[:, 0].clamp(max=15.0).exp(), mlp(color_input, color_matrices).sigmoid()


def visible(density, step_size):
    """Whether each sample of one ray (n,) lies in front of where less than 1e-4 of the light is left."""
    thickness = density.detach() * step_size
    return (thickness - thickness.cumsum(0)).exp() >= 1e-4


def composite(density, rgb, t, background, step_size):
    """color (3,), transmittance, depth of one ray: Max 1995, samples (n,) front to back."""
    seen = visible(density, step_size)
    thickness = density * step_size * seen
    before = (thickness - thickness.cumsum(0)).exp()
    weight = before * (1 - (-thickness).exp())
    left = (-thickness.sum()).exp()
    return (weight[:, None] * rgb).sum(0) + left * background, left, (weight * t).sum()


def distortion(density, t, step_size):
    """Distortion of one ray (Barron et al. 2022, equation 15), samples (n,) front to back."""
    seen = visible(density, step_size)
    thickness = density * step_size * seen
    weight = (thickness - thickness.cumsum(0)).exp() * (1 - (-thickness).exp())
    apart = (t[:, None] - t[None]).abs()
    return (weight[:, None] * weight[None] * apart).sum() + step_size / 3 * (weight**2).sum()


def huber(residual, threshold):
    """Huber loss, scaled so that its slope far out is one."""
    size = residual.abs()
    return torch.where(size < threshold, size**2 / (2 * threshold), size - threshold / 2)


def pixel_color(color, left, background):
    """(3,): what a pixel shows of n rays with colours (n,3) over a background (n,3), and transmittances (n,)."""
    opacity = (1 - left)[:, None]
    straight = (color - left[:, None] * background) / opacity.clamp_min(1e-6)
    light = torch.where(straight <= 0.04045, straight / 12.92, ((straight.clamp_min(0.04) + 0.055) / 1.055) ** 2.4)
    light = (light * opacity).sum(0) / opacity.sum(0).clamp_min(1e-6)
    value = torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clamp_min(0.003) ** (1 / 2.4) - 0.055)
    return value * opacity.mean() + background[0] * (1 - opacity.mean())


def pixel_loss(color, left, background, target, count, edge, threshold):
    """Huber loss (R,) of the pixel that a ray belongs to, of edge^2 rays; none if a ray found no room.

    A pixel's straight colour is the sRGB value of the mean of its rays' light, by opacity.
    """
    losses = []
    for i in range(len(color)):
        pixel = slice(i // edge**2 * edge**2, i // edge**2 * edge**2 + edge**2)
        shown = color[pixel].mean(0) if edge == 1 else pixel_color(color[pixel], left[pixel], background[pixel])
        loss = huber(shown - target[i], threshold).mean()
        losses.append(loss * bool((count[pixel] >= 0).all()))
    return torch.stack(losses)


def adam(value, gradient, first, second, step, config, decay):
    """(value, first, second) after Adam's step number `step` (from 1); entries without gradient stay."""
    rate = config.learning_rate * min(1.0, step / max(1, config.warmup_steps))
    g = gradient + decay * value
    new_first = config.beta1 * first + (1 - config.beta1) * g
    new_second = config.beta2 * second + (1 - config.beta2) * g**2
    slope = (new_first / (1 - config.beta1**step)) / ((new_second / (1 - config.beta2**step)).sqrt() + 1e-15)
    touched = gradient != 0
    return (
        torch.where(touched, value - rate * slope, value),
        torch.where(touched, new_first, first),
        torch.where(touched, new_second, second),
    )


def visited_positions(cells, cursor, count, seed, step, resolution):
    """(cells (count,), positions (count,3)) that one occupancy update looks at."""
    index = torch.arange(count)
    cell = cells.cpu().long()[(cursor + index) % len(cells)]
    x, y, z, _ = pcg4d(index, step, seed, 2)
    corner = torch.stack([cell // resolution**2, cell // resolution % resolution, cell % resolution], -1)
    return cell, (corner + torch.stack([unit(x), unit(y), unit(z)], -1)) / resolution
