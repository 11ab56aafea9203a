"""Images of a trained field, with the same stages as training."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn.functional import max_pool2d

from . import backends
from .backends.autograd import stages_of
from .buffers import Rays, Samples
from .light import pixels_of
from .turn import turn

# Rendered in one go, whole views at least: on a graphics card a turntable of 60 x 256 x 256.
PIXELS_PER_TURN = {"cpu": 1 << 16, "cuda": 1 << 22}
# A pixel is supersampled where its rays may differ: where the colours on white, or the opacities, of its neighbours
# span more than this within the width over which its rays are spread.
UNEVEN = 0.1


class Renderer:
    """Renders views of a model.

    model          ngp.model_file.Model
    backend        'auto', a backend's name, or its class
    supersampling  rays along each edge of a pixel where the picture is uneven
    """

    def __init__(self, model, backend="auto", supersampling=2):
        backend = backends.select(backend) if isinstance(backend, str) else backend
        device, dtype = backend.DEVICE, backend.DTYPE
        self.model, self.supersampling = model, supersampling
        self.grid = model.grid(device)
        self.spread = model.config.pixel_jitter
        self.step_size = math.sqrt(3) / model.config.march_steps
        self.rays = Rays(backend.RENDERED_RAYS, device)
        capacity = backend.RENDERED_SAMPLES
        self.samples = Samples(
            capacity, model.config.network, dtype, device, training=False, by_column=backend.BY_COLUMN
        )
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
        camera = (width, height, focal, center or (width / 2, height / 2))
        for some in poses.split(max(1, PIXELS_PER_TURN[poses.device.type] // (height * width))):
            with turn():
                images = self._images(some, camera).cpu()
            for image in images.numpy():
                yield image[..., :3], image[..., 3], image[..., 4]

    def query(self, positions, directions):
        """(density (N,), colour (N,3)) at world positions (N,3), seen along directions (N,3); see Model.query."""
        device = self.rays.origin.device
        positions, directions = (
            torch.as_tensor(x, dtype=torch.float32, device=device) for x in (positions, directions)
        )
        inside = positions * self.model.scale + self.model.offset.to(device)
        directions = torch.nn.functional.normalize(directions, dim=1)
        most = min(self.rays.capacity, self.samples.capacity)
        parts = zip(inside.split(most), directions.split(most))
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

    def _images(self, poses, camera):
        """(V,H,W,5): rgb over black, opacity and depth as seen from poses (V,3,4) by a camera (W, H, focal, center)."""
        width, height = camera[:2]
        total = len(poses) * height * width
        pixels = self._pixels(poses, torch.arange(total, device=poses.device), camera, 1)
        images = pixels.view(len(poses), height, width, 5)
        if self.supersampling > 1:
            again = (uneven(images) * self.spread > UNEVEN).view(-1).nonzero()[:, 0]
            pixels[again] = self._pixels(poses, again, camera, self.supersampling)
        return images

    def _pixels(self, poses, pixels, camera, edge):
        """(P,5): rgb, opacity and depth of pixels, given by flat indices into (V,H,W), of edge^2 rays each.

        Colour and opacity are those of `pixels_of`, depth is the rays' median. The rays of a pixel begin at evenly
        spaced parts of a march step, those of neighbours far apart: together they see surfaces with a finer step.
        """
        parts = pixels.split(max(1, self.rays.capacity // edge**2))
        part = torch.arange(edge**2, device=pixels.device) * (edge + 1) % edge**2
        jitter = (part + 0.5) / edge**2
        traced = [self._trace(*self._rays(poses, part, camera, edge), jitter.repeat(len(part))) for part in parts]
        traced = torch.cat(traced) if traced else torch.empty(0, 5, device=pixels.device)
        traced = traced.view(len(pixels), edge**2, 5)
        depth = traced[..., 4].median(1).values
        depth = torch.where(depth < math.inf, depth, depth.new_zeros(()))
        color, opacity = pixels_of(traced[..., :3], traced[..., 3]) if edge > 1 else (traced[:, 0, :3], traced[:, 0, 3])
        return torch.cat([color, opacity[:, None], depth[:, None]], 1)

    def _rays(self, poses, pixels, camera, edge):
        """(origins, directions), in the unit cube, of edge^2 rays through each of P pixels, (P*edge^2, 3) each."""
        width, height, focal, center = camera
        size = width * height
        # Spread over the square in which the pixel's rays lay in training.
        inside = 0.5 + ((torch.arange(edge, device=poses.device) + 0.5) / edge - 0.5) * self.spread
        row, column = torch.div(pixels % size, width, rounding_mode="floor"), pixels % width
        x = ((column[:, None, None] + inside - center[0]) / focal).expand(-1, edge, edge)
        y = ((center[1] - row[:, None, None] - inside[:, None]) / focal).expand(-1, edge, edge)
        local = torch.stack([x, y, -torch.ones_like(x)], -1).view(len(pixels), edge**2, 3)
        pose = poses[torch.div(pixels, size, rounding_mode="floor")]
        direction = (local[:, :, None] * pose[:, None, :, :3]).sum(-1)
        direction = (direction / direction.norm(dim=-1, keepdim=True)).view(-1, 3)
        origin = pose[:, :, 3] * self.model.scale + self.model.offset.to(poses.device)
        return origin[:, None].expand(-1, edge**2, 3).reshape(-1, 3), direction

    def _trace(self, origin, direction, jitter):
        """(R,5): colour over black, opacity, median distance in world units or inf, of rays that fit the ray buffer."""
        rays, active = self.rays, len(direction)
        rays.origin[:active] = origin
        rays.direction[:active] = direction
        rays.jitter[:active] = jitter
        rays.active.fill_(active)
        if not self.backend.render(rays, self.grid, self.samples, self.step_size):
            if active == 1:
                raise ValueError("one ray takes {} samples, more than fit".format(int(self.samples.count)))
            half = active // 2
            parts = (slice(None, half), slice(half, None))
            return torch.cat([self._trace(origin[part], direction[part], jitter[part]) for part in parts])
        opacity = 1 - rays.transmittance[:active, None]
        return torch.cat([rays.color[:active], opacity, rays.depth[:active, None] / self.model.scale], 1)


def uneven(images):
    """(V,H,W): the widest span of a channel, of colour on white and opacity (V,H,W,4 and more), around each pixel."""
    opacity = images[..., 3:4]
    channels = torch.cat([images[..., :3] + 1 - opacity, opacity], -1).permute(0, 3, 1, 2)
    return (max_pool2d(channels, 3, 1, 1) + max_pool2d(-channels, 3, 1, 1)).amax(1)


def on_white(rgb, opacity):
    """(H,W,3) uint8: an image over black composited on white, clipped and rounded."""
    image = rgb + (1 - opacity[..., None])
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
