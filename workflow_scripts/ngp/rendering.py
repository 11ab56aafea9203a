"""Images of a trained field, with the same stages as training."""
from __future__ import annotations

import math

import numpy as np
import torch

from . import backends
from .buffers import Rays, Samples

RAYS_PER_CHUNK = {"cpu": 1 << 13, "cuda": 1 << 18}
SAMPLES_PER_RAY = 16  # sample buffer of a chunk; a chunk that needs more is split


class Renderer:
    """Renders views of a model.

    model          ngp.model_file.Model
    backend        'auto', or a backend's name
    supersampling  rays along each edge of a pixel; their mean is the pixel
    """

    def __init__(self, model, backend="auto", supersampling=2):
        self.backend = backends.select(backend) if isinstance(backend, str) else backend
        device, dtype = self.backend.DEVICE, self.backend.DTYPE
        self.model, self.supersampling = model, supersampling
        self.field = model.field(self.backend)
        self.grid = model.grid(device)
        self.spread = model.config.pixel_jitter
        self.step_size = math.sqrt(3) / model.config.march_steps
        self.rays = Rays(RAYS_PER_CHUNK[device], device)
        self.samples = Samples(self.rays.capacity * SAMPLES_PER_RAY, model.config.network, dtype, device, training=False)
        self.rays.jitter.fill_(0.5)
        self.backend.prepare(self.field, self.samples)

    def render(self, pose, width, height, focal, center=None):
        """One view.

        pose    (3,4) or (4,4), camera-to-world, OpenGL axes, world units
        focal   focal length in pixels; center: principal point in pixels (default: the image's middle)
        Returns rgb (H,W,3) float32 over black, opacity (H,W) float32 in [0,1], and depth (H,W) float32:
        the expected distance along the ray in world units, 0 where nothing is.
        """
        pose = torch.as_tensor(np.asarray(pose), dtype=torch.float32)[:3, :4]
        center = center or (width / 2, height / 2)
        n = self.supersampling
        rows = max(1, self.rays.capacity // (width * n * n))
        bands = [
            self._band(pose, width, range(top, min(top + rows, height)), focal, center)
            for top in range(0, height, rows)
        ]
        image = torch.cat(bands).cpu().numpy()
        return image[..., :3], image[..., 3], image[..., 4]

    def _band(self, pose, width, rows, focal, center):
        """(rows, W, 5): rgb, opacity and depth of some rows of the image."""
        n = self.supersampling
        device = self.rays.origin.device
        # Spread as in training: there, a ray stood for its whole pixel wherever in that square it lay.
        inside = 0.5 + ((torch.arange(n, dtype=torch.float32, device=device) + 0.5) / n - 0.5) * self.spread
        x = (torch.arange(width, dtype=torch.float32, device=device)[:, None] + inside).view(1, width, 1, n)
        y = (torch.arange(rows[0], rows[-1] + 1, dtype=torch.float32, device=device)[:, None] + inside)
        x, y = torch.broadcast_tensors((x - center[0]) / focal, ((center[1] - y) / focal).view(-1, 1, n, 1))
        local = torch.stack([x, y, -torch.ones_like(x)], -1).reshape(-1, 3)
        pose = pose.to(device)
        direction = local @ pose[:, :3].t()
        direction = direction / direction.norm(dim=1, keepdim=True)
        origin = pose[:, 3] * self.model.scale + self.model.offset.to(device)
        values = torch.cat([
            self._trace(origin, direction[i : i + self.rays.capacity])
            for i in range(0, len(direction), self.rays.capacity)
        ])
        return values.view(len(rows), width, n * n, 5).mean(2)

    def _trace(self, origin, direction):
        """(R,5): colour over black, opacity, distance in world units, of rays that fit the ray buffer."""
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
            return torch.cat([self._trace(origin, direction[:half]), self._trace(origin, direction[half:])])
        backend.encode(self.field, samples)
        backend.evaluate(self.field, rays, samples, self.step_size)
        backend.composite(rays, samples, self.step_size)
        opacity = 1 - rays.transmittance[:active, None]
        depth = rays.depth[:active, None] / opacity.clamp(min=1e-6) * (opacity > 0) / self.model.scale
        return torch.cat([rays.color[:active], opacity, depth], 1)


def on_white(rgb, opacity):
    """(H,W,3) uint8: an image over black composited on white, clipped and rounded."""
    image = rgb + (1 - opacity[..., None])
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
