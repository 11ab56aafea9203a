"""Files of pictures: every kind that people have is read as what it shows, and what is written is read again."""

import numpy as np
import pytest
from PIL import Image

from obj2ngp.common.files import UserError
from obj2ngp.views.picture_files import read_picture, read_rgba, read_size, write_picture

RED, CLEAR = (200, 10, 10, 255), (0, 0, 0, 0)


def picture(mode):
    """A picture of 6x4 pixels of Pillow's mode whose left half is red, or as bright, and whose right half is black."""
    rgb = Image.fromarray(np.tile(np.repeat([RED[:3], CLEAR[:3]], 3, axis=0).astype(np.uint8), (4, 1, 1)))
    if mode in ("LA", "RGBA"):
        rgb.putalpha(Image.fromarray(np.tile(np.repeat([255, 0], 3).astype(np.uint8), (4, 1))))
    if mode == "I;16":
        return Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)
    if mode == "1":
        return Image.fromarray(np.asarray(rgb.convert("L")) > 0)
    return rgb.convert(mode, palette=Image.Palette.ADAPTIVE) if mode == "P" else rgb.convert(mode)


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tiff", "a.bmp", "a.ppm"])
def test_colours(tmp_path, name):
    picture("RGB").save(tmp_path / name, **({"lossless": True} if name == "a.webp" else {}))
    assert read_size(tmp_path / name) == (6, 4)
    rgba = read_rgba(tmp_path / name)
    assert rgba.shape == (4, 6, 4) and rgba.dtype == np.uint8
    assert (rgba[:, :3] == RED).all() and (rgba[:, 3:] == (0, 0, 0, 255)).all()


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "I;16", "RGBA"])
def test_other_modes(tmp_path, mode):
    picture(mode).save(tmp_path / "a.png")
    rgba = read_rgba(tmp_path / "a.png")
    left = RED if mode in ("P", "RGBA") else (*[255 if mode == "1" else int(rgba[0, 0, 0])] * 3, 255)
    assert (rgba[1:3, :2] == left).all() and (rgba[1:3, 4:, :3] == 0).all()
    assert (rgba[1:3, 4:, 3] == (0 if mode in ("LA", "RGBA") else 255)).all()
    if mode in ("L", "LA", "I;16"):
        assert left[0] == 67  # of the standard weights 0.299, 0.587 and 0.114


def test_a_palette_with_a_transparent_colour(tmp_path):
    palette = picture("P")
    palette.save(tmp_path / "a.png", transparency=palette.getpixel((5, 0)))
    rgba = read_rgba(tmp_path / "a.png")
    assert (rgba[:, 0] == RED).all() and (rgba[:, 5, 3] == 0).all()


def test_inks_are_no_colours_with_alpha(tmp_path):
    """Four channels, of which the fourth is black ink."""
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    rgba = read_rgba(tmp_path / "a.jpg")
    assert np.abs(rgba.astype(int) - (255, 0, 0, 255)).max() < 9


@pytest.mark.parametrize("mode", ["F", "I", "LAB", "YCbCr"])
def test_modes_that_no_picture_of_an_object_has(tmp_path, mode):
    Image.new(mode, (6, 4)).save(tmp_path / "a.tiff")
    with pytest.raises(UserError, match=rf"a\.tiff: pixels are {mode}, neither grey, RGB nor RGBA"):
        read_picture(tmp_path / "a.tiff")


@pytest.mark.parametrize(
    "pixels",
    [
        np.arange(20 * 30 * 4, dtype=np.uint8).reshape(20, 30, 4),
        np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3),
        np.arange(20 * 30, dtype=np.uint8).reshape(20, 30),
        np.arange(20 * 30, dtype=np.uint16).reshape(20, 30) * 109,
    ],
    ids=["RGBA", "RGB", "grey", "16 bits"],
)
def test_what_is_written_is_read_again(tmp_path, pixels):
    write_picture(tmp_path / "a.png", pixels)
    again = read_picture(tmp_path / "a.png")
    assert again.dtype == pixels.dtype and np.array_equal(again, pixels)
