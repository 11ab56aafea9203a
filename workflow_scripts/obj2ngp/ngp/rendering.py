"""Images of a trained field, with the same stages as training."""

from __future__ import annotations

import math

import numpy as np
import torch

from . import backends
from .backends.autograd import stages_of
from .buffers import Rays, Samples
from .depth import median_distance
from .turn import turn

RAYS_PER_CHUNK = {"cpu": 1 << 13, "cuda": 1 << 18}
PIXELS_PER_TURN = {"cpu": 1, "cuda": 1 << 22}  # rendered in one go, whole views at least: a turntable of 60 x 256 x 256
SAMPLES_PER_RAY = 16  # sample buffer of a chunk; a chunk that needs more is split


class Renderer:
    """Renders views of a model.

    model          ngp.model_file.Model
    backend        'auto', a backend's name, or its class
    supersampling  rays along each edge of a pixel; their mean is the pixel
    """

    def __init__(self, model, backend="auto", supersampling=2):
        backend = backends.select(backend) if isinstance(backend, str) else backend
        device, dtype = backend.DEVICE, backend.DTYPE
        self.model, self.supersampling = model, supersampling
        self.grid = model.grid(device)
        self.spread = model.config.pixel_jitter
        self.step_size = math.sqrt(3) / model.config.march_steps
        self.rays = Rays(RAYS_PER_CHUNK[device], device)
        capacity = self.rays.capacity * SAMPLES_PER_RAY
        self.samples = Samples(
            capacity, model.config.network, dtype, device, training=False, by_column=backend.BY_COLUMN
        )
        self.rays.jitter.fill_(0.5)
        self.backend = stages_of(backend, model.field(backend), capacity, training=False)

    def render_views(self, poses, width, height, focal, center=None):
        """Renders views one after another, many in one go where they are small; a generator.

        poses   (V,3,4) or (V,4,4), camera-to-world, OpenGL axes, world units
        focal   focal length in pixels; center: principal point in pixels (default: the image's middle)
        Yields for each view rgb (H,W,3) float32 over black, opacity (H,W) float32 in [0,1], and depth (H,W)
        float32: the distance along the ray, in world units, at which half of the light is left. It is the median of
        a pixel's rays, and 0 where most of them keep more of the light.
        """
        poses = torch.as_tensor(np.asarray(poses), dtype=torch.float32)[:, :3, :4].to(self.rays.origin.device)
        center = center or (width / 2, height / 2)
        size, chunk = height * width, max(1, self.rays.capacity // self.supersampling**2)
        for some in poses.split(max(1, chunk // size, PIXELS_PER_TURN[poses.device.type] // size)):
            pixels = torch.arange(len(some) * size, device=poses.device).split(chunk)
            with turn():
                images = torch.cat([self._pixels(some, part, width, size, focal, center).cpu() for part in pixels])
            for image in images.view(-1, height, width, 5).numpy():
                yield image[..., :3], image[..., 3], image[..., 4]

    def query(self, positions, directions):
        """(density (N,), colour (N,3)) at world positions (N,3), seen along directions (N,3); see Model.query."""
        device = self.rays.origin.device
        positions, directions = (
            torch.as_tensor(x, dtype=torch.float32, device=device) for x in (positions, directions)
        )
        inside = positions * self.model.scale + self.model.offset.to(device)
        directions = torch.nn.functional.normalize(directions, dim=1)
        parts = zip(inside.split(self.rays.capacity), directions.split(self.rays.capacity))
        results = [self._field_at(*part) for part in parts]
        density, rgb = (torch.cat(values) for values in zip(*results)) if results else (inside[:, 0], inside)
        cell = (inside * self.grid.resolution).long().clamp(0, self.grid.resolution - 1)
        x, y, z = cell.unbind(1)
        occupied = self.grid.occupied[(x * self.grid.resolution + y) * self.grid.resolution + z] > 0
        met = ((inside >= 0) & (inside <= 1)).all(1) & occupied
        return torch.where(met, density * self.model.scale, torch.zeros_like(density)), rgb

    def _field_at(self, positions, directions):
        """(density (n,), colour (n,3)) of points of the unit cube: n rays of one sample each."""
        rays, samples, n = self.rays, self.samples, len(positions)
        each = torch.arange(n, dtype=torch.int32, device=positions.device)
        rays.direction[:n], samples.position[:n] = directions, positions.clamp(0, 1)
        rays.first[:n], rays.count[:n], samples.ray[:n] = each, 1, each
        rays.active.fill_(n)
        samples.count.fill_(n)
        self.backend.encode(samples)
        self.backend.evaluate(rays, samples, self.step_size)
        return samples.density[:n].clone(), samples.rgb[:n].clone()

    def _pixels(self, poses, pixels, width, size, focal, center):
        """(P,5): rgb, opacity and depth of pixels, given by flat indices into (V,H,W); size is H*W."""
        n = self.supersampling
        # Spread over the square in which the pixel's rays lay in training.
        inside = 0.5 + ((torch.arange(n, device=poses.device) + 0.5) / n - 0.5) * self.spread
        row, column = torch.div(pixels % size, width, rounding_mode="floor"), pixels % width
        x = ((column[:, None, None] + inside - center[0]) / focal).expand(-1, n, n)
        y = ((center[1] - row[:, None, None] - inside[:, None]) / focal).expand(-1, n, n)
        local = torch.stack([x, y, -torch.ones_like(x)], -1).view(len(pixels), n * n, 3)
        pose = poses[torch.div(pixels, size, rounding_mode="floor")]
        direction = (local[:, :, None] * pose[:, None, :, :3]).sum(-1)
        direction = (direction / direction.norm(dim=-1, keepdim=True)).view(-1, 3)
        origin = pose[:, :, 3] * self.model.scale + self.model.offset.to(poses.device)
        origin = origin[:, None].expand(-1, n * n, 3).reshape(-1, 3)
        traced = self._trace(origin, direction).view(len(pixels), n * n, 5)
        depth = traced[..., 4].median(1).values
        return torch.cat(
            [traced[..., :4].mean(1), torch.where(depth < math.inf, depth, depth.new_zeros(()))[:, None]], 1
        )

    def _trace(self, origin, direction):
        """(R,5): colour over black, opacity, median distance in world units or inf, of rays that fit the ray buffer."""
        rays, samples, backend = self.rays, self.samples, self.backend
        active = len(direction)
        rays.origin[:active] = origin
        rays.direction[:active] = direction
        rays.active.fill_(active)
        backend.march(rays, self.grid, samples, self.step_size)
        if int(samples.count) > samples.capacity:
            if active == 1:
                raise ValueError("one ray takes {} samples, more than fit".format(int(samples.count)))
            half = active // 2
            parts = (slice(None, half), slice(half, None))
            return torch.cat([self._trace(origin[part], direction[part]) for part in parts])
        backend.encode(samples)
        backend.evaluate(rays, samples, self.step_size)
        backend.composite(rays, samples, self.step_size)
        opacity = 1 - rays.transmittance[:active, None]
        depth = median_distance(rays, samples, self.step_size) / self.model.scale
        return torch.cat([rays.color[:active], opacity, depth[:, None]], 1)


def on_white(rgb, opacity):
    """(H,W,3) uint8: an image over black composited on white, clipped and rounded."""
    image = rgb + (1 - opacity[..., None])
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
