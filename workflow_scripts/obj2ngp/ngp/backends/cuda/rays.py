"""Rays: drawing them through random pixels, and marching them through the occupancy grid (Müller et al. 2022, E.1).

Sample k of a ray lies at t = near + (jitter + k) * step_size, where the ray is in the unit cube from `near` on; only
samples in occupied cells are kept.
"""

import triton
import triton.language as tl

from ..base import BUDGET_FILL, MIN_RAYS, RAYS_PER_SAMPLE_START, STREAM_BACKGROUND, STREAM_PIXEL

FILL, FEWEST = tl.constexpr(BUDGET_FILL), tl.constexpr(MIN_RAYS)
START = tl.constexpr(RAYS_PER_SAMPLE_START)
PIXEL, BACKGROUND = tl.constexpr(STREAM_PIXEL), tl.constexpr(STREAM_BACKGROUND)
FAR = tl.constexpr(1e9)

DRAW_BLOCK = 256  # rays of a drawing program
MARCH_RAYS, MARCH_STEPS = 4, 64  # tile of rays and steps of a marching program
RAY_PROGRAMS = 16  # programs a multiprocessor that share out the rays


@triton.jit
def pcg4d(a, b, c, d):
    """Four 32-bit hashes of four words (Jarzynski & Olano 2020); the words are of any integer type."""
    x = a.to(tl.uint32) * 1664525 + 1013904223
    y = b.to(tl.uint32) * 1664525 + 1013904223
    z = c.to(tl.uint32) * 1664525 + 1013904223
    w = d.to(tl.uint32) * 1664525 + 1013904223
    for _ in tl.static_range(2):
        x += y * w
        y += z * x
        z += x * y
        w += y * z
        if _ == 0:
            x, y, z, w = x ^ (x >> 16), y ^ (y >> 16), z ^ (z >> 16), w ^ (w >> 16)
    return x, y, z, w


@triton.jit
def unit(word):
    """A float in [0,1) of a 32-bit word."""
    return (word >> 8).to(tl.float32) * (1.0 / 16777216)


@triton.jit
def hashed_words(index, step, seed, STREAM: tl.constexpr):
    """pcg4d of (index, step, seed, stream); index is a block, the others are scalars."""
    zero = index * 0
    return pcg4d(index, zero + step, zero + seed, zero + STREAM)


@triton.jit
def fraction(value):
    """What is left of positive numbers without their whole part."""
    return value - tl.floor(value)


@triton.jit
def load_vector(ptr, i, mask):
    """Three blocks: the components of rows i of an array (n,3); zero where the mask is off."""
    x = tl.load(ptr + i * 3, mask=mask, other=0.0)
    y = tl.load(ptr + i * 3 + 1, mask=mask, other=0.0)
    z = tl.load(ptr + i * 3 + 2, mask=mask, other=0.0)
    return x, y, z


@triton.jit
def store_vector(ptr, i, x, y, z, mask):
    """Writes the components of rows i of an array (n,3)."""
    tl.store(ptr + i * 3, x, mask=mask)
    tl.store(ptr + i * 3 + 1, y, mask=mask)
    tl.store(ptr + i * 3 + 2, z, mask=mask)


@triton.jit
def rays_to_draw_kernel(active_ptr, asked_ptr, rays, samples, PIXEL_RAYS: tl.constexpr):
    """`base.rays_to_draw`, from the last step's number of rays to the next one's, in place."""
    active, asked = tl.load(active_ptr).to(tl.float32), tl.load(asked_ptr).to(tl.float32)
    wanted = active * (FILL * samples) / tl.maximum(asked, 1.0)
    moved = tl.minimum(2.0 * active, 0.5 * (active + wanted))
    chosen = tl.where(asked > 0.0, moved, tl.where(active > 0.0, active, START * samples))
    chosen = tl.minimum(tl.maximum(chosen, FEWEST), rays.to(tl.float32)).to(tl.int32)
    tl.store(active_ptr, chosen // PIXEL_RAYS * PIXEL_RAYS)


@triton.jit(do_not_specialize=["height", "width"])
def draw_rays_kernel(
    active_ptr,
    step_ptr,
    seed_ptr,
    pixels_ptr,
    pixel_count_ptr,
    rgba_ptr,
    pose_ptr,
    camera_ptr,
    offset_ptr,
    height,
    width,
    spread,
    origin_ptr,
    direction_ptr,
    background_ptr,
    target_ptr,
    jitter_ptr,
    reach_ptr,
    ray_pixel_ptr,
    far_ptr,
    EDGE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """EDGE x EDGE rays through each of some random pixels, over a random background; shapes as in ngp.buffers."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < tl.load(active_ptr)
    step, seed, pixel_count = tl.load(step_ptr), tl.load(seed_ptr), tl.load(pixel_count_ptr)
    focal, scale = tl.load(camera_ptr).to(tl.float32), tl.load(camera_ptr + 3).to(tl.float32)
    center_x, center_y = tl.load(camera_ptr + 1).to(tl.float32), tl.load(camera_ptr + 2).to(tl.float32)
    part, part_row, part_column = i % (EDGE * EDGE), i // EDGE % EDGE, i % EDGE
    pick, x_word, y_word, jitter_word = hashed_words(i // (EDGE * EDGE), step, seed, PIXEL)
    red, green, blue, _ = hashed_words(i // (EDGE * EDGE), step, seed, BACKGROUND)

    choice = tl.umulhi(pick, (i * 0 + pixel_count).to(tl.uint32)).to(tl.int32)
    pixel = tl.load(pixels_ptr + choice, mask=mask, other=0)
    view, row, column = pixel // (height * width), pixel // width % height, pixel % width
    across = fraction((part_column + part_row / EDGE) / EDGE + unit(x_word))
    down = fraction((part_row + (EDGE - 1 - part_column) / EDGE) / EDGE + unit(y_word))
    x = (column + 0.5 + (across - 0.5) * spread - center_x) / focal
    y = -(row + 0.5 + (down - 0.5) * spread - center_y) / focal
    norm = 1.0 / tl.sqrt(x * x + y * y + 1.0)
    color_ptr = rgba_ptr + pixel.to(tl.int64) * 4  # of more than 2^29 pixels, 32 bits number only the pixels
    alpha = tl.load(color_ptr + 3, mask=mask, other=0).to(tl.float32) / 255.0
    tl.store(ray_pixel_ptr + i, pixel, mask=mask)
    tl.store(far_ptr + i, tl.load(reach_ptr + pixel, mask=mask, other=0.0), mask=mask)
    tl.store(jitter_ptr + i, fraction(part / (EDGE * EDGE) + unit(jitter_word)), mask=mask)
    for axis in tl.static_range(3):
        rotation = pose_ptr + view * 12 + axis * 4
        along_x, along_y = tl.load(rotation, mask=mask, other=0.0), tl.load(rotation + 1, mask=mask, other=0.0)
        along_z, center = tl.load(rotation + 2, mask=mask, other=0.0), tl.load(rotation + 3, mask=mask, other=0.0)
        tl.store(direction_ptr + i * 3 + axis, (along_x * x + along_y * y - along_z) * norm, mask=mask)
        tl.store(origin_ptr + i * 3 + axis, center * scale + tl.load(offset_ptr + axis), mask=mask)
        behind = unit(red if axis == 0 else (green if axis == 1 else blue))
        color = tl.load(color_ptr + axis, mask=mask, other=0).to(tl.float32) / 255.0
        tl.store(background_ptr + i * 3 + axis, behind, mask=mask)
        tl.store(target_ptr + i * 3 + axis, color * alpha + behind * (1.0 - alpha), mask=mask)


def draw_rays(views, rays, samples, clock):
    """See Backend.draw_rays."""
    rays_to_draw_kernel[(1,)](
        active_ptr=rays.active,
        asked_ptr=samples.count,
        rays=rays.capacity,
        samples=samples.capacity,
        PIXEL_RAYS=rays.supersampling**2,
    )
    draw_rays_kernel[(triton.cdiv(rays.capacity, DRAW_BLOCK),)](
        active_ptr=rays.active,
        step_ptr=clock.step,
        seed_ptr=clock.seed,
        pixels_ptr=views.pixels,
        pixel_count_ptr=views.pixel_count,
        rgba_ptr=views.rgba,
        pose_ptr=views.pose,
        camera_ptr=views.camera,
        offset_ptr=views.offset,
        height=views.rgba.shape[1],
        width=views.rgba.shape[2],
        spread=views.jitter,
        origin_ptr=rays.origin,
        direction_ptr=rays.direction,
        background_ptr=rays.background,
        target_ptr=rays.target,
        jitter_ptr=rays.jitter,
        reach_ptr=views.reach,
        ray_pixel_ptr=rays.pixel,
        far_ptr=rays.far,
        EDGE=rays.supersampling,
        BLOCK=DRAW_BLOCK,
    )


@triton.jit
def slab(origin, direction):
    """Where a ray meets the planes 0 and 1 of one axis, the nearer one first."""
    inverse = 1.0 / tl.where(tl.abs(direction) > 1e-9, direction, 1e-9)
    t0, t1 = -origin * inverse, (1.0 - origin) * inverse
    return tl.minimum(t0, t1), tl.maximum(t0, t1)


@triton.jit
def cell_index(coordinate, resolution):
    """The cell, along one axis, of a coordinate in [0,1]; rounding may put it just outside."""
    return tl.minimum(tl.maximum(tl.floor(coordinate * resolution).to(tl.int32), 0), resolution - 1)


@triton.jit
def grid_cell(x, y, z, resolution):
    """The occupancy grid's flat index of the cell around a point."""
    return (cell_index(x, resolution) * resolution + cell_index(y, resolution)) * resolution + cell_index(z, resolution)


@triton.jit
def points(ox, oy, oz, dx, dy, dz, start, step, step_size, STEPS: tl.constexpr):
    """t and the points x, y, z (RAYS, STEPS) of the march steps from number `step` on."""
    t = start[:, None] + (step + tl.arange(0, STEPS))[None, :].to(tl.float32) * step_size
    return t, ox[:, None] + t * dx[:, None], oy[:, None] + t * dy[:, None], oz[:, None] + t * dz[:, None]


@triton.jit
def march_kernel(
    active_ptr,
    origin_ptr,
    direction_ptr,
    jitter_ptr,
    far_ptr,
    occupied_ptr,
    resolution,
    step_size,
    rays,
    capacity,
    first_ptr,
    count_ptr,
    asked_ptr,
    position_ptr,
    t_ptr,
    ray_ptr,
    RAYS: tl.constexpr,
    STEPS: tl.constexpr,
):
    """Places the samples of RAYS rays at a time: counts them, takes room for them, then writes them.

    Every step of a ray is looked up: a tile of RAYS x STEPS at once hides the latency that a walk from
    cell to cell would pay for every cell. The walk is made twice, since its lookups are in the cache then.
    """
    in_use = tl.load(active_ptr)
    for block in range(tl.program_id(0), tl.cdiv(rays, RAYS), tl.num_programs(0)):
        i = block * RAYS + tl.arange(0, RAYS)
        count = tl.zeros((RAYS,), tl.int32)
        if block * RAYS < in_use:
            active = i < in_use
            ox, oy, oz = load_vector(origin_ptr, i, active)
            dx, dy, dz = load_vector(direction_ptr, i, active)
            near_x, far_x = slab(ox, dx)
            near_y, far_y = slab(oy, dy)
            near_z, far_z = slab(oz, dz)
            near = tl.maximum(tl.maximum(near_x, near_y), tl.maximum(near_z, 0.0))
            far = tl.minimum(tl.minimum(far_x, far_y), far_z)
            far = tl.minimum(far, tl.load(far_ptr + i, mask=active, other=-FAR))
            start = near + tl.load(jitter_ptr + i, mask=active, other=0.0) * step_size
            steps = tl.max(tl.ceil(tl.maximum(far - start, 0.0) / step_size), 0).to(tl.int32)
            for step in range(0, steps, STEPS):
                t, x, y, z = points(ox, oy, oz, dx, dy, dz, start, step, step_size, STEPS)
                hit = tl.load(occupied_ptr + grid_cell(x, y, z, resolution), mask=t < far[:, None], other=0) != 0
                count += tl.sum(hit.to(tl.int32), 1)

            total = tl.sum(count, 0)
            first = tl.cumsum(count, 0) - count
            if total > 0:
                first += tl.atomic_add(asked_ptr, total, sem="relaxed")
            fits = (first + count <= capacity) | (count == 0)
            count = tl.where(fits, count, -1)
            tl.store(first_ptr + i, first, mask=active)
            for step in range(0, tl.where(total > 0, steps, 0), STEPS):
                t, x, y, z = points(ox, oy, oz, dx, dy, dz, start, step, step_size, STEPS)
                hit = tl.load(occupied_ptr + grid_cell(x, y, z, resolution), mask=t < far[:, None], other=0) != 0
                place = first[:, None] + tl.cumsum(hit.to(tl.int32), 1) - 1
                first += tl.sum(hit.to(tl.int32), 1)
                mask = hit & fits[:, None]
                tl.store(t_ptr + place, t, mask=mask)
                tl.store(ray_ptr + place, tl.broadcast_to(i[:, None], (RAYS, STEPS)), mask=mask)
                x, y, z = tl.clamp(x, 0.0, 1.0), tl.clamp(y, 0.0, 1.0), tl.clamp(z, 0.0, 1.0)
                store_vector(position_ptr, place, x, y, z, mask)
        tl.store(count_ptr + i, count, mask=i < rays)


def programs_of_rays(rays, block, processors):
    """The launch grid of programs that share out the rays, `block` at a time."""
    return (min(RAY_PROGRAMS * processors, triton.cdiv(rays.capacity, block)),)


def march(rays, grid, samples, step_size, processors):
    """See Backend.march."""
    samples.count.zero_()
    march_kernel[programs_of_rays(rays, MARCH_RAYS, processors)](
        active_ptr=rays.active,
        origin_ptr=rays.origin,
        direction_ptr=rays.direction,
        jitter_ptr=rays.jitter,
        far_ptr=rays.far,
        occupied_ptr=grid.occupied,
        resolution=grid.resolution,
        step_size=step_size,
        rays=rays.capacity,
        capacity=samples.capacity,
        first_ptr=rays.first,
        count_ptr=rays.count,
        asked_ptr=samples.count,
        position_ptr=samples.position,
        t_ptr=samples.t,
        ray_ptr=samples.ray,
        RAYS=MARCH_RAYS,
        STEPS=MARCH_STEPS,
    )
