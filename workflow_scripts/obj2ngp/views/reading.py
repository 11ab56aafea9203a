"""An object's views as the programs read them: their cameras, and their images with them."""

from pathlib import Path

import numpy as np

from obj2ngp.common.memory import require_memory
from obj2ngp.common.packing import is_there

from . import nerf_synthetic
from .picture_files import read_rgba, read_size
from .posed_images import DataError, PosedImages


def read_cameras(path):
    """The Cameras that the transforms file `path` describes. Raises DataError."""
    path = Path(path)
    if not nerf_synthetic.recognises(path):
        raise DataError(f"{path}: no known image set (known: {nerf_synthetic.NAME})")
    return nerf_synthetic.read_cameras(path)


def read_images(path):
    """The PosedImages that the file `path` describes. Raises DataError naming every image that is missing or unfit."""
    cameras = read_cameras(path)
    missing = [str(file) for file in cameras.files if not is_there(file)]
    if missing:
        some = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise DataError(f"{path}: {len(missing)} of {len(cameras.files)} images do not exist: {some}")
    width, height = read_size(cameras.files[0])
    require_memory(4 * width * height * len(cameras.files), f"{path}: {len(cameras.files)} images of {width}x{height}")
    rgba = np.empty((len(cameras.files), height, width, 4), np.uint8)
    for index, file in enumerate(cameras.files):
        image = read_rgba(file)
        if image.shape != rgba.shape[1:]:
            rows, columns = image.shape[:2]
            raise DataError(f"{file}: size {columns}x{rows} differs from the first image's {width}x{height}")
        rgba[index] = image
    stated = cameras.intrinsics.get("w", width), cameras.intrinsics.get("h", height)
    if abs(stated[1] * width / stated[0] - height) > 1:  # smaller images of the same shape are fine
        raise DataError(f"{path}: h: images of {width}x{height} cannot be {stated[0]}x{stated[1]} made smaller")
    focal, center = cameras.pinhole(width, height)
    names = [file.stem for file in cameras.files]
    return PosedImages(rgba, cameras.pose, focal, center, names, cameras.scale, cameras.offset)
