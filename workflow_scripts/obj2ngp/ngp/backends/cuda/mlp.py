"""Density and colour MLP fused in one kernel, forward and backward: fp16 factors, fp32 sums.

All matrices fit on one multiprocessor: each program loads them once, then takes one block of samples after
another. The backward kernel runs the MLPs again instead of reading what they held, which would be more memory
traffic than work, and sums the gradients of the matrices in registers until its last block is done.
"""

import triton
import triton.language as tl

from ...field import MAX_LOG_DENSITY
from .encoding import strides_of
from .harmonics import sample_harmonics

LOG_DENSITY_LIMIT = tl.constexpr(MAX_LOG_DENSITY)
MLP_BLOCK, MLP_BACKWARD_BLOCK = 128, 64  # samples of a program
MLP_PROGRAMS = 2  # programs a multiprocessor
ELEMENTS_PER_WARP = 4096  # of all padded matrices: what a warp's registers hold as fp32 gradients


@triton.constexpr_function
def padded(size):
    """The edge of a tile that holds `size` rows or columns: a power of two, and at least tl.dot's 16."""
    return max(16, triton.next_power_of_2(size))


def backward_warps(network):
    """Warps of a program of the fused backward kernel; None for a network too large for it."""
    n = network
    width, color_width, outputs = padded(n.density_width), padded(n.color_width), padded(n.geometry_features)
    density = (padded(n.levels * n.features) + (n.density_layers - 1) * width + outputs) * width
    color = (outputs + 16 + (n.color_layers - 1) * color_width + 16) * color_width
    return next((warps for warps in (4, 8) if density + color <= warps * ELEMENTS_PER_WARP), None)


@triton.jit
def load_matrix(ptr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """A row-major matrix as a tile, padded with zeros."""
    row, column = tl.arange(0, padded(ROWS))[:, None], tl.arange(0, padded(COLUMNS))[None, :]
    return tl.load(ptr + row * COLUMNS + column, mask=(row < ROWS) & (column < COLUMNS), other=0.0)


@triton.constexpr_function
def sums_transposed(rows, columns):
    """Whether a matrix's gradient is summed transposed: Hopper's matrix instructions yield 64 rows at least."""
    return padded(rows) < 64 <= padded(columns)


@triton.jit
def zero_sums(ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """The sums from which a matrix's gradient is built."""
    if sums_transposed(ROWS, COLUMNS):
        sums = tl.zeros((padded(COLUMNS), padded(ROWS)), tl.float32)
    else:
        sums = tl.zeros((padded(ROWS), padded(COLUMNS)), tl.float32)
    return sums


@triton.jit
def add_product(x, d, sums):
    """sums + x^T d, or its transpose where the sums are so."""
    if sums_transposed(x.shape[1], d.shape[1]):
        sums = tl.dot(tl.trans(d), x, acc=sums)
    else:
        sums = tl.dot(tl.trans(x), d, acc=sums)
    return sums


@triton.jit
def add_matrix(ptr, sums, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Adds a matrix's gradient to memory."""
    if sums_transposed(ROWS, COLUMNS):
        row, column = tl.arange(0, padded(ROWS))[None, :], tl.arange(0, padded(COLUMNS))[:, None]
    else:
        row, column = tl.arange(0, padded(ROWS))[:, None], tl.arange(0, padded(COLUMNS))[None, :]
    tl.atomic_add(ptr + row * COLUMNS + column, sums, mask=(row < ROWS) & (column < COLUMNS), sem="relaxed")


@triton.jit
def load_hidden(ptr, WIDTH: tl.constexpr, HIDDEN: tl.constexpr, OUTPUTS: tl.constexpr):
    """HIDDEN matrices (WIDTH, WIDTH) and one (WIDTH, OUTPUTS)."""
    matrices = ()
    for m in tl.static_range(HIDDEN):
        matrices = matrices + (load_matrix(ptr + m * WIDTH * WIDTH, WIDTH, WIDTH),)
    return matrices + (load_matrix(ptr + HIDDEN * WIDTH * WIDTH, WIDTH, OUTPUTS),)


@triton.jit
def add_hidden(ptr, sums, WIDTH: tl.constexpr, OUTPUTS: tl.constexpr):
    """Adds gradients to matrices that lie as `load_hidden` reads them."""
    HIDDEN: tl.constexpr = len(sums) - 1
    for m in tl.static_range(HIDDEN):
        add_matrix(ptr + m * WIDTH * WIDTH, sums[m], WIDTH, WIDTH)
    add_matrix(ptr + HIDDEN * WIDTH * WIDTH, sums[HIDDEN], WIDTH, OUTPUTS)


@triton.jit
def zero_sums_of_all(matrices):
    sums = ()
    for m in tl.static_range(len(matrices)):
        sums = sums + (zero_sums(matrices[m].shape[0], matrices[m].shape[1]),)
    return sums


@triton.jit
def relu(x):
    return tl.maximum(x, 0.0).to(tl.float16)


@triton.jit
def forward(x, matrices):
    """(what each matrix is multiplied with, the last one's result): ReLU in between."""
    LAST: tl.constexpr = len(matrices) - 1
    inputs = (x,)
    for m in tl.static_range(LAST):
        inputs = inputs + (relu(tl.dot(inputs[m], matrices[m])),)
    return inputs, tl.dot(inputs[LAST], matrices[LAST])


@triton.jit
def backward(inputs, matrices, d_output, sums):
    """(gradient of inputs[0], `sums` with the matrices' gradients added); d_output is fp16."""
    LAST: tl.constexpr = len(matrices) - 1
    added = ()
    d = d_output
    for n in tl.static_range(LAST + 1):
        added = (add_product(inputs[LAST - n], d, sums[LAST - n]),) + added
        d_input = tl.dot(d, tl.trans(matrices[LAST - n]))
        d = tl.where(inputs[LAST - n] > 0, d_input, 0.0).to(tl.float16)
    return d_input, added


@triton.jit
def first_column(tile):
    column = tl.arange(0, tile.shape[1])[None, :]
    return tl.sum(tl.where(column == 0, tile, 0.0), 1)


@triton.jit
def density_of(raw):
    return tl.exp(tl.minimum(first_column(raw), LOG_DENSITY_LIMIT))


@triton.jit(do_not_specialize=["capacity"])
def evaluate_kernel(
    encoding_ptr,
    row_stride,
    column_stride,
    ray_ptr,
    direction_ptr,
    weights_ptr,
    count_ptr,
    capacity,
    density_ptr,
    rgb_ptr,
    COLOR: tl.constexpr,
    INPUTS: tl.constexpr,
    WIDTH: tl.constexpr,
    LAYERS: tl.constexpr,
    GEOMETRY: tl.constexpr,
    COLOR_WIDTH: tl.constexpr,
    COLOR_LAYERS: tl.constexpr,
    DEGREE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """density (S,) and, if COLOR, rgb (S,3) of the first `count` encodings (S, INPUTS), at most `capacity`."""
    count = tl.minimum(tl.load(count_ptr), capacity)
    column, channel = tl.arange(0, padded(INPUTS))[None, :], tl.arange(0, 16)[None, :]
    color_ptr = weights_ptr + (INPUTS + (LAYERS - 1) * WIDTH + GEOMETRY) * WIDTH
    density_matrices = (load_matrix(weights_ptr, INPUTS, WIDTH),)
    density_matrices += load_hidden(weights_ptr + INPUTS * WIDTH, WIDTH, LAYERS - 1, GEOMETRY)
    if COLOR:
        from_geometry = load_matrix(color_ptr, GEOMETRY, COLOR_WIDTH)
        from_harmonics = load_matrix(color_ptr + GEOMETRY * COLOR_WIDTH, DEGREE * DEGREE, COLOR_WIDTH)
        hidden_ptr = color_ptr + (GEOMETRY + DEGREE * DEGREE) * COLOR_WIDTH
        color_matrices = load_hidden(hidden_ptr, COLOR_WIDTH, COLOR_LAYERS - 1, 3)
    for block in range(tl.program_id(0), tl.cdiv(count, BLOCK), tl.num_programs(0)):
        i = block * BLOCK + tl.arange(0, BLOCK)
        mask = i < count
        place = encoding_ptr + i[:, None] * row_stride + column * column_stride
        x = tl.load(place, mask=mask[:, None] & (column < INPUTS), other=0.0)
        _, raw = forward(x, density_matrices)
        tl.store(density_ptr + i, density_of(raw), mask=mask)
        if COLOR:
            harmonics = sample_harmonics(ray_ptr, direction_ptr, i, mask, DEGREE)
            sums = tl.dot(raw.to(tl.float16), from_geometry, acc=tl.dot(harmonics, from_harmonics))
            _, output = forward(relu(sums), color_matrices)
            tl.store(rgb_ptr + i[:, None] * 3 + channel, tl.sigmoid(output), mask=mask[:, None] & (channel < 3))


def sizes_of(network):
    """The kernels' sizes for a NetworkConfig."""
    return dict(
        INPUTS=network.levels * network.features,
        WIDTH=network.density_width,
        LAYERS=network.density_layers,
        GEOMETRY=network.geometry_features,
        COLOR_WIDTH=network.color_width,
        COLOR_LAYERS=network.color_layers,
        DEGREE=network.sh_degree,
    )


def programs_of_samples(n, block, processors):
    """The launch grid of programs that share out n samples, `block` at a time."""
    return (min(MLP_PROGRAMS * processors, triton.cdiv(n, block)),)


def evaluate(field, rays, samples, processors):
    """Writes samples.density and rgb of the samples in use."""
    evaluate_kernel[programs_of_samples(samples.capacity, MLP_BLOCK, processors)](
        encoding_ptr=samples.encoding,
        **strides_of(samples.encoding),
        ray_ptr=samples.ray,
        direction_ptr=rays.direction,
        weights_ptr=field.compute_weights,
        count_ptr=samples.count,
        capacity=samples.capacity,
        density_ptr=samples.density,
        rgb_ptr=samples.rgb,
        COLOR=True,
        BLOCK=MLP_BLOCK,
        **sizes_of(field.network),
    )


def evaluate_density(field, encoding, count, density, processors):
    """Writes the first `count` (1,) int32 of `density` (n,), of the rows of `encoding` (n, levels*features)."""
    evaluate_kernel[programs_of_samples(len(density), MLP_BLOCK, processors)](
        encoding_ptr=encoding,
        **strides_of(encoding),
        ray_ptr=count,  # this, direction_ptr and rgb_ptr are for colours only
        direction_ptr=density,
        weights_ptr=field.compute_weights,
        count_ptr=count,
        capacity=len(density),
        density_ptr=density,
        rgb_ptr=density,
        COLOR=False,
        BLOCK=MLP_BLOCK,
        **sizes_of(field.network),
    )


@triton.jit
def evaluate_backward_kernel(
    encoding_ptr,
    row_stride,
    column_stride,
    ray_ptr,
    direction_ptr,
    weights_ptr,
    alive_ptr,
    alive_count_ptr,
    d_density_ptr,
    d_rgb_ptr,
    d_encoding_ptr,
    d_weights_ptr,
    INPUTS: tl.constexpr,
    WIDTH: tl.constexpr,
    LAYERS: tl.constexpr,
    GEOMETRY: tl.constexpr,
    COLOR_WIDTH: tl.constexpr,
    COLOR_LAYERS: tl.constexpr,
    DEGREE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """d_encoding[j] of the samples alive[j], and the matrices' gradients, added to d_weights.

    The strides are those of encoding and of d_encoding.
    """
    count = tl.load(alive_count_ptr)
    if tl.program_id(0) * BLOCK >= count:
        return
    column, channel = tl.arange(0, padded(INPUTS))[None, :], tl.arange(0, 16)[None, :]
    geometry = tl.arange(0, padded(GEOMETRY))[None, :]
    to_color = (INPUTS + (LAYERS - 1) * WIDTH + GEOMETRY) * WIDTH
    to_hidden = to_color + (GEOMETRY + DEGREE * DEGREE) * COLOR_WIDTH
    density_matrices = (load_matrix(weights_ptr, INPUTS, WIDTH),)
    density_matrices += load_hidden(weights_ptr + INPUTS * WIDTH, WIDTH, LAYERS - 1, GEOMETRY)
    from_geometry = load_matrix(weights_ptr + to_color, GEOMETRY, COLOR_WIDTH)
    from_harmonics = load_matrix(weights_ptr + to_color + GEOMETRY * COLOR_WIDTH, DEGREE * DEGREE, COLOR_WIDTH)
    color_matrices = load_hidden(weights_ptr + to_hidden, COLOR_WIDTH, COLOR_LAYERS - 1, 3)
    d_density_matrices, d_color_matrices = zero_sums_of_all(density_matrices), zero_sums_of_all(color_matrices)
    d_from_geometry = zero_sums(GEOMETRY, COLOR_WIDTH)
    d_from_harmonics = zero_sums(DEGREE * DEGREE, COLOR_WIDTH)
    for block in range(tl.program_id(0), tl.cdiv(count, BLOCK), tl.num_programs(0)):
        j = block * BLOCK + tl.arange(0, BLOCK)
        mask = j < count
        i = tl.load(alive_ptr + j, mask=mask, other=0)
        place = encoding_ptr + i[:, None] * row_stride + column * column_stride
        x = tl.load(place, mask=mask[:, None] & (column < INPUTS), other=0.0)
        density_inputs, raw = forward(x, density_matrices)
        harmonics = sample_harmonics(ray_ptr, direction_ptr, i, mask, DEGREE)
        raw_half = raw.to(tl.float16)
        hidden = relu(tl.dot(raw_half, from_geometry, acc=tl.dot(harmonics, from_harmonics)))
        color_inputs, output = forward(hidden, color_matrices)

        rgb = tl.sigmoid(output)
        d_rgb = tl.load(d_rgb_ptr + i[:, None] * 3 + channel, mask=mask[:, None] & (channel < 3), other=0.0)
        d_output = (d_rgb * rgb * (1.0 - rgb)).to(tl.float16)
        d_hidden, d_color_matrices = backward(color_inputs, color_matrices, d_output, d_color_matrices)
        d_sums = tl.where(hidden > 0, d_hidden, 0.0).to(tl.float16)
        d_from_geometry = add_product(raw_half, d_sums, d_from_geometry)
        d_from_harmonics = add_product(harmonics, d_sums, d_from_harmonics)
        d_density = tl.load(d_density_ptr + i, mask=mask, other=0.0) * density_of(raw)
        d_raw = tl.dot(d_sums, tl.trans(from_geometry)) + tl.where(geometry == 0, d_density[:, None], 0.0)
        d_x, d_density_matrices = backward(density_inputs, density_matrices, d_raw.to(tl.float16), d_density_matrices)
        place = d_encoding_ptr + j[:, None] * row_stride + column * column_stride
        tl.store(place, d_x.to(tl.float16), mask=mask[:, None] & (column < INPUTS))
    add_matrix(d_weights_ptr, d_density_matrices[0], INPUTS, WIDTH)
    add_hidden(d_weights_ptr + INPUTS * WIDTH, d_density_matrices[1:], WIDTH, GEOMETRY)
    add_matrix(d_weights_ptr + to_color, d_from_geometry, GEOMETRY, COLOR_WIDTH)
    add_matrix(d_weights_ptr + to_color + GEOMETRY * COLOR_WIDTH, d_from_harmonics, DEGREE * DEGREE, COLOR_WIDTH)
    add_hidden(d_weights_ptr + to_hidden, d_color_matrices, COLOR_WIDTH, 3)


def evaluate_backward(field, rays, samples, processors):
    """See Backend.evaluate_backward. Raises OutOfResources on a GPU with too little shared memory."""
    evaluate_backward_kernel[programs_of_samples(samples.capacity, MLP_BACKWARD_BLOCK, processors)](
        encoding_ptr=samples.encoding,
        **strides_of(samples.encoding),
        ray_ptr=samples.ray,
        direction_ptr=rays.direction,
        weights_ptr=field.compute_weights,
        alive_ptr=samples.alive,
        alive_count_ptr=samples.alive_count,
        d_density_ptr=samples.d_density,
        d_rgb_ptr=samples.d_rgb,
        d_encoding_ptr=samples.d_encoding,
        d_weights_ptr=field.weight_gradient,
        BLOCK=MLP_BACKWARD_BLOCK,
        num_stages=1,
        num_warps=backward_warps(field.network),
        **sizes_of(field.network),
    )
