"""Stand-in for the calls of ngp_pl's extension vren that a static scene in one cascade needs."""

import math

import checked
import torch


def _axes(rays_d):
    return 1.0 / rays_d  # infinite along the axes, as on the GPU


def ray_aabb_intersect(rays_o, rays_d, centers, half_sizes, max_hits):
    """hits_cnt (N,) int32, hits_t (N,max_hits,2), hits_voxel_idx (N,max_hits) int64; -1 where nothing is hit."""
    n = len(rays_o)
    checked.tensor("rays_o", rays_o, (n, 3), torch.float32)
    checked.tensor("rays_d", rays_d, (n, 3), torch.float32)
    checked.tensor("centers", centers, (1, 3), torch.float32)
    checked.tensor("half_sizes", half_sizes, (1, 3), torch.float32)
    checked.number("max_hits", max_hits, int)
    inverse = _axes(rays_d)
    low, high = (centers - half_sizes - rays_o) * inverse, (centers + half_sizes - rays_o) * inverse
    near, far = torch.fmin(low, high).max(1)[0], torch.fmax(low, high).min(1)[0]
    hit = (near <= far) & (far > 0)
    hits_t = torch.full((n, max_hits, 2), -1.0, device=rays_o.device)
    hits_t[hit, 0] = torch.stack([near.clamp(min=0), far], 1)[hit]
    index = torch.full((n, max_hits), -1, dtype=torch.int64, device=rays_o.device)
    index[hit, 0] = 0
    return hit.int(), hits_t, index


def _spread(v):
    """Bits of v (int64, ten of them) with two zeros between any two."""
    return sum((v >> bit & 1) << 3 * bit for bit in range(10))


def morton3D(coords):
    checked.tensor("coords", coords, (None, 3), torch.int32)
    x, y, z = coords.long().unbind(1)
    return (_spread(x) | _spread(y) << 1 | _spread(z) << 2).int()


def morton3D_invert(indices):
    checked.tensor("indices", indices, (None,), torch.int32)
    indices = indices.long()
    return torch.stack([sum((indices >> 3 * bit + axis & 1) << bit for bit in range(10)) for axis in range(3)], 1).int()


def packbits(density_grid, density_threshold, density_bitfield):
    """Writes one bit a cell, eight cells a byte, the first one lowest."""
    checked.tensor("density_grid", density_grid, (8 * len(density_bitfield),), torch.float32)
    checked.number("density_threshold", density_threshold, float)
    checked.tensor("density_bitfield", density_bitfield, (None,), torch.uint8)
    bits = (density_grid > density_threshold).view(-1, 8).long()
    density_bitfield.copy_((bits << torch.arange(8, device=bits.device)).sum(1).to(torch.uint8))


def raymarching_train(
    rays_o, rays_d, hits_t, density_bitfield, cascades, scale, exp_step_factor, noise, grid_size, max_samples
):
    """rays_a (N,3) int64, xyzs, dirs, deltas, ts (all far too long), counter (2,) int32.

    Rays come in any order, and their samples in another, as from threads that race.
    """
    n, device = len(rays_o), rays_o.device
    checked.tensor("rays_o", rays_o, (n, 3), torch.float32)
    checked.tensor("rays_d", rays_d, (n, 3), torch.float32)
    checked.tensor("hits_t", hits_t, (n, 2), torch.float32)
    checked.tensor("noise", noise, (n,), torch.float32)
    checked.tensor("density_bitfield", density_bitfield, (cascades * grid_size**3 // 8,), torch.uint8)
    for name, value in (("cascades", cascades), ("grid_size", grid_size), ("max_samples", max_samples)):
        checked.number(name, value, int)
    for name, value in (("scale", scale), ("exp_step_factor", exp_step_factor)):
        checked.number(name, value, float)
    if cascades != 1 or scale != 0.5 or exp_step_factor != 0 or n == 0:
        raise NotImplementedError("one cascade of scale 0.5, constant steps, at least one ray")
    if grid_size & (grid_size - 1):
        raise RuntimeError("Morton order needs a power of two")

    place = torch.arange(grid_size**3, dtype=torch.int32, device=device)
    bits = (density_bitfield.long()[:, None] >> torch.arange(8, device=device) & 1).bool().view(-1)
    occupied_cells = torch.zeros_like(bits).view(grid_size, grid_size, grid_size)
    occupied_cells[morton3D_invert(place).long().unbind(1)] = bits

    step = torch.tensor(math.sqrt(3), dtype=torch.float32) / max_samples
    inverse = _axes(rays_d)
    t, far = hits_t[:, 0] + torch.where(hits_t[:, 0] >= 0, step.to(device) * noise, noise * 0), hits_t[:, 1]
    step = float(step)
    count = torch.zeros(n, dtype=torch.int64, device=device)
    kept = torch.zeros(n, max_samples, device=device)
    while True:
        going = (t >= 0) & (t < far) & (count < max_samples)
        if not bool(going.any()):
            break
        position = rays_o + t[:, None] * rays_d
        cell = ((position + 0.5) * grid_size).clamp(0, grid_size - 1).long()
        occupied = occupied_cells[cell.unbind(1)] & going
        kept[occupied, count[occupied]] = t[occupied]
        count += occupied
        leave = ((cell + (rays_d >= 0).float()) / grid_size - 0.5 - position) * inverse
        target = t + torch.fmin(torch.fmin(leave[:, 0], leave[:, 1]), leave[:, 2]).clamp(min=0)
        following = t + step
        behind = going & ~occupied & (following < target)
        while bool(behind.any()):
            following = torch.where(behind, following + step, following)
            behind = behind & (following < target)
        t = torch.where(going, following, t)

    places = torch.randperm(n, generator=torch.Generator().manual_seed(n)).to(device)
    start = torch.zeros_like(count)
    start[places] = count[places].cumsum(0) - count[places]
    rays_a = torch.stack([torch.arange(n, device=device), start, count], 1)[places.flip(0)].contiguous()
    xyzs, dirs = torch.zeros(n * max_samples, 3, device=device), torch.zeros(n * max_samples, 3, device=device)
    deltas, ts = torch.zeros(n * max_samples, device=device), torch.zeros(n * max_samples, device=device)
    for k in range(int(count.max())):
        ray = (count > k).nonzero()[:, 0]
        into = start[ray] + k
        ts[into], deltas[into], dirs[into] = kept[ray, k], step, rays_d[ray]
        xyzs[into] = rays_o[ray] + kept[ray, k][:, None] * rays_d[ray]
    counter = torch.tensor([int(count.sum()), n], dtype=torch.int32, device=device)
    return rays_a, xyzs, dirs, deltas, ts, counter


def _check_samples(sigmas, rgbs, deltas, ts, rays_a):
    n = len(sigmas)
    checked.tensor("sigmas", sigmas, (n,), torch.float32)
    checked.tensor("rgbs", rgbs, (n, 3), torch.float32)
    checked.tensor("deltas", deltas, (n,), torch.float32)
    checked.tensor("ts", ts, (n,), torch.float32)
    checked.tensor("rays_a", rays_a, (None, 3), torch.int64)
    ray, start, count = rays_a.unbind(1)
    if not torch.equal(ray.sort()[0], torch.arange(len(ray), device=ray.device)):
        raise RuntimeError("rays_a must hold each ray once")
    if bool(((start < 0) | (count < 0) | (start + count > n)).any()):
        raise RuntimeError("rays_a reaches beyond the samples")


def _walk(sigmas, deltas, rays_a, T_threshold):
    """Yields (rays, samples, weight, transmittance behind) front to back, until each ray ends."""
    ray, start, count = rays_a.unbind(1)
    left = torch.ones(len(ray), device=sigmas.device)
    going = count > 0
    for k in range(int(count.max()) if len(count) else 0):
        going = going & (count > k)
        rays, s = ray[going], start[going] + k
        alpha = 1 - torch.exp(-sigmas[s] * deltas[s])
        weight = alpha * left[rays]
        left[rays] = left[rays] * (1 - alpha)
        yield rays, s, weight, left[rays]
        going = going & (left[ray] > T_threshold)


def composite_train_fw(sigmas, rgbs, deltas, ts, rays_a, T_threshold):
    """total_samples (R,) int64, opacity (R,), depth (R,), rgb (R,3), ws (N,)."""
    _check_samples(sigmas, rgbs, deltas, ts, rays_a)
    checked.number("T_threshold", T_threshold, float)
    zeros = lambda *shape: torch.zeros(shape, device=sigmas.device)  # noqa: E731
    rays = len(rays_a)
    opacity, depth, rgb, ws = zeros(rays), zeros(rays), zeros(rays, 3), zeros(len(sigmas))
    total = torch.zeros(rays, dtype=torch.int64, device=sigmas.device)
    for ray, s, weight, left in _walk(sigmas, deltas, rays_a, T_threshold):
        rgb[ray] += weight[:, None] * rgbs[s]
        depth[ray] += weight * ts[s]
        opacity[ray] += weight
        ws[s] = weight
        total[ray] += left > T_threshold
    return total, opacity, depth, rgb, ws


def composite_train_bw(
    dL_dopacity, dL_ddepth, dL_drgb, dL_dws, sigmas, rgbs, ws, deltas, ts, rays_a, opacity, depth, rgb, T_threshold
):
    """dL_dsigmas (N,), dL_drgbs (N,3); zero behind a ray's end."""
    _check_samples(sigmas, rgbs, deltas, ts, rays_a)
    checked.number("T_threshold", T_threshold, float)
    rays, n = len(rays_a), len(sigmas)
    for name, value, shape in (
        ("dL_dopacity", dL_dopacity, (rays,)),
        ("dL_ddepth", dL_ddepth, (rays,)),
        ("dL_drgb", dL_drgb, (rays, 3)),
        ("dL_dws", dL_dws, (n,)),
        ("ws", ws, (n,)),
        ("opacity", opacity, (rays,)),
        ("depth", depth, (rays,)),
        ("rgb", rgb, (rays, 3)),
    ):
        checked.tensor(name, value, shape, torch.float32)
    if bool((rays_a[:, 1] + rays_a[:, 2] < 1).any()):
        raise RuntimeError("the sample before a ray's end is read, and there is none")
    front, d_sigmas, d_rgbs = torch.zeros_like(rgb), torch.zeros_like(sigmas), torch.zeros_like(rgbs)
    front_depth, front_ws, all_ws = (torch.zeros_like(depth) for _ in range(3))
    for ray, s, weight, _ in _walk(sigmas, deltas, rays_a, T_threshold):
        all_ws[ray] += weight * dL_dws[s]
    for ray, s, weight, left in _walk(sigmas, deltas, rays_a, T_threshold):
        front[ray] += weight[:, None] * rgbs[s]
        front_depth[ray] += weight * ts[s]
        front_ws[ray] += weight * dL_dws[s]
        d_rgbs[s] = dL_drgb[ray] * weight[:, None]
        d_sigmas[s] = deltas[s] * (
            (dL_drgb[ray] * (rgbs[s] * left[:, None] - (rgb[ray] - front[ray]))).sum(1)
            + dL_dopacity[ray] * (1 - opacity[ray])
            + dL_ddepth[ray] * (ts[s] * left - (depth[ray] - front_depth[ray]))
            + dL_dws[s] * left
            - (all_ws[ray] - front_ws[ray])
        )
    return d_sigmas, d_rgbs
