"""Folders of pictures in archives: written whole, read by the names that the files would have in the folder."""

import zipfile

import numpy as np
import pytest

from obj2ngp.common.checks import open_file, read_bytes
from obj2ngp.common.files import UserError
from obj2ngp.common.packing import atomic_pictures, folder_of, holder, is_there
from obj2ngp.views.nerf_synthetic import write_images
from obj2ngp.views.picture_files import read_picture, read_size, write_picture
from obj2ngp.views.posed_images import PosedImages
from obj2ngp.views.reading import read_images
from obj2ngp.workflow.archives import PACKED_FROM, are_packed

KEY = "0123456789ab"


def write(path, texts, key=None):
    with atomic_pictures(path, key) as folder:
        for name, text in texts.items():
            (folder / name).write_text(text)


def test_what_is_in_an_archive_is_read_by_the_name_that_it_would_have_in_the_folder(tmp_path):
    write(tmp_path / "v0.5.zip", {"a.txt": "one", "b.txt": "two", ".hidden": "no"})
    assert [path.name for path in tmp_path.iterdir()] == ["v0.5.zip"]
    assert folder_of(tmp_path / "v0.5.zip") == tmp_path / "v0.5" == folder_of(tmp_path / "v0.5")
    path = tmp_path / "v0.5" / "b.txt"
    assert is_there(path) and read_bytes(path) == b"two" and holder(path) == str(tmp_path / "v0.5.zip")
    with open_file(path) as file:
        assert file.read() == b"two"
    for missing in (tmp_path / "v0.5" / ".hidden", tmp_path / "v0.6" / "a.txt"):
        assert not is_there(missing)
        with pytest.raises(UserError, match="No such file"):
            read_bytes(missing)
    assert zipfile.ZipFile(tmp_path / "v0.5.zip").testzip() is None


def test_an_archive_that_is_written_anew_is_read_anew_and_is_the_same_for_the_same_files(tmp_path):
    archive = tmp_path / "train.zip"
    write(archive, {"a": "one"})
    first = archive.read_bytes()
    assert read_bytes(tmp_path / "train" / "a") == b"one"
    write(archive, {"a": "two"})
    assert read_bytes(tmp_path / "train" / "a") == b"two"
    write(archive, {"a": "one"})
    assert archive.read_bytes() == first


def test_folder_and_archive_take_each_other_s_place(tmp_path):
    folder, archive = tmp_path / "train", tmp_path / "train.zip"
    write(folder, {"a": "one"})
    write(archive, {"b": "two"})
    assert not folder.exists() and not is_there(folder / "a") and is_there(folder / "b")
    write(folder, {"a": "three"})
    assert not archive.exists() and not is_there(folder / "b") and read_bytes(folder / "a") == b"three"


def test_a_killed_pass_goes_on_from_its_files_and_a_failed_one_leaves_the_archive_as_it_was(tmp_path):
    archive = tmp_path / "train.zip"
    write(archive, {"a": "one"})
    with pytest.raises(KeyboardInterrupt), atomic_pictures(archive, KEY) as folder:
        (folder / "b").write_text("two")
        raise KeyboardInterrupt
    assert read_bytes(tmp_path / "train" / "a") == b"one"
    with atomic_pictures(archive, KEY) as folder:
        assert [path.name for path in folder.iterdir()] == ["b"]
    with pytest.raises(UserError), atomic_pictures(archive, KEY):
        raise UserError
    assert [path.name for path in tmp_path.iterdir()] == ["train.zip"] and is_there(tmp_path / "train" / "b")


@pytest.mark.parametrize("spoil", ["junk", "cut", "compressed"])
def test_an_unfit_archive_is_named(tmp_path, spoil):
    archive = tmp_path / "train.zip"
    write(archive, {"a": "one" * 100})
    if spoil == "compressed":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("a", "one" * 100)
    else:
        archive.write_bytes(b"junk" if spoil == "junk" else archive.read_bytes()[:-30])
    for function in (read_bytes, is_there):
        with pytest.raises(UserError, match=f"^{archive}: "):
            function(tmp_path / "train" / "a")


def test_pictures_and_image_sets_are_read_from_archives(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 16, 4), np.uint8)
    poses = np.tile(np.eye(4, dtype=np.float32)[:3], (3, 1, 1))
    images = PosedImages(pixels, poses, 20.0, (8.0, 6.0), ["000", "001", "002"])
    write_images(images, tmp_path, "train")
    pictures = {path.name: path.read_bytes() for path in (tmp_path / "train").iterdir()}
    with atomic_pictures(tmp_path / "train.zip") as folder:
        for name, content in pictures.items():
            (folder / name).write_bytes(content)
    assert not (tmp_path / "train").exists()
    again = read_images(tmp_path / "transforms_train.json")
    assert np.array_equal(again.rgba, pixels) and again.names == images.names
    assert read_size(tmp_path / "train" / "001.png") == (16, 12)
    with atomic_pictures(tmp_path / "train.zip") as folder:
        write_picture(folder / "000.png", pixels[0])
    assert np.array_equal(read_picture(tmp_path / "train" / "000.png"), pixels[0])
    with pytest.raises(UserError, match="2 of 3 images do not exist"):
        read_images(tmp_path / "transforms_train.json")


def test_a_project_stays_as_it_has_begun(tmp_path):
    few, many = PACKED_FROM - 1, PACKED_FROM
    results = tmp_path / "results"
    assert are_packed(None, results, many) and not are_packed(None, results, few)
    assert are_packed(True, results, few) and not are_packed(False, results, many)
    (results / "slices").mkdir(parents=True)
    (results / "chair" / "renders" / "train").mkdir(parents=True)
    assert not are_packed(None, results, many)
    (results / "chair" / "renders" / "train").rmdir()
    (results / "chair" / "renders" / "test.zip").touch()
    assert are_packed(None, results, few)
