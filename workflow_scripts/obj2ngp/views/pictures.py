"""What the programs that read or write pictures share: compositing, PSNR, and a view's file names."""

import numpy as np

from obj2ngp.common.files import UserError

DEPTH_SUFFIX = "_depth"
LATTICE = "density.npz"  # beside the pictures of a trained model, see common/lattice.py
DEPTH_UNITS_PER_STEP = 0.001  # world units that one step of a 16-bit depth image stands for
PSNR_OF_EQUAL_IMAGES = 100.0  # dB; also the most that any picture counts
# Pixels a pixel of silhouette whose opacity lies between 0.2 and 0.8, where each is the mean over its own square.
RAMP = 0.58
LOOKED_AT = 1 << 22  # pixels, of evenly spaced views


def truth_on_white(rgba):
    """(H,W,3) uint8: a straight-alpha picture (H,W,4) uint8 over white, rounded to the nearest."""
    alpha = rgba[..., 3:].astype(np.uint32)
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def psnr(truth, prediction):
    """Peak signal-to-noise ratio in dB of two uint8 pictures, PSNR_OF_EQUAL_IMAGES at most."""
    error = np.mean((truth.astype(np.float64) - prediction) ** 2) / 255**2
    if error == 0:
        return PSNR_OF_EQUAL_IMAGES
    return min(-10 * np.log10(error), PSNR_OF_EQUAL_IMAGES)


def check_view_names(names, source):
    """Raise a UserError naming `source` if pictures or depth images of two views had one name, or one a hidden name."""
    taken = set()
    for name in names:
        if name.startswith("."):
            raise UserError(f"{source}: '{name}' is no name of a view")
        both = {name, name + DEPTH_SUFFIX}
        if taken & both:
            raise UserError(f"{source}: the name of view '{name}' collides with another view's")
        taken |= both


def pixel_width(rgba):
    """Width in pixels of the square whose mean a pixel shows, as silhouettes tell: of pictures (V,H,W,4) uint8.

    Across a silhouette, opacity rises in proportion to that width. What there is between two opacities is counted, and
    compared with the silhouettes' length, the sum of |gradient of opacity|. Our renders have 1, and that is returned
    for what differs from it by less than the method's error; pictures made with Blender's default filter have 1.25.
    Masks of black and white, and pictures without silhouettes, say nothing: 1 as well.
    """
    views, height, width = rgba.shape[:3]
    every = -(-views * height * width // LOOKED_AT)
    alpha = rgba[::every, ..., 3].astype(np.float32) / 255
    across, down = np.diff(alpha, axis=2), np.diff(alpha, axis=1)
    across, down = (across[:, 1:] + across[:, :-1]) / 2, (down[:, :, 1:] + down[:, :, :-1]) / 2
    length = float(np.hypot(across, down).sum())
    ramp = int(((alpha >= 0.2) & (alpha <= 0.8)).sum())
    measured = ramp / (RAMP * length) if length else 1.0
    return 1.0 if measured < 0.5 or abs(measured - 1) < 0.05 else min(measured, 2.0)
