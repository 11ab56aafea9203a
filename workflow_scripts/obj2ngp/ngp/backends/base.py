"""What a backend must do, and the rules and constants that all of them share.

Shapes are those of `ngp.buffers`: R rays, S samples, G cells along an edge of the occupancy grid. Random numbers are
drawn by hashing (seed, step, index) with `pcg4d` of Jarzynski & Olano, "Hash Functions for GPU Rendering", JCGT 2020:
every backend draws the same rays, and a resumed run goes on where it stopped.
"""

from __future__ import annotations

import torch

from ..buffers import OPEN
from ..depth import median_distance

# Streams of random numbers: the fourth word that is hashed.
STREAM_PIXEL, STREAM_BACKGROUND, STREAM_CELL = 0, 1, 2

SEEN_DEPTH = 2  # cells behind a ray's end that still count as seen, so that surfaces can move inwards
FAINT = 0.01  # gradients weaker than this share of what a ray that is all wrong pulls with are drawn by lot
COLOR_PULL = 0.25  # how much of d_rgb passes the sigmoid, at most
ROULETTE = 4099.0  # what rays.jitter is stretched by, modulo 1, for offsets that have nothing to do with it
MIN_TRANSMITTANCE = 1e-4  # a ray ends where less light than this is left
MIN_RAYS = 64  # a step draws no fewer
RAYS_PER_SAMPLE_START = 1 / 32  # before the first step tells how many samples a ray takes
BUDGET_FILL = 0.9  # aim below the sample budget, so that few rays find it full
MEAN_SLACK = 0.99999  # at least the densest cell is this dense, however the mean is rounded


class Backend:
    """The stages of a step for one field, and the scratch buffers that they share.

    field     ngp.field.Field, on DEVICE and with DTYPE as arithmetic type
    capacity  samples S of the sample buffer that the stages are given
    training  whether the backward stages are wanted

    Each stage writes what its docstring names, and nothing else outside the backend. `step_size` is the distance
    between two samples of a ray, in edges of the unit cube.
    """

    NAME: str  # of the package
    DEVICE: str  # torch device type of all tensors
    DTYPE: torch.dtype  # arithmetic type of the encoding and the MLPs
    ENCODES_ANY_TABLE = True  # `encode` and its backward stage read only the field and the samples
    LOSS_SCALE: float  # factor on every gradient in `samples` and in `field`
    BY_COLUMN = False  # how encodings lie in memory, see ngp.buffers.Samples
    # Sizes of the buffers that `render` and `query` are given.
    RENDERED_RAYS = 1 << 18
    RENDERED_SAMPLES = 1 << 22

    @classmethod
    def unavailable(cls):
        """Why this machine cannot run the backend, or None."""
        raise NotImplementedError

    @classmethod
    def describe(cls):
        """The device, for the log."""
        raise NotImplementedError

    def __init__(self, field, capacity, training=True):
        """Allocates the scratch buffers. Raises BackendError for a network that the backend cannot run."""
        self.field, self.faint = field, FAINT

    def capture(self, stages):
        """A function with the effect of `stages` (a function without arguments), made cheap to repeat."""
        return stages

    def draw_rays(self, views, rays, samples, clock):
        """Draws the rays of a step: rays.active by `rays_to_draw`; origin, direction, background, target, jitter.

        Also rays.pixel, and rays.far: what views.reach has for that pixel, since nothing is worth sampling behind the
        surface that was there when the pixel was last drawn.

        With E = rays.supersampling, ray e = E r + c (r, c < E) of a random pixel passes through the point

            ((c + r / E) / E + u, (r + (E - 1 - c) / E) / E + v) modulo 1

        of the square in which the pixel's rays lie, and begins at (e / E^2 + w) modulo 1 of its first march step;
        u, v and w are random, one for all rays of the pixel. No two of them share a row or a column of E^2 (rooks that
        cannot take one another), so that an edge of any slope parts them evenly, and the random shift (Cranley &
        Patterson 1976) makes each point of the square as likely as any other.
        """
        raise NotImplementedError

    def march(self, rays, grid, samples, step_size):
        """Places samples in occupied cells, up to rays.far: samples.position, t, ray, count; rays.first and count.

        The two latter are written for all R rays.
        """
        raise NotImplementedError

    def encode(self, samples):
        """Hash encoding of the samples in use: samples.encoding."""
        raise NotImplementedError

    def evaluate(self, rays, samples, step_size):
        """Both MLPs for the samples in use: samples.density and rgb."""
        raise NotImplementedError

    def composite(self, rays, samples, step_size):
        """Sums up the samples of each ray in use: rays.color, transmittance, depth."""
        raise NotImplementedError

    def render(self, rays, grid, samples, step_size):
        """Traces the rays in use through `grid`: rays.color, transmittance; uses `samples` as it likes.

        rays.depth becomes their `median_distance`. Returns whether all rays were traced; if not, fewer have to be
        tried at once.
        """
        self.march(rays, grid, samples, step_size)
        if int(samples.count) > samples.capacity:
            return False
        self.encode(samples)
        self.evaluate(rays, samples, step_size)
        self.composite(rays, samples, step_size)
        rays.depth[: int(rays.active)] = median_distance(rays, samples, step_size)
        return True

    def composite_loss(self, rays, samples, step_size, huber, distortion):
        """What `composite` writes, rays.loss, and its gradient at the samples: samples.d_density, d_rgb.

        The gradient is that of the mean of rays.loss, which is the Huber loss of the pixels (what these show of their
        rays: see ngp.light), and `distortion` times the mean over the rays of

            sum_jk w_j w_k |t_j - t_k| + step_size / 3 sum_k w_k^2

        how far the weights w of its samples lie apart (Barron et al. 2022, equation 15). Rays of a pixel count in
        neither if it lacks one, or if one that light passes ended at its rays.far: its surface has moved.

        From here on samples.alive lists the samples with a gradient; all of them where leaving some out saves nothing.
        Of those that light reaches, each whose pull

            g = |d_density| density + COLOR_PULL times the sum over the channels of |d_rgb|

        is below FAINT, in units of LOSS_SCALE / (3 rays.active), is kept with probability g / FAINT, and its gradient
        divided by that, so that the sum over all stays what it is in expectation (Russian roulette, Arvo & Kirk 1990).
        Along a ray the samples are drawn systematically: where the sum of probabilities up to a sample, and from an
        offset that rays.jitter * ROULETTE modulo 1 gives, passes a whole number.
        """
        raise NotImplementedError

    def mark_seen(self, views, rays, samples, grid, clock, step_size):
        """Notes the step in grid.seen for the cells of samples that light reaches, and SEEN_DEPTH cells behind.

        views.reach becomes, for each pixel in use, the distance of the last sample of its rays that light reaches, and
        these SEEN_DEPTH cells and a march step behind; OPEN if light passes one of the rays.
        """
        raise NotImplementedError

    def evaluate_backward(self, rays, samples):
        """Adds to field.weight_gradient; writes samples.d_encoding, row j for the sample alive[j]."""
        raise NotImplementedError

    def encode_backward(self, samples):
        """Adds to field.table_gradient what samples.d_encoding, row j for the sample alive[j], contributes."""
        raise NotImplementedError

    def optimise(self, moments, clock, config):
        """One step of Adam on the field's parameters; clears the gradients and advances the clock.

        A gradient of a weight that is no finite number, which no sample was spared, makes the step one that changes no
        parameter and is counted in moments.skipped; one of a table entry keeps the step from changing this entry.
        """
        raise NotImplementedError

    def density(self, positions):
        """(P,) float32: density per edge of the unit cube at positions (P,3) float32 in [0,1]."""
        raise NotImplementedError

    def update_occupancy(self, grid, clock, step_size):
        """Visits the next cells of grid.cells, going round: grid.density, cursor and, after the warm-up, occupied.

        A cell's density becomes the greater of its decayed self and the density at a random point in it; then
        `keep_dense_cells` decides. At most grid.config.cells_per_update cells, and no more than S, are visited.
        """
        raise NotImplementedError


def rays_to_draw(rays, samples):
    """How many rays of whole pixels to draw, so that they fill the sample buffer.

    With n rays in the last step, which asked for s > 0 of S samples,

        n' = min(2 n, (n + n BUDGET_FILL S / s) / 2)

    half-way to the number that would have filled the buffer. Where s = 0, n' = n; where n = 0 as well, at the start,
    n' = S RAYS_PER_SAMPLE_START. It is then clamped to [MIN_RAYS, R] and rounded down to whole pixels.
    """
    active, asked = int(rays.active), int(samples.count)
    if asked > 0:
        wanted = active * BUDGET_FILL * samples.capacity / asked
        wanted = min(2 * active, 0.5 * (active + wanted))
    else:
        wanted = active or samples.capacity * RAYS_PER_SAMPLE_START
    chosen = int(min(rays.capacity, max(MIN_RAYS, wanted)))
    return chosen - chosen % rays.supersampling**2


def keep_dense_cells(grid, clock, step_size):
    """Decides which of grid.cells stay occupied, once the warm-up is over: those that are dense and seen lately.

        dense   density >= min(threshold / step_size, MEAN_SLACK * mean density of grid.cells)
        lately  seen >= step - memory

    If no cell is both, the dense ones stay: there is always one.
    """
    step = int(clock.step)
    if step < grid.config.warmup:
        return
    index = grid.cells[: int(grid.cell_count)].long()
    density = grid.density[index]
    dense = density >= min(grid.config.threshold / step_size, MEAN_SLACK * float(density.mean()))
    keep = dense & (grid.seen[index] >= step - grid.config.memory)
    grid.occupied[index] = (keep if bool(keep.any()) else dense).to(dtype=grid.occupied.dtype)


def whole_pixels(rays):
    """(N,) mask of the pixels in use that have a loss, see Backend.composite_loss."""
    active = int(rays.active)
    cut = (rays.far[:active] < OPEN) & (rays.transmittance[:active] >= MIN_TRANSMITTANCE)
    return ((rays.count[:active] >= 0) & ~cut).view(-1, rays.supersampling**2).all(1)


def note_reach(views, rays, last, grid, step_size):
    """Writes views.reach, see Backend.mark_seen; `last` (A,) is the t of the last lit sample of the rays in use."""
    ends = rays.transmittance[: len(last)] < MIN_TRANSMITTANCE
    reach = torch.where(ends, last + SEEN_DEPTH / grid.resolution + step_size, torch.full_like(last, OPEN))
    pixel = rays.pixel[: len(last) : rays.supersampling**2].long()
    views.reach[pixel] = reach.view(len(pixel), -1).max(1).values.to(views.reach)
