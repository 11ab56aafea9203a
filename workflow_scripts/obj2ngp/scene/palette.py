"""The materials of a model: which it names, which are there, and the files of their textures."""

import os
import re

from .lookup import LONGEST_PATH, find_file, model_root, place_of
from .mtl_file import Material, read_mtl

UNKNOWN = Material("")  # light grey, for faces without a material


def _find_libraries(obj, model, problems, uses):
    """Paths of the .mtl files that ``obj`` names. One statement may name several, or one with spaces in it."""
    paths, missing = [], []
    for names in obj.libraries:
        whole = find_file(names, model, model)
        for name in [names] if whole else re.split(r"(?<!\\)\s+", names):
            path = whole or find_file(re.sub(r"\\(\s)", r"\1", name), model, model)
            if path is None:
                missing.append(name)
            elif path not in paths:
                paths.append(path)
            _note(path or place_of(name, model, model), uses)
    if missing:
        problems.report("missing_material", "{}: material file not found: {}".format(model, ", ".join(missing)))
    return paths


def _note(path, uses):
    if path is not None:
        uses(path)


def read_palette(obj, model, used, problems, uses):
    """The Material of each name in ``obj.materials``, and at the end that of faces without one.

    Only what ``used`` (indices into that list) needs is looked for. Textures that are not found are reported together
    and taken off the material, whose plain colour then shows. ``uses`` is called with the path of each file that is
    needed, there or not.
    """
    known = {}
    home = {}
    for path in _find_libraries(obj, model, problems, uses):
        for name, material in read_mtl(path).items():
            known[name], home[name] = material, path
    palette = [known.get(name, UNKNOWN) for name in obj.materials] + [UNKNOWN]
    undefined = [name for i, name in enumerate(obj.materials) if i in used and name not in known]
    if undefined:
        problems.report("missing_material", "{}: material not defined: {}".format(model, ", ".join(undefined)))

    missing = {}
    for index in sorted(used):
        material = palette[index]
        for texture in material.used_textures():
            texture.path = find_file(texture.reference, model, home[material.name])
            _note(texture.path or place_of(texture.reference, model, home[material.name]), uses)
            if texture.path is None:
                missing.setdefault((home[material.name], texture.reference), material.name)
    if missing:
        report_textures(
            problems,
            model,
            [
                f"{_end(reference)!r} of material {material!r} in {os.path.basename(library)}"
                for (library, reference), material in missing.items()
            ],
            f"not found under {model_root(model)}",
        )
    for index in used:
        drop_textures(palette[index], lambda texture: texture.path is None)
    return palette


def _end(reference):
    """A reference as a message has it: the end of one that is longer than any path."""
    return reference if len(reference) <= LONGEST_PATH else "..." + reference[-100:]


def report_textures(problems, model, textures, reason):
    """Report ``textures`` (descriptions) of ``model`` that cannot be used, with the reason."""
    problems.report("missing_texture", "{}: texture {}: {}".format(model, reason, "; ".join(textures)))


def drop_textures(material, is_unusable):
    """Take the textures off ``material`` for which ``is_unusable(texture)``; black under a texture becomes grey."""
    if material.texture is not None and is_unusable(material.texture):
        material.texture = None
        if not any(material.color):
            material.color = UNKNOWN.color
    if material.opacity_texture is not None and is_unusable(material.opacity_texture):
        material.opacity_texture = None
