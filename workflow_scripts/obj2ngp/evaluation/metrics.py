"""Metrics that compare a rendered picture with the true one.

Each imports its package when it is called, so that names and formats can be read without any of them.
"""

import os
from functools import cache, lru_cache

import numpy as np

WINDOW = 11  # pixels, the side of SSIM's window


def ssim(truth, prediction):
    """Mean structural similarity (Wang et al. 2004) of two uint8 pictures (H,W,3), 1 where they are equal.

    The window is the largest odd one that fits where a side is shorter than WINDOW.
    """
    from skimage.metrics import structural_similarity

    return structural_similarity(
        truth,
        prediction,
        channel_axis=-1,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        win_size=min(WINDOW, (min(truth.shape[:2]) - 1) // 2 * 2 + 1),
    )


def flip(truth, prediction):
    """Mean LDR-FLIP error (Andersson et al. 2020) of two uint8 pictures (H,W,3), from 0 (equal) to 1."""
    return _flip(truth.shape, truth.tobytes(), prediction.tobytes())[1]


def flip_picture(truth, prediction):
    """The LDR-FLIP error of each pixel, as a picture (H,W,3) uint8: black where they are equal, yellow at 1."""
    error, _ = _flip(truth.shape, truth.tobytes(), prediction.tobytes())
    return np.rint(255 * np.clip(error, 0, 1)).astype(np.uint8)


@lru_cache(maxsize=1)  # who wants the mean and the picture asks for one after the other
def _flip(shape, truth, prediction):
    """(error of each pixel in magma's colours, its mean) of two pictures of a shape (H,W,3), given as their bytes."""
    pair = (np.frombuffer(each, np.uint8).reshape(shape).astype(np.float32) / 255 for each in (truth, prediction))
    return _flip_package().evaluate(*pair, "LDR", applyMagma=True)[:2]


@cache
def _flip_package():
    """flip_evaluator with one thread, as its rule has: several wait for each other in loops, four times the work.

    Its OpenMP, which it brings along, reads the environment once, when it is loaded.
    """
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        import flip_evaluator
    finally:
        del os.environ["OMP_NUM_THREADS"]
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before
    return flip_evaluator
