"""One pass of one object: from its .obj file to pictures, their record, and the cameras."""

import dataclasses
import hashlib
import json
import math
import os
import sys
import time
from pathlib import Path

import numpy as np

from obj2ngp.common.cameras import transforms
from obj2ngp.common.files import UserError, atomic_path, make_room
from obj2ngp.common.memory import require_address_space, require_memory
from obj2ngp.common.packing import atomic_pictures, folder_of
from obj2ngp.common.settings import read_settings

from .cameras import camera_poses, covered_rectangle, depth_range, derived_seed, largest_visible_sphere
from .mesh import UP, build_mesh
from .obj_file import read_obj
from .palette import read_palette
from .problems import Problems
from .settings import METHOD, SPLITS, Settings

# What Blender takes of memory, at least: a million triangles took 1.8 GB, 2048x2048 pixels 0.23 GB.
CORNER_BYTES, PIXEL_BYTES = 500, 50
# Of address space, without which it crashes: for its module, and then for its threads and each corner of a mesh.
MODULE_BYTES, THREADS_BYTES, CORNER_SPACE = 1_130_000_000, 300_000_000, 600
# nb-info.json as nerfbaselines 1.2 writes it beside the NeRF-synthetic scenes that it has downloaded.
NERFBASELINES = {
    "loader": "nerfbaselines.datasets.blender:load_blender_dataset",
    "type": "object-centric",
    "evaluation_protocol": "nerf",
}


def load_scene(arguments, settings, problems, uses):
    """Read the model and build the Blender scene. Returns (mesh, materials, camera object, what Cycles uses).

    ``uses`` is called with the path of each file beside the model that the scene needs, there or not.
    """
    model = arguments.model
    if "bpy" not in sys.modules:  # else this is Blender's executable, or a warm worker
        require_address_space(MODULE_BYTES, f"{model}: Blender")
    from . import materials, studio

    used_by_cycles = studio.reset(settings.device)
    obj = read_obj(model)
    require_room(obj, settings, model)
    if obj.maybe_truncated:
        problems.warn(f"{model}: its last face has no line end; the file may be truncated")
    used = set(np.where(obj.face_material < 0, len(obj.materials), obj.face_material).tolist())
    palette = read_palette(obj, model, used, problems, uses)
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
    used_by_cycles.update(studio.configure_cycles(settings, arguments.threads))
    return mesh, [palette[index] for index in sorted(used)], camera, used_by_cycles


def require_room(obj, settings, model):
    """Raise UserError where this machine has no room for the mesh (ObjFile) and a picture of it."""
    width, height = settings.resolution
    what = f"{model}: {len(obj.face_material):,} faces in pictures of {width}x{height}"
    corners, pixels = len(obj.corner_position), width * height * PIXEL_BYTES
    require_memory(corners * CORNER_BYTES + pixels, what)
    require_address_space(corners * CORNER_SPACE + pixels + THREADS_BYTES, what)


def note_unseen_material(material, model, problems):
    """Warn of a material that cannot be seen, or whose shape cannot, because the file says so."""
    if material.opacity <= 0 and material.opacity_texture is None:
        problems.warn(f"{model}: material {material.name!r} is fully transparent (d 0 or Tr 1)")
    elif material.texture is None and not any(material.color) and not any(material.emission):
        problems.warn(f"{model}: material {material.name!r} is black (Kd 0 0 0, no texture)")


def take_pictures(poses, mesh, camera, seed, folder, settings, problems):
    """Render those of ``poses`` whose picture is not in ``folder``; returns the share of each that the object covers.

    Only the pixels around the object are rendered, unless depths are asked for: Blender writes another great number
    into the pixels that it leaves out than into those where it meets nothing.
    """
    from . import studio

    corners = np.asfortranarray(mesh.corners, np.float32)  # each axis in one piece: projected several times faster
    fov = math.radians(settings.cameras.fov)
    coverage = []
    at_edge = []
    for index, pose in enumerate(poses):
        begin = time.perf_counter()
        name = f"{index:03d}"
        path = folder / f"{name}.png"
        if studio.is_whole(path):
            cost = "kept"
        else:
            if not settings.depth:
                studio.show_only(covered_rectangle(corners, pose, fov, settings.resolution), settings.resolution)
            studio.take_picture(camera, pose, (seed + index) % 2**31, path, settings.depth or settings.normals)
            cost = f"{time.perf_counter() - begin:.2f} s"
        seen = studio.read_picture(path)[..., 3] > 0
        coverage.append(float(seen.mean()))
        if seen[0].any() or seen[-1].any() or seen[:, 0].any() or seen[:, -1].any():
            at_edge.append(name)
        print(f"view {index + 1} of {len(poses)}: {coverage[-1]:.0%} covered, {cost}", flush=True)
    studio.free()
    if not any(coverage):
        why = "; ".join(problems.warnings) or "it may be too small or lie edge on"
        raise UserError(f"nothing of the object is seen in any view: {why}")
    empty = [f"{index:03d}" for index, share in enumerate(coverage) if share == 0]
    if empty:
        problems.report("no_visible_pixel", "nothing of the object is seen in view " + ", ".join(empty))
    if at_edge:
        problems.warn("the picture's edge cuts the object in view " + ", ".join(at_edge))
    return coverage


def pass_key(settings, seed, poses, mesh, materials):
    """A digest, 12 hexadecimal digits, of all that the pictures of a pass follow from, the textures' files included."""
    import bpy

    digest = hashlib.sha256(repr((METHOD, bpy.app.version_string, settings, seed, mesh.looks, materials)).encode())
    arrays = [poses, mesh.corners, mesh.normals, mesh.uv, mesh.back_uv, mesh.colors, mesh.face_start, mesh.face_look]
    for array in arrays:
        digest.update(b"none" if array is None else repr(array.shape).encode() + array.tobytes())
    for path in sorted({texture.path for material in materials for texture in material.used_textures()}):
        with open(path, "rb") as file:
            digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()[:12]


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
        "versions": {"blender": bpy.app.version_string, "python": sys.version.split()[0], "numpy": np.__version__},
        "settings": dataclasses.asdict(settings),
        "seed": seed,
        "cycles": cycles,
        "normalization": {"scale": mesh.scale, "translation": mesh.translation.tolist(), "matrix": matrix.tolist()},
        "mesh": mesh.statistics,
        "coverage": coverage,
        "warnings": problems.warnings,
    }
    with open(str(path), "w") as file:
        json.dump(record, file, indent=1)


def write_cameras(arguments, settings, poses, coverage):
    """Write the transforms file of one split and, beside that of the first, what names the set to nerfbaselines.

    Views with no ``coverage`` stay out: no reader of the set could learn from them, or measure by them.

    Scale 1 and offset 1/2 put the unit box around the origin onto the unit cube of instant-ngp. ``near`` and ``far``
    are for readers that sample their rays between the two.
    """
    target = Path(arguments.transforms)
    images = os.path.relpath(str(folder_of(arguments.images)), str(target.absolute().parent)).replace(os.sep, "/")
    near, far = depth_range(settings.cameras)
    shown = [index for index, share in enumerate(coverage) if share > 0]
    content = transforms(
        [poses[index] for index in shown],
        [f"./{images}/{index:03d}" for index in shown],
        settings.resolution,
        math.radians(settings.cameras.fov),
        aabb_scale=1,
        scale=1.0,
        offset=[0.5, 0.5, 0.5],
        near=near,
        far=far,
    )
    if arguments.split == SPLITS[0]:  # one job of the object writes it, so that none meets another's half-written file
        with atomic_path(target.with_name("nb-info.json")) as path:
            path.write_text(json.dumps({**NERFBASELINES, "scene": arguments.object, "depth_range": [near, far]}))
    with atomic_path(target) as path:
        path.write_text(json.dumps(content, indent=1))


def render(arguments, uses):
    """Render as ``arguments``, the options of render.py, say. Raises UserError.

    The outputs appear whole, the transforms file last. A killed pass goes on from the views that it has. ``uses`` is
    called with the path, relative if the model's is, of each material file and texture.
    """

    def note(path):
        uses(path if os.path.isabs(arguments.model) else os.path.relpath(path))

    make_room(Path(arguments.transforms))
    settings = read_settings(Settings, arguments.settings)
    problems = Problems(settings)
    seed = derived_seed(settings.seed, arguments.object, arguments.split)
    poses = camera_poses(settings.cameras, settings.views, seed)
    mesh, materials, camera, cycles = load_scene(arguments, settings, problems, note)
    with atomic_pictures(arguments.images, pass_key(settings, seed, poses, mesh, materials)) as folder:
        coverage = take_pictures(poses, mesh, camera, seed, folder, settings, problems)
        write_record(folder / "record.json", arguments, settings, seed, mesh, cycles, coverage, problems)
    write_cameras(arguments, settings, poses, coverage)
