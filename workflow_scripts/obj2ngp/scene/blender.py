"""Everything that differs between Blender 2.90 and 5.x, and nothing else."""

import bpy

from obj2ngp.common.files import UserError

VERSION = bpy.app.version
OLDEST = (2, 90, 0)
# What Cycles computes by on a graphics card. OptiX is missing: where surfaces coincide it shows another one than
# processor cores and CUDA do, and is no faster on small pictures.
GPU_KINDS = ("CUDA", "HIP", "METAL", "ONEAPI")


def require_sound():
    """Raise UserError in a Blender that is too old, or that would write wrong colours.

    Its library for colours, OpenColorIO, takes a `$` in the path of its files for the name of a variable, does not find
    them, and goes on without.
    """
    if VERSION < OLDEST:
        raise UserError(f"Blender {bpy.app.version_string} is too old: 2.90 or newer is needed")
    files = bpy.utils.system_resource("DATAFILES") or ""
    if "$" in files:
        raise UserError(f"{files}: Blender's colours would be wrong, since its path has a $; move it or link to it")


def socket(node: bpy.types.Node, *names):
    """The input of ``node`` with the first of ``names`` that this version knows; None where it knows none."""
    return next((node.inputs[name] for name in names if name in node.inputs), None)


def principled_inputs(node: bpy.types.Node):
    """The inputs of a Principled BSDF whose names changed in 4.0: specular, emission colour."""
    return socket(node, "Specular IOR Level", "Specular"), socket(node, "Emission Color", "Emission")


def set_corner_normals(mesh: bpy.types.Mesh, normals):
    """Give ``mesh`` the shading normals ``normals`` (C, 3); before 4.1 that needs auto smooth."""
    if VERSION < (4, 1, 0):
        mesh.use_auto_smooth = True
        mesh.auto_smooth_angle = 3.1416
    mesh.normals_split_custom_set(normals.tolist())


def new_corner_colors(mesh: bpy.types.Mesh, name):
    """A layer of 8-bit sRGB colours, and the name of the property that takes sRGB values."""
    if VERSION < (3, 2, 0):
        return mesh.vertex_colors.new(name=name), "color"
    return mesh.color_attributes.new(name=name, type="BYTE_COLOR", domain="CORNER"), "color_srgb"


def set_faces(mesh: bpy.types.Mesh, start, counts):
    """Lay the corners of ``mesh`` out in faces; the counts follow from the starts since 4.1."""
    mesh.polygons.foreach_set("loop_start", start)
    if VERSION < (4, 1, 0):
        mesh.polygons.foreach_set("loop_total", counts)


def use_gpu():
    """Have Cycles compute on one graphics card alone, the first that it finds. Returns its kind and name.

    Raises UserError where Cycles finds none.
    """
    preferences = bpy.context.preferences.addons["cycles"].preferences
    for kind in GPU_KINDS:
        card = next((device for device in preferences.get_devices_for_type(kind) if device.type == kind), None)
        if card is not None:
            preferences.compute_device_type = kind
            for device in preferences.devices:
                device.use = device == card
            return kind, card.name
    raise UserError(
        f"render.device is gpu, and Blender {bpy.app.version_string} finds no graphics card that it can use"
    )


def set_file_format(image_settings: bpy.types.ImageFormatSettings, file_format):
    """Write pictures as PNG or OPEN_EXR_MULTILAYER; since 5.0 the kind of file comes first, and layers may be apart."""
    if VERSION >= (5, 0, 0):
        image_settings.use_exr_interleave = True  # all layers in one part of the file, as before 5.0
        image_settings.media_type = "MULTI_LAYER_IMAGE" if file_format.endswith("MULTILAYER") else "IMAGE"
    image_settings.file_format = file_format


def set_sampling(scene: bpy.types.Scene):
    """Sobol points from a table and no light tree, as before 3.5: as much noise for fewer instructions."""
    if VERSION >= (3, 5, 0):
        scene.cycles.sampling_pattern = "TABULATED_SOBOL"  # else blue noise, which is for a few samples a pixel
        scene.cycles.use_light_tree = False  # it pays with more lights than ours, of which there is one
