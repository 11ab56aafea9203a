"""Folders of pictures kept as one file each: the zip archive `train.zip` in place of the folder `train`.

File systems that many machines share are slow with very many files. An archive is not compressed, since pictures are,
and holds the same bytes whenever it is made of the same files. What is in it has the name that it would have in the
folder, `train/000.png`, and is opened by it: see `checks.open_file`.

Standard library only and valid for Python 3.7, so that it also runs inside Blender 2.90.
"""

import contextlib
import functools
import os
from pathlib import Path

from .files import UserError, atomic_folder, atomic_path, remove, working_folder

SUFFIX = ".zip"
OLDEST = (1980, 1, 1, 0, 0, 0)  # the time that all files in an archive have


def folder_of(path):
    """The Path of the folder that the archive `path` stands for; of a folder, itself."""
    path = Path(path)
    return path.with_name(path.name[: -len(SUFFIX)]) if path.name.endswith(SUFFIX) else path


def holder(path):
    """The path of the file that holds the contents of the file `path`: itself, or the archive of its folder."""
    folder = os.path.dirname(str(path))
    return str(path) if os.path.isdir(folder) or not os.path.isfile(folder + SUFFIX) else folder + SUFFIX


def content(path):
    """The bytes of the file `path` in the archive of its folder; None where there is none. Raises UserError."""
    archive = holder(path)
    with _naming(archive):
        files, found = _member(archive, path)
        return None if found is None else files.read(found)


def is_there(path):
    """Whether there is a file `path`, in its folder or in the archive in place of that. Raises UserError."""
    if os.path.isfile(str(path)):
        return True
    archive = holder(path)
    with _naming(archive):
        return _member(archive, path)[1] is not None


def _member(archive, path):
    """(the open archive, what it says of the file `path`); the latter is None where it has none."""
    import zipfile  # here and below, since most programs never need it

    if archive == str(path):
        return None, None
    state = os.stat(archive)
    files = _opened(archive, state.st_ino, state.st_mtime_ns, state.st_size)
    try:
        found = files.getinfo(os.path.basename(str(path)))
    except KeyError:
        return files, None
    if found.compress_type != zipfile.ZIP_STORED or found.file_size > state.st_size:
        raise UserError(f"{archive}: {found.filename} is compressed")
    return files, found


@contextlib.contextmanager
def _naming(archive):
    """Have errors of reading the archive name it. Raises UserError."""
    import zipfile

    try:
        yield
    except OSError as error:
        raise UserError(f"{archive}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError, EOFError) as error:
        raise UserError(f"{archive}: not a usable archive: {error}") from error


@functools.lru_cache(maxsize=2)  # the pictures of a pass are read one after another
def _opened(archive, *state):
    """The archive, open. `state` tells it from others that were there before."""
    import zipfile

    return zipfile.ZipFile(archive)


@contextlib.contextmanager
def atomic_pictures(path, key=None):
    """`atomic_folder` of the folder `path`, which is packed where `path` is an archive.

    Whatever the folder or its archive held before is gone afterwards.
    """
    folder = folder_of(path)
    archive = folder.parent / (folder.name + SUFFIX)
    if folder == Path(path):
        with atomic_folder(folder, key) as temporary:
            yield temporary
        remove(archive)
        return
    with working_folder(folder, key) as temporary:
        yield temporary
        with atomic_path(archive) as packed:
            _pack(temporary, packed)
    remove(folder)


def _pack(folder, archive):
    """Write the files of `folder` that are not hidden to the file `archive`."""
    import zipfile

    with zipfile.ZipFile(str(archive), "w", zipfile.ZIP_STORED) as packed:
        for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
            packed.writestr(zipfile.ZipInfo(path.name, OLDEST), path.read_bytes())
