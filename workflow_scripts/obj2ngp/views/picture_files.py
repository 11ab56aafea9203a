"""Files of pictures: what is read is checked before it is decoded, and has the size and kind that it should."""

import warnings

import imageio.v3 as iio
import numpy as np

from obj2ngp.common.checks import open_file
from obj2ngp.common.files import UserError

from .posed_images import DataError

POSTSCRIPT = (b"%!PS", b"\xc5\xd0\xd3\xc6")  # how its files begin: Pillow has Ghostscript run them as programs
LARGEST_PICTURE = 8192 * 8192  # pixels: a few bytes of a file can ask for any number of them


def read_size(path):
    """(width, height) in pixels of a picture, from its header alone. Raises DataError."""
    return _read(path, lambda picture: _size(picture, path))


def read_picture(path):
    """The first picture of a file, 8 or 16 bits, as it stores it: (H,W) grey or (H,W,C). Raises DataError."""

    def pixels(picture):
        _size(picture, path)
        metadata = picture.metadata(index=0)
        return picture.read(index=0, mode="RGBA" if "transparency" in metadata else None)

    return _read(path, pixels)


def read_rgba(path):
    """(H,W,4) uint8 of an 8- or 16-bit grey, RGB or RGBA picture; opaque where it has no alpha. Raises DataError."""
    picture = read_picture(path)
    if picture.dtype == np.uint16:
        picture = (picture / 257.0 + 0.5).astype(np.uint8)
    if picture.dtype != np.uint8:
        raise DataError(f"{path}: pixels are {picture.dtype}, expected 8 or 16 bits")
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=-1)
    if picture.shape[-1] == 3:
        picture = np.concatenate([picture, np.full_like(picture[..., :1], 255)], axis=-1)
    if picture.ndim != 3 or picture.shape[-1] != 4:
        raise DataError(f"{path}: shape {picture.shape} is neither grey, RGB nor RGBA")
    return picture


def write_picture(path, pixels):
    """Write `pixels`, (H,W) or (H,W,C) of 8 or 16 bits, to the file `path` in the format of its suffix."""
    path.write_bytes(iio.imwrite("<bytes>", pixels, extension=path.suffix))


def _size(picture, path):
    height, width = picture.properties(index=0).shape[:2]
    if width * height > LARGEST_PICTURE:
        raise DataError(f"{path}: {width}x{height} pixels, more than {LARGEST_PICTURE:,}")
    return width, height


def _read(path, function):
    """What `function` has of the opened picture in the file `path`. Raises DataError."""
    try:
        with open_file(path) as file, warnings.catch_warnings():
            if file.read(4) in POSTSCRIPT:
                raise DataError(f"{path}: not a readable image: it is PostScript")
            file.seek(0)
            warnings.simplefilter("ignore")  # Pillow's, of large pictures: ours are limited in any case
            with iio.imopen(file, "r", plugin="pillow") as picture:
                return function(picture)
    except (DataError, MemoryError):
        raise
    except UserError as error:
        raise DataError(str(error)) from error
    except Exception as error:  # decoders meet damaged files with errors of all kinds
        reason = str(error.__cause__ or error) or type(error).__name__
        reason = (
            "its format is unknown or damaged" if "uri" in reason or "Pillow" in reason else reason
        )  # imageio's words
        raise DataError(f"{path}: not a readable image: {reason}") from error


def block_means(picture, rows, columns):
    """The means of blocks of `rows` x `columns` pixels of a picture (H,W,C); what fills no block is cut off."""
    height, width = picture.shape[0] // rows, picture.shape[1] // columns
    blocks = picture[: height * rows, : width * columns].reshape(height, rows, width, columns, -1)
    return blocks.mean(axis=(1, 3))
