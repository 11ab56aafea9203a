"""Render one split of one object: pictures, a record of how they were made, and the cameras.

Runs in Python with the bpy module, or inside Blender:

    python render.py --object chair --model chair.obj --split train --settings '{}' --images train --transforms t.json
    blender -b --factory-startup --python-exit-code 1 -P render.py -- --object chair ...

Coordinates, record and file formats are described in ``scene.cameras`` and in ``write_record`` below.
"""

import argparse
import dataclasses
import json
import os
import sys
import time

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from files import UserError, atomic_folder, atomic_path, run_program  # noqa: E402
from scene.cameras import camera_poses, derived_seed, largest_visible_sphere, transforms  # noqa: E402
from scene.mesh import UP, build_mesh  # noqa: E402
from scene.obj_file import read_obj  # noqa: E402
from scene.palette import read_palette  # noqa: E402
from scene.problems import Problems  # noqa: E402
from scene.settings import METHOD, Settings  # noqa: E402
from settings import read_settings  # noqa: E402


def parse_arguments(argv):
    """The command line; inside Blender's executable, what stands behind ``--``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--object", required=True, help="name of the object")
    parser.add_argument("--model", required=True, help=".obj file")
    parser.add_argument("--split", required=True, choices=("train", "val", "test"))
    parser.add_argument("--settings", required=True, help="JSON object, see scene/settings.py")
    parser.add_argument("--images", required=True, help="folder for 000.png, 001.png, ... and record.json")
    parser.add_argument("--transforms", required=True, help="file for the cameras")
    parser.add_argument("--threads", type=int, default=0, help="0: all; the pictures do not depend on it")
    return parser.parse_args(argv)


def load_scene(arguments, settings, problems):
    """Read the model and build the Blender scene. Returns (mesh, camera object, what Cycles uses)."""
    from scene import materials, studio

    model = arguments.model
    obj = read_obj(model)
    if obj.maybe_truncated:
        problems.warn(f"{model}: its last face has no line end; the file may be truncated")
    used = set(np.where(obj.face_material < 0, len(obj.materials), obj.face_material).tolist())
    palette = read_palette(obj, model, used, problems)
    studio.reset()
    images = materials.load_images(palette, used, model, problems)
    for index in sorted(used):
        note_unseen_material(palette[index], model, problems)
    mesh = build_mesh(
        obj,
        model,
        np.array([bool(material.used_textures()) for material in palette]),
        settings.up,
        settings.scale,
        largest_visible_sphere(settings.cameras, settings.resolution) if settings.fit else None,
        problems,
    )
    studio.add_mesh(
        mesh, [materials.make_material(look, palette, images, mesh.colors is not None) for look in mesh.looks]
    )
    studio.add_light(settings.light)
    camera = studio.add_camera(settings.cameras, settings.resolution)
    return mesh, camera, studio.configure_cycles(settings, arguments.threads)


def note_unseen_material(material, model, problems):
    """Warn of a material that cannot be seen, or whose shape cannot, because the file says so."""
    if material.opacity <= 0 and material.opacity_texture is None:
        problems.warn(f"{model}: material {material.name!r} is fully transparent (d 0 or Tr 1)")
    elif material.texture is None and not any(material.color) and not any(material.emission):
        problems.warn(f"{model}: material {material.name!r} is black (Kd 0 0 0, no texture)")


def take_pictures(poses, camera, seed, folder, settings, problems):
    """Render all ``poses`` into ``folder``; returns the share of pixels that the object covers in each view."""
    from scene import studio

    coverage = []
    at_edge = []
    for index, pose in enumerate(poses):
        begin = time.perf_counter()
        name = f"{index:03d}"
        path = str(folder / name)
        pixels = studio.take_picture(camera, pose, (seed + index) % 2**31, path, settings.depth or settings.normals)
        seen = pixels[..., 3] > 0
        coverage.append(float(seen.mean()))
        if seen[0].any() or seen[-1].any() or seen[:, 0].any() or seen[:, -1].any():
            at_edge.append(name)
        print(
            f"view {index + 1} of {len(poses)}: {coverage[-1]:.0%} covered, {time.perf_counter() - begin:.2f} s",
            flush=True,
        )
    if not any(coverage):
        why = "; ".join(problems.warnings) or "it may be too small or lie edge on"
        raise UserError(f"nothing of the object is seen in any view: {why}")
    empty = [f"{index:03d}" for index, share in enumerate(coverage) if share == 0]
    if empty:
        problems.report("no_visible_pixel", "nothing of the object is seen in view " + ", ".join(empty))
    if at_edge:
        problems.warn("the picture's edge cuts the object in view " + ", ".join(at_edge))
    return coverage


def write_record(path, arguments, settings, seed, mesh, cycles, coverage, problems):
    """What was rendered, how and with what, so that results map back to the model's own units.

    ``normalization.matrix`` (4x4, row-major) takes the file's coordinates to the world's (z up, unit box):
    a rotation that puts the up axis up, times ``scale``, then ``translation``.
    """
    import bpy

    matrix = np.eye(4)
    matrix[:3, :3] = mesh.scale * UP[settings.up]
    matrix[:3, 3] = mesh.translation
    record = {
        "object": arguments.object,
        "model": os.path.basename(arguments.model),
        "split": arguments.split,
        "method": METHOD,
        "versions": {
            "blender": bpy.app.version_string,
            "python": sys.version.split()[0],
            "numpy": np.__version__,
        },
        "settings": dataclasses.asdict(settings),
        "seed": seed,
        "cycles": cycles,
        "normalization": {
            "scale": mesh.scale,
            "translation": mesh.translation.tolist(),
            "matrix": matrix.tolist(),
        },
        "mesh": mesh.statistics,
        "coverage": coverage,
        "warnings": problems.warnings,
    }
    with open(str(path), "w") as file:
        json.dump(record, file, indent=1)


def render(arguments):
    """Render as ``arguments`` say; the outputs appear whole, the transforms file last. Raises UserError."""
    settings = read_settings(Settings, arguments.settings)
    problems = Problems(settings)
    seed = derived_seed(settings.seed, arguments.object, arguments.split)
    poses = camera_poses(settings.cameras, settings.views, seed)
    with atomic_folder(arguments.images) as folder:
        mesh, camera, cycles = load_scene(arguments, settings, problems)
        coverage = take_pictures(poses, camera, seed, folder, settings, problems)
        write_record(folder / "record.json", arguments, settings, seed, mesh, cycles, coverage, problems)
    images = os.path.relpath(arguments.images, os.path.dirname(os.path.abspath(arguments.transforms)))
    with atomic_path(arguments.transforms) as path, open(str(path), "w") as file:
        json.dump(transforms(settings.cameras, settings.resolution, poses, images.replace(os.sep, "/")), file, indent=1)


def main():
    """Exit status 0, or 1 after one line that names the object, the file and the reason."""
    sys.stdout.reconfigure(errors="backslashreplace")  # names in files may be no text that the terminal can show
    in_executable = not sys.argv[0].endswith(".py") and "--" in sys.argv
    arguments = parse_arguments(sys.argv[sys.argv.index("--") + 1 :] if in_executable else sys.argv[1:])
    try:
        render(arguments)
    except UserError as error:
        raise UserError(f"object {arguments.object}: {error}") from error


if __name__ == "__main__":
    run_program(main)
