"""Where the files that a model names really lie."""

import os
import re

from obj2ngp.common.checks import LONGEST_NAME

LONGEST_PATH = 4096  # bytes, on Linux: nothing lies at a longer one
DEEPEST = 32  # folders of a reference that are looked for below others: more is a mistake, and takes long
IMAGE_FOLDERS = ("images", "textures", os.path.join("materials", "textures"))


def model_root(model):
    """The folder that nothing a model names may lie outside of: two above the folder of ``model``, not the disk's root.

    Two, because collections keep textures beside the folder of the meshes (``../images`` in ShapeNet v2,
    ``../../textures`` elsewhere). Links inside it are followed.
    """
    folder = os.path.dirname(os.path.abspath(str(model)))
    for _ in range(2):
        parent = os.path.dirname(folder)
        if os.path.dirname(parent) == parent:
            break
        folder = parent
    return folder


def _existing(path, root):
    """The file at ``path``, whatever the case of its letters, if it lies under ``root``; else None."""
    relative = os.path.relpath(os.path.normpath(path), root)
    found = root
    for name in relative.split(os.sep):
        if name == os.pardir or not os.path.isdir(found):
            return None
        exact = os.path.join(found, name)
        if not os.path.exists(exact):
            same = sorted(entry for entry in os.listdir(found) if entry.lower() == name.lower())
            if not same:
                return None
            exact = os.path.join(found, same[0])
        found = exact
    return found if os.path.isfile(found) else None


def find_file(reference, model, named_in):
    """The file that ``reference``, written in the file ``named_in`` of ``model``, means; None where there is none.

    Tried first as written, relative to ``named_in``; then its ever shorter ends (``a/b/c.png``, ``b/c.png``, ``c.png``)
    beside ``named_in`` and the model, in the folder above, and in the image folders of these; always without regard to
    the case of letters. Backslashes, drive letters and ``model://`` are understood.
    """
    if "\0" in reference:
        return None
    root = model_root(model)
    reference = re.sub(r"^([A-Za-z]:|[a-z]+:/)(?=/)", "", reference.strip().replace("\\", "/"))
    model_folder = os.path.dirname(os.path.abspath(str(model)))
    written_in = os.path.dirname(os.path.abspath(str(named_in)))
    folders = []
    for folder in (written_in, model_folder, os.path.dirname(model_folder)):
        for path in [folder] + [os.path.join(folder, images) for images in IMAGE_FOLDERS]:
            if path not in folders and os.path.isdir(path):
                folders.append(path)
    as_written = os.path.join(written_in, reference)  # an absolute reference stays as it is
    parts = [part for part in reference.split("/") if part not in ("", ".")][-DEEPEST:]
    candidates = [as_written] if len(os.fsencode(as_written)) < LONGEST_PATH else []
    candidates += [os.path.join(folder, *parts[i:]) for i in range(len(parts)) for folder in folders]
    return next((found for found in (_existing(path, root) for path in candidates) if found), None)


def place_of(reference, model, named_in):
    """Where a file would lie, as written, that `find_file` does not find; None where none could lie, or be found."""
    written_in = os.path.dirname(os.path.abspath(str(named_in)))
    path = os.path.normpath(os.path.join(written_in, reference.replace("\\", "/")))
    sizes = [len(os.fsencode(name)) for name in path.split(os.sep)]
    is_possible = "\0" not in path and max(sizes) <= LONGEST_NAME and sum(sizes) + len(sizes) < LONGEST_PATH
    if not is_possible or not path.startswith(model_root(model) + os.sep) or os.path.lexists(path):
        return None
    return path
