"""Image sets of any known format: their cameras, and their images with them."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np

from . import nerf_synthetic
from .posed_images import DataError, PosedImages

# Each has NAME, recognises(path), and read_cameras(path) -> Cameras, which raises DataError. The first one that
# recognises a path reads it.
FORMATS = (nerf_synthetic,)


def read_cameras(path):
    """The Cameras that the file `path` describes. Raises DataError."""
    path = Path(path)
    for reader in FORMATS:
        if reader.recognises(path):
            return reader.read_cameras(path)
    raise DataError(f"{path}: no known image set (known: {', '.join(reader.NAME for reader in FORMATS)})")


def read_images(path):
    """The PosedImages that the file `path` describes. Raises DataError naming every image that is missing or unfit."""
    cameras = read_cameras(path)
    missing = [str(file) for file in cameras.files if not file.is_file()]
    if missing:
        some = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise DataError(f"{path}: {len(missing)} of {len(cameras.files)} images do not exist: {some}")
    images = []
    for file in cameras.files:
        try:
            images.append(_as_rgba(iio.imread(file)))
        except (OSError, ValueError) as error:
            raise DataError(f"{file}: not a readable image: {error}") from error
        if images[-1].shape != images[0].shape:
            raise DataError(f"{file}: size {images[-1].shape[:2]} differs from the first image's {images[0].shape[:2]}")
    height, width = images[0].shape[:2]
    stated = cameras.intrinsics.get("w", width), cameras.intrinsics.get("h", height)
    if abs(stated[1] * width / stated[0] - height) > 1:  # smaller images of the same shape are fine
        raise DataError(f"{path}: h: images of {width}x{height} cannot be {stated[0]}x{stated[1]} made smaller")
    focal, center = cameras.pinhole(width, height)
    names = [file.stem for file in cameras.files]
    return PosedImages(np.stack(images), cameras.pose, focal, center, names, cameras.scale, cameras.offset)


def _as_rgba(image):
    """(H,W,4) uint8 of an 8- or 16-bit grey, RGB or RGBA image; opaque where it has no alpha."""
    if image.dtype == np.uint16:
        image = (image / 257.0 + 0.5).astype(np.uint8)
    if image.dtype != np.uint8:
        raise ValueError(f"pixels are {image.dtype}, expected 8 or 16 bits")
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=-1)
    if image.shape[-1] == 3:
        image = np.concatenate([image, np.full_like(image[..., :1], 255)], axis=-1)
    if image.ndim != 3 or image.shape[-1] != 4:
        raise ValueError(f"shape {image.shape} is neither grey, RGB nor RGBA")
    return image
