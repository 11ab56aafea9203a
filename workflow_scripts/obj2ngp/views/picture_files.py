"""Files of pictures: what is read is checked before it is decoded, and has the size and kind that it should."""

import io
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from obj2ngp.common.checks import open_file
from obj2ngp.common.files import UserError

from .posed_images import DataError

POSTSCRIPT = (b"%!PS", b"\xc5\xd0\xd3\xc6")  # how its files begin: Pillow has Ghostscript run them as programs
LARGEST_PICTURE = 8192 * 8192  # pixels: a few bytes of a file can ask for any number of them
MODES = ("L", "I;16", "RGB", "RGBA")  # Pillow's words for 8 and 16 bits of grey, and 8 of each channel
SAME_AS = {"1": "L", "LA": "RGBA", "PA": "RGBA", "CMYK": "RGB"}  # what else there is, and what can be made of it


def read_size(path):
    """(width, height) in pixels of a picture, from its header alone. Raises DataError."""
    return _read(path, lambda picture: picture.size)


def read_picture(path):
    """The first picture of a file, in 8 or 16 bits: (H,W) grey, or (H,W,3) or (H,W,4) of 8 bits. Raises DataError."""
    return _read(path, _pixels)


def read_rgba(path):
    """(H,W,4) uint8 of an 8- or 16-bit grey, RGB or RGBA picture; opaque where it has no alpha. Raises DataError."""
    picture = read_picture(path)
    if picture.dtype == np.uint16:
        picture = (picture / 257.0 + 0.5).astype(np.uint8)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=-1)
    if picture.shape[-1] == 3:
        picture = np.concatenate([picture, np.full_like(picture[..., :1], 255)], axis=-1)
    return picture


def write_picture(path, pixels, **options):
    """Write `pixels`, (H,W) or (H,W,C) of 8 or 16 bits, to the file `path` in the format of its suffix.

    `options` are for Pillow's writer of that format. The file is written at once, so that a full disk is told as such.
    """
    content = io.BytesIO()
    content.name = path.name  # tells Pillow the format, of which it then loads no other
    Image.fromarray(pixels).save(content, **options)
    path.write_bytes(content.getvalue())


def _pixels(picture):
    """The pixels of an opened picture, those of a palette by their colours. Raises DataError after what it is."""
    mode = SAME_AS.get(picture.mode, picture.mode)
    if "transparency" in picture.info:
        mode = "RGBA"
    elif mode == "P":
        mode = picture.palette.mode
    if mode not in MODES:
        raise DataError(f"pixels are {mode}, neither grey, RGB nor RGBA of 8 or 16 bits")
    return np.array(picture if mode == picture.mode else picture.convert(mode))


def _read(path, function):
    """What `function` has of the opened picture in the file `path`. Raises DataError."""
    try:
        with open_file(path) as file, warnings.catch_warnings():
            if file.read(4) in POSTSCRIPT:
                raise DataError("not a readable image: it is PostScript")
            file.seek(0)
            warnings.simplefilter("ignore")  # Pillow's, of large pictures: ours are limited in any case
            with Image.open(file) as picture:
                width, height = picture.size
                if width * height > LARGEST_PICTURE:
                    raise DataError(f"{width}x{height} pixels, more than {LARGEST_PICTURE:,}")
                return function(picture)
    except MemoryError:
        raise
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except UserError as error:
        raise DataError(str(error)) from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: not a readable image: its format is unknown or damaged") from error
    except Exception as error:  # decoders meet damaged files with errors of all kinds
        raise DataError(f"{path}: not a readable image: {str(error) or type(error).__name__}") from error


def block_means(picture, rows, columns):
    """The means of blocks of `rows` x `columns` pixels of a picture (H,W,C); what fills no block is cut off."""
    height, width = picture.shape[0] // rows, picture.shape[1] // columns
    blocks = picture[: height * rows, : width * columns].reshape(height, rows, width, columns, -1)
    return blocks.mean(axis=(1, 3))
