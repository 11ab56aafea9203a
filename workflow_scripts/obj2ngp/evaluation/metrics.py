"""Compare rendered test views with the true ones.

Writes one row a view, and beside the table a JSON file of the same name that states the protocol.
"""

import csv
import json
from importlib.metadata import version

import flip_evaluator
import imageio.v3 as iio
import numpy as np
from skimage.metrics import structural_similarity

from obj2ngp.common.files import UserError, atomic_path
from obj2ngp.views.pictures import check_view_names, truth_on_white
from obj2ngp.views.posed_images import read_images

from . import lpips as lpips_metric

PSNR_OF_EQUAL_IMAGES = 100.0  # dB; also the most that any view counts
SMALLEST_SIDE = 11  # pixels, the size of the window of SSIM

PROTOCOL: dict = {
    "images": "8-bit sRGB, whole image; truth composited from straight alpha on white and rounded",
    "psnr": f"dB, over all pixels and channels; at most {PSNR_OF_EQUAL_IMAGES:g}, also for equal images",
    "ssim": "Wang et al. 2004: Gaussian window of 11 pixels, sigma 1.5, mean over RGB channels",
    "flip": "LDR-FLIP (Andersson et al. 2020), mean over pixels, 67 pixels per degree; 0 is best",
}


def psnr(truth, prediction):
    """Peak signal-to-noise ratio in dB of two uint8 pictures, PSNR_OF_EQUAL_IMAGES at most."""
    error = np.mean((truth.astype(np.float64) - prediction) ** 2) / 255**2
    if error == 0:
        return PSNR_OF_EQUAL_IMAGES
    return min(-10 * np.log10(error), PSNR_OF_EQUAL_IMAGES)


def ssim(truth, prediction):
    """Mean structural similarity of two uint8 pictures (H,W,3), 1 where they are equal."""
    return structural_similarity(
        truth,
        prediction,
        channel_axis=-1,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )


def flip(truth, prediction):
    """Mean FLIP error of two uint8 pictures (H,W,3), from 0 (equal) to 1."""
    pair = (picture.astype(np.float32) / 255 for picture in (truth, prediction))
    _, mean, _ = flip_evaluator.evaluate(*pair, "LDR", applyMagma=False)
    return mean


def read_prediction(file, size):
    """A rendered view (H,W,3) uint8 of `size` (H,W). Raises UserError naming the file."""
    try:
        picture = iio.imread(file)
    except FileNotFoundError as error:
        raise UserError(f"{file}: this view was not rendered") from error
    except OSError as error:
        raise UserError(f"{file}: not a readable picture: {error}") from error
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise UserError(f"{file}: expected 8-bit RGB, got {picture.dtype} of shape {picture.shape}")
    if picture.shape[:2] != size:
        (height, width), (rows, columns) = size, picture.shape[:2]
        raise UserError(f"{file}: {columns}x{rows} pixels, the true view has {width}x{height}")
    return picture


def compare(transforms, predictions, metrics):
    """Rows {"view": name, metric name: value} of all views of a transforms file.

    `metrics`: name -> function of the two uint8 pictures. Raises UserError naming the view.
    """
    views = read_images(transforms)
    size = views.rgba.shape[1:3]
    if min(size) < SMALLEST_SIDE:
        raise UserError(f"{transforms}: views must have at least {SMALLEST_SIDE} pixels a side")
    check_view_names(views.names, transforms)
    rows = []
    for name, rgba in zip(views.names, views.rgba, strict=True):
        truth = truth_on_white(rgba)
        prediction = read_prediction(predictions / f"{name}.png", size)
        values = {metric: float(function(truth, prediction)) for metric, function in metrics.items()}
        rows.append({"view": name, **values})
        print(name, *(f"{metric} {value:.4f}" for metric, value in values.items()), flush=True)
    return rows


def write_metrics(name, transforms, predictions, out):
    """Compare the views of the object `name` and write the table `out` and its protocol. Raises UserError."""
    metrics, protocol = {"psnr": psnr, "ssim": ssim, "flip": flip}, dict(PROTOCOL)
    lpips, protocol["lpips"] = lpips_metric.load()
    if lpips:
        metrics["lpips"] = lpips
    protocol["versions"] = {name: version(name) for name in ("scikit-image", "flip-evaluator")}
    rows = compare(transforms, predictions, metrics)
    with atomic_path(out.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(protocol, indent=1) + "\n")
    with atomic_path(out) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["object", "view", *metrics])
        writer.writeheader()
        writer.writerows({"object": name, **row} for row in rows)
