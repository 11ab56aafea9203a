"""Rays with vren: drawing, marching through the occupancy grid, compositing and its gradient.

vren's cube is [-0.5, 0.5]^3 with `scale` 0.5, so that its march step is the diagonal over `max_samples`.
"""

from __future__ import annotations

import functools
import math

import torch
import vren
from torch_scatter import segment_csr

from ...light import ray_gradients
from .. import BackendError
from ..base import (
    MIN_TRANSMITTANCE,
    SEEN_DEPTH,
    STREAM_BACKGROUND,
    STREAM_PIXEL,
    note_reach,
    rays_to_draw,
    whole_pixels,
)
from .hashing import pcg4d, unit

# vren allots `max_samples` samples of 32 bytes for each ray of a call.
SAMPLES_PER_CALL = 1 << 23


def unravel(index, sizes):
    """Coordinates of flat indices (n,): the slowest axis, and the following ones of `sizes`, as (n,) each."""
    coordinates = []
    for size in reversed(sizes):
        rest = torch.div(index, size, rounding_mode="floor")
        coordinates.append(index - rest * size)
        index = rest
    return [index] + coordinates[::-1]


def draw_rays(views, rays, samples, clock):
    """See Backend.draw_rays."""
    active = rays_to_draw(rays, samples)
    rays.active.fill_(active)
    index = torch.arange(active, device=rays.origin.device)
    step, seed = int(clock.step), int(clock.seed)
    edge = rays.supersampling
    group, part_row, part_column = unravel(index, (edge, edge))
    pick, shift_x, shift_y, shift_t = pcg4d(group, step, seed, STREAM_PIXEL)
    background = torch.stack([unit(word) for word in pcg4d(group, step, seed, STREAM_BACKGROUND)[:3]], 1)
    across = ((part_column + part_row / edge) / edge + unit(shift_x)) % 1
    down = ((part_row + (edge - 1 - part_column) / edge) / edge + unit(shift_y)) % 1

    height, width = views.rgba.shape[1:3]
    pixel = views.pixels[(pick * views.pixel_count) >> 32].long()
    view, row, column = unravel(pixel, (height, width))
    focal, center_x, center_y, scale = views.camera.float().unbind()
    x = (column + 0.5 + (across - 0.5) * views.jitter - center_x) / focal
    y = (center_y - row - 0.5 - (down - 0.5) * views.jitter) / focal
    local = torch.stack([x, y, -torch.ones_like(x)], 1)
    local = local / local.norm(dim=1, keepdim=True)
    pose = views.pose[view]
    rgba = views.rgba[view, row, column].float() / 255

    rays.direction[:active] = (pose[:, :, :3] * local[:, None]).sum(2)
    rays.origin[:active] = pose[:, :, 3] * scale + views.offset
    rays.background[:active] = background
    rays.target[:active] = rgba[:, :3] * rgba[:, 3:] + background * (1 - rgba[:, 3:])
    rays.jitter[:active] = ((index % edge**2) / edge**2 + unit(shift_t)) % 1
    rays.pixel[:active], rays.far[:active] = pixel.int(), views.reach[pixel].float()


def march(rays, grid, samples, step_size):
    """See Backend.march. Raises BackendError for a grid whose resolution is no power of two."""
    active, capacity, device = int(rays.active), samples.capacity, rays.origin.device
    max_samples = int(round(math.sqrt(3) / step_size))
    bits = bitfield(grid)
    center, half = torch.zeros(1, 3, device=device), torch.full((1, 3), 0.5, device=device)
    rays.count.zero_()
    asked = 0
    rays_per_call = max(1, SAMPLES_PER_CALL // max_samples)
    for begin in range(0, active, rays_per_call):
        part = slice(begin, min(begin + rays_per_call, active))
        origin, direction = rays.origin[part] - 0.5, rays.direction[part]
        _, hits, _ = vren.ray_aabb_intersect(origin, direction, center, half, 1)
        hits[:, 0, 1] = torch.min(hits[:, 0, 1], rays.far[part])
        rays_a, position, _, _, t, counter = vren.raymarching_train(
            origin, direction, hits.view(-1, 2), bits, 1, 0.5, 0.0, rays.jitter[part], grid.resolution, max_samples
        )
        # vren's threads place their rays as they come; in the rays' order results do not depend on timing.
        order = rays_a[:, 0].argsort()
        start, count = rays_a[order, 1], rays_a[order, 2]
        total = int(counter[0])
        first = count.cumsum(0) - count
        ray = torch.repeat_interleave(torch.arange(len(count), device=device), count)
        source = torch.arange(total, device=device) + (start - first)[ray]

        fits = max(0, min(total, capacity - asked))
        source, into = source[:fits], slice(asked, asked + fits)
        samples.position[into] = (position[source] + 0.5).clamp(0, 1)
        samples.t[into] = t[source]
        samples.ray[into] = (ray[:fits] + begin).int()
        rays.first[part] = (first + asked).int()
        rays.count[part] = torch.where(first + asked + count <= capacity, count, torch.full_like(count, -1)).int()
        asked += total
    samples.count.fill_(asked)


@functools.lru_cache(maxsize=4)
def morton_cells(resolution, device):
    """The flat index of the cell at each place of the Morton order: (G^3,) int64."""
    if resolution & (resolution - 1):
        raise BackendError("train.occupancy.resolution: vren needs a power of two, got {}".format(resolution))
    place = torch.arange(resolution**3, dtype=torch.int32, device=device)
    x, y, z = vren.morton3D_invert(place).long().unbind(1)
    return (x * resolution + y) * resolution + z


def bitfield(grid):
    """The occupancy grid as vren reads it: (G^3 / 8,) uint8, one bit a cell in Morton order."""
    occupied = grid.occupied[morton_cells(grid.resolution, grid.occupied.device)].float()
    bits = torch.zeros(len(occupied) // 8, dtype=torch.uint8, device=occupied.device)
    vren.packbits(occupied, 0.5, bits)
    return bits


def composite(rays, samples, step_size):
    """See Backend.composite."""
    _composite(rays, samples, step_size)


def _composite(rays, samples, step_size):
    """Composites the rays; returns vren's arguments and results that its backward pass reads."""
    count = rays.count.clamp(min=0).long()
    # The backward pass reads the sample before a ray's end even where the ray has none: it must exist.
    first = torch.where(count > 0, rays.first.long(), torch.ones_like(count))
    rays_a = torch.stack([torch.arange(len(count), device=count.device), first, count], 1)
    inputs = (samples.density, samples.rgb, torch.full_like(samples.t, step_size), samples.t, rays_a)
    _, opacity, depth, rgb, weight = vren.composite_train_fw(*inputs, MIN_TRANSMITTANCE)
    rays.transmittance.copy_(1 - opacity)
    rays.color.copy_(rgb + rays.transmittance[:, None] * rays.background)
    rays.depth.copy_(depth)
    return inputs, (opacity, depth, rgb, weight)


def distortion_slopes(weight, t, rays_a, step_size):
    """(S,) float32: the derivatives of the rays' distortions by the weights, see Backend.composite_loss."""
    first, count = rays_a[:, 1], rays_a[:, 2]
    ray = torch.zeros(len(weight), dtype=torch.long, device=weight.device)
    some = count > 0
    ray[first[some]] = rays_a[some, 0]
    ray = ray.cummax(0)[0]  # rays lie one after another
    inside = torch.arange(len(weight), device=weight.device) < (first + count)[ray]
    weight, t = torch.where(inside, weight, torch.zeros_like(weight)).double(), t.double()
    slopes = []
    for values in (weight, weight * t):
        total = values.cumsum(0)  # over all rays: in double, since what lies in front of a ray is taken off again
        before = total - values - (total - values)[first][ray]
        whole = torch.zeros(len(rays_a), dtype=torch.double, device=weight.device).index_add_(0, ray, values)
        slopes.append(2 * before + values - whole[ray])  # what lies in front, less what lies behind
    apart = t * slopes[0] - slopes[1]
    return (2 * apart + 2 / 3 * step_size * weight).float() * inside


def composite_loss(rays, samples, step_size, huber, distortion, loss_scale):
    """See Backend.composite_loss."""
    (density, sample_rgb, delta, t, rays_a), (opacity, depth, rgb, weight) = _composite(rays, samples, step_size)
    gradients, active = ray_gradients(rays, whole_pixels(rays), huber, distortion), int(rays.active)
    d_color, d_opacity, d_distortion = (
        torch.cat([loss_scale * part, part.new_zeros((rays.capacity - active,) + part.shape[1:])]) for part in gradients
    )
    d_weight = torch.zeros_like(weight)
    if distortion:
        ray = samples.ray.long().clamp(0, rays.capacity - 1)
        d_weight = d_distortion[ray] * distortion_slopes(weight, t, rays_a, step_size)
    d_density, d_rgb = vren.composite_train_bw(
        d_opacity,
        torch.zeros_like(depth),
        d_color,
        d_weight,
        density,
        sample_rgb,
        weight,
        delta,
        t,
        rays_a,
        opacity,
        depth,
        rgb,
        MIN_TRANSMITTANCE,
    )
    samples.d_density.copy_(d_density)
    samples.d_rgb.copy_(d_rgb)


def mark_seen(views, rays, samples, grid, clock, step_size):
    """See Backend.mark_seen."""
    n = max(1, samples.used())
    count, first, ray = rays.count.clamp(min=0).long(), rays.first.long(), samples.ray[:n].long()
    thickness = samples.density[:n].double() * step_size
    total = thickness.cumsum(0)  # over all rays: in double, since what lies in front of a ray is taken off again
    start = (total - thickness)[first.clamp(max=n - 1)]
    lit = total - start[ray] <= -math.log(MIN_TRANSMITTANCE)

    # Segments begin and end at every ray; every other one lies between two rays.
    end = torch.where(count > 0, first + count, torch.zeros_like(count)).cummax(0)[0]
    segments = torch.stack([torch.where(count > 0, first, end), end], 1).view(-1)
    reached = segment_csr(lit.int(), segments, reduce="sum")[::2]

    place = torch.arange(n, device=ray.device) - first[ray]
    behind = int(math.ceil(SEEN_DEPTH / grid.resolution / step_size))
    seen = (place < count[ray]) & (place <= reached[ray] + behind)
    x, y, z = (samples.position[:n][seen] * grid.resolution).long().clamp(max=grid.resolution - 1).unbind(1)
    grid.seen[(x * grid.resolution + y) * grid.resolution + z] = clock.step
    active = int(rays.active)
    last = (first + reached - 1)[:active].clamp(0, n - 1)
    note_reach(views, rays, samples.t[last], grid, step_size)
