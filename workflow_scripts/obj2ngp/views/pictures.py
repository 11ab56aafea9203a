"""What the programs that read or write pictures share: compositing, PSNR, and a view's file names."""

import numpy as np

from obj2ngp.common.files import UserError

DEPTH_SUFFIX = "_depth"
LATTICE = "density.npz"  # beside the pictures of a trained model, see common/lattice.py
DEPTH_UNITS_PER_STEP = 0.001  # world units that one step of a 16-bit depth image stands for
PSNR_OF_EQUAL_IMAGES = 100.0  # dB; also the most that any picture counts


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
    """Raise a UserError naming `source` if pictures or depth images of two views had one name."""
    taken = set()
    for name in names:
        both = {name, name + DEPTH_SUFFIX}
        if taken & both:
            raise UserError(f"{source}: the name of view '{name}' collides with another view's")
        taken |= both
