"""The Blender scene: the object, the light, the camera, and how pictures are taken."""

import contextlib
import errno
import math
import os
import signal
import sys
import threading
import traceback

import bpy
import mathutils
import numpy as np

from obj2ngp.common.files import atomic_path

from . import blender
from .cameras import CLIP_START
from .materials import BACK_UV, COLORS, FRONT_UV
from .settings import SAMPLES

PNG_END = b"IEND\xaeB`\x82"
KEY_DIRECTION = (0.5, -0.65, 1.0)  # towards the key light: front left and above
KEY_ANGLE = math.radians(30)  # apparent size: soft shadows
FEWEST_THREADS = 2  # with one, the waiting threads of Blender's pool keep all other cores of the machine busy
TRANSPARENT_LAYERS = 64  # surfaces that a ray may pass through; Blender's 8 turns deep glass black


def reset(device):
    """An empty scene, whatever the user's start-up file says, for Cycles on the ``device``.

    Returns what Cycles computes on, for the record. Raises UserError where there is no such device.
    """
    blender.require_sound()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.cycles.device = device.upper()
    return {"device": ": ".join(blender.use_gpu()) if device == "gpu" else "CPU"}


def add_mesh(mesh, materials):
    """Put ``mesh`` (mesh.Mesh) into the scene, with one of ``materials`` for each of its looks."""
    data = bpy.data.meshes.new("object")
    corners, faces = len(mesh.corners), len(mesh.face_look)
    data.vertices.add(corners)
    data.loops.add(corners)
    data.polygons.add(faces)
    data.vertices.foreach_set("co", np.ascontiguousarray(mesh.corners, np.float32).ravel())
    data.loops.foreach_set("vertex_index", np.arange(corners, dtype=np.int32))
    blender.set_faces(data, mesh.face_start[:-1].astype(np.int32), np.diff(mesh.face_start).astype(np.int32))
    for material in materials:
        data.materials.append(material)
    data.polygons.foreach_set("material_index", mesh.face_look.astype(np.int32))
    data.polygons.foreach_set("use_smooth", np.ones(faces, bool))
    for name, coordinates in ((FRONT_UV, mesh.uv), (BACK_UV, mesh.back_uv)):
        layer = data.uv_layers.new(name=name)
        layer.data.foreach_set("uv", np.ascontiguousarray(coordinates, np.float32).ravel())
    if mesh.colors is not None:
        layer, values = blender.new_corner_colors(data, COLORS)
        rgba = np.concatenate([mesh.colors, np.ones((corners, 1))], axis=1)
        layer.data.foreach_set(values, np.ascontiguousarray(rgba, np.float32).ravel())
    data.update(calc_edges=True)
    blender.set_corner_normals(data, mesh.normals)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("object", data))


def add_light(light):
    """White surroundings of radiance ``light.environment`` and a sun that adds ``light.key`` to white facing it.

    A white diffuse surface that gets the irradiance E reflects the radiance E / pi.
    """
    world = bpy.data.worlds.new("surroundings")
    world.use_nodes = True
    background = world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (1.0, 1.0, 1.0, 1.0)
    background.inputs["Strength"].default_value = light.environment
    bpy.context.scene.world = world
    if light.key > 0:
        sun = bpy.data.lights.new("key", "SUN")
        sun.energy = math.pi * light.key
        sun.angle = KEY_ANGLE
        holder = bpy.data.objects.new("key", sun)
        holder.rotation_euler = mathutils.Vector(KEY_DIRECTION).to_track_quat("Z", "Y").to_euler()
        bpy.context.scene.collection.objects.link(holder)


def add_camera(cameras, resolution):
    """The scene's camera with the horizontal field of view ``cameras.fov``; returns its object."""
    data = bpy.data.cameras.new("camera")
    data.sensor_fit = "HORIZONTAL"
    data.angle = math.radians(cameras.fov)
    data.clip_start, data.clip_end = CLIP_START, 4.0 * cameras.radius + 4.0
    holder = bpy.data.objects.new("camera", data)
    scene = bpy.context.scene
    scene.collection.objects.link(holder)
    scene.camera = holder
    scene.render.resolution_x, scene.render.resolution_y = resolution
    scene.render.resolution_percentage = 100
    scene.render.pixel_aspect_x = scene.render.pixel_aspect_y = 1.0
    return holder


def configure_cycles(settings, threads):
    """Path tracing as the settings ask. Returns the samples that were really set, for the record."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = SAMPLES[settings.preset]
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = False
    blender.set_sampling(scene)
    # The mean over the pixel's own square: what a trainer sees that jitters its rays inside the pixel.
    scene.cycles.pixel_filter_type = "BOX"
    scene.cycles.transparent_max_bounces = TRANSPARENT_LAYERS
    scene.render.use_persistent_data = True
    scene.render.film_transparent = True
    scene.render.threads_mode = "FIXED" if threads else "AUTO"
    if threads:
        scene.render.threads = max(threads, FEWEST_THREADS)
    scene.render.dither_intensity = 0.0
    scene.display_settings.display_device = "sRGB"
    scene.view_settings.view_transform = "Standard"
    scene.view_settings.look = "None"
    scene.view_settings.exposure, scene.view_settings.gamma = 0.0, 1.0
    layer = scene.view_layers[0]
    layer.use_pass_z, layer.use_pass_normal = settings.depth, settings.normals
    for what in ("date", "time", "render_time", "frame", "camera", "scene", "memory", "hostname", "filename"):
        setattr(scene.render, "use_stamp_" + what, False)  # so that the same picture is the same file
    return {"samples": scene.cycles.samples}


@contextlib.contextmanager
def _quiet():
    """Keeps Blender's forty lines of progress a picture off standard output; what goes wrong is raised all the same."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(nowhere)
        os.close(kept)


def show_only(rectangle, resolution):
    """Render the pixels ``rectangle`` (left, top, right, bottom) of the picture alone; the others stay transparent."""
    left, top, right, bottom = rectangle
    width, height = resolution
    render = bpy.context.scene.render
    render.use_border, render.use_crop_to_border = True, False
    render.border_min_x, render.border_max_x = left / width, right / width
    render.border_min_y, render.border_max_y = 1 - bottom / height, 1 - top / height


def take_picture(camera, pose, seed, path, with_passes):
    """Render from ``pose`` (4, 4) to the .png file ``path`` (Path) and, ``with_passes``, to an .exr file beside it.

    Each file appears whole, the .png last. The .exr has the layers Combined, Depth (distance from the camera's plane in
    units of the unit box; 1e10 where nothing is) and Normal (world axes).
    """
    scene = bpy.context.scene
    camera.matrix_world = mathutils.Matrix(pose.tolist())
    scene.cycles.seed = seed
    output = scene.render.image_settings
    if with_passes:
        blender.set_file_format(output, "OPEN_EXR_MULTILAYER")
        output.color_depth, output.exr_codec = "32", "ZIP"
        with _written(path.with_suffix(".exr"), b"") as file:
            _render(file)
    blender.set_file_format(output, "PNG")
    output.color_mode, output.color_depth, output.compression = "RGBA", "8", 50
    with _written(path, PNG_END) as file:
        if with_passes:
            bpy.data.images["Render Result"].save_render(str(file), scene=scene)
        else:
            _render(file)


def free():
    """Give back the memory that Cycles keeps, also on a graphics card that others share, for a next picture."""
    bpy.context.scene.render.use_persistent_data = False


def is_whole(path, end=PNG_END):
    """Whether there is a file ``path`` (Path) that ends with the bytes ``end``, as a whole picture does."""
    return path.is_file() and path.read_bytes().endswith(end)


@contextlib.contextmanager
def _written(path, end):
    """`atomic_path` of what Blender writes in the block; it is whole if it ends with the bytes ``end``. Raises OSError.

    On a full disk, Blender raises RuntimeError or says nothing at all.
    """
    with atomic_path(path) as file:
        try:
            yield file
        except RuntimeError as error:
            raise OSError(errno.EIO, str(error).strip(), str(file)) from error
        if not is_whole(file, end):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC) + ": only a part could be written", str(file))


def _render(file):
    bpy.context.scene.render.filepath = str(file)
    with _quiet(), _ended_by_interrupts(), _raising_what_is_dropped():
        outcome = bpy.ops.render.render(write_still=True)
    if outcome != {"FINISHED"}:
        raise RuntimeError("Blender did not finish the picture")


@contextlib.contextmanager
def _ended_by_interrupts():
    """Have an interrupt end the process at once, unless it ignores them.

    Blender drops the exception that Python makes of one while it is in Cycles' Python code, and its executable takes
    one for a wish to see the picture as it is: either way the pass would go on with a picture that shows nothing.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler == signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        if handler is not None:  # else it was Blender's, which nobody misses
            signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def _raising_what_is_dropped():
    """Raise an exception of Cycles' Python code, which Blender only prints before it goes on with an empty picture."""
    dropped = []

    def keep(kind, error, trace):
        traceback.clear_frames(trace)  # they hold what Blender is about to free
        dropped.append(error)

    hook, sys.excepthook = sys.excepthook, keep
    try:
        yield
    finally:
        sys.excepthook = hook
    if dropped:
        raise dropped[0]


def read_picture(path):
    """The .png file ``path`` as straight RGBA (H, W, 4) in [0, 1], the first row on top."""
    image = bpy.data.images.load(str(path))
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return pixels.reshape(height, width, 4)[::-1]
