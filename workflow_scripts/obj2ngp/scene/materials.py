"""Blender materials for the looks of a mesh."""

import math

import bpy

from . import blender
from .palette import UNKNOWN, drop_textures, report_textures

FRONT_UV, BACK_UV, COLORS = "uv", "back_uv", "colors"


def load_images(palette, used, model, problems):
    """Blender images by path, for the textures of the ``used`` materials; those that cannot be decoded are reported."""
    images, broken = {}, {}
    for index in sorted(used):
        for texture in palette[index].used_textures():
            if texture.path in images or texture.path in broken:
                continue
            try:
                image = bpy.data.images.load(texture.path)
                readable = tuple(image.size) != (0, 0)  # decodes the file; has_data can be True for a broken one
            except RuntimeError:  # no right to read it
                readable = False
            if readable:
                image.alpha_mode = "CHANNEL_PACKED"  # colours as they are, even where alpha is 0
                images[texture.path] = image
            else:
                broken[texture.path] = palette[index].name
    if broken:
        textures = [f"{path} of material {name!r}" for path, name in broken.items()]
        report_textures(problems, model, textures, "cannot be read as an image")
        for index in used:
            drop_textures(palette[index], lambda texture: texture.path in broken)
    return images


class _Tree:
    """Nodes of one material, made and linked in one call each."""

    def __init__(self, name):
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self._tree = self.material.node_tree
        self._tree.nodes.clear()

    def add(self, kind, **properties):
        node = self._tree.nodes.new("ShaderNode" + kind)
        for name, value in properties.items():
            setattr(node, name, value)
        return node

    def link(self, output, target):
        self._tree.links.new(output, target)


def _image_node(tree, texture, image, uv_map):
    mapping = tree.add("Mapping")
    tree.link(tree.add("UVMap", uv_map=uv_map).outputs["UV"], mapping.inputs["Vector"])
    mapping.inputs["Scale"].default_value[:2] = texture.scale
    mapping.inputs["Location"].default_value[:2] = texture.offset
    node = tree.add("TexImage", image=image, extension="EXTEND" if texture.clamp else "REPEAT")
    tree.link(mapping.outputs["Vector"], node.inputs["Vector"])
    return node


def _surface(tree, material, images, with_textures, uv_map, vertex_colors):
    """The shader output of ``material`` on one side of a face."""
    node = tree.add("BsdfPrincipled")
    specular, emission = blender.principled_inputs(node)
    color, alpha = node.inputs["Base Color"], node.inputs["Alpha"]
    color.default_value[:3] = material.color
    alpha.default_value = min(1.0, max(0.0, material.opacity))
    specular.default_value = material.specular
    if material.specular > 0:
        # The exponent of a highlight as roughness, the way Blender's own importer does it. Without a highlight it stays
        # at a half, where the diffuse part before Blender 4 is closest to a plain one.
        node.inputs["Roughness"].default_value = 1.0 - math.sqrt(min(1000.0, max(0.0, material.shininess)) / 1000.0)
    if any(material.emission):
        emission.default_value[:3] = material.emission
        strength = blender.socket(node, "Emission Strength")  # 2.90 has none: it is 1
        if strength is not None:
            strength.default_value = 1.0
    if vertex_colors:
        tree.link(tree.add("Attribute", attribute_name=COLORS).outputs["Color"], color)
    if with_textures and material.texture:
        texture = _image_node(tree, material.texture, images[material.texture.path], uv_map)
        tree.link(texture.outputs["Color"], color)
    if with_textures and material.opacity_texture:
        image = images[material.opacity_texture.path]
        texture = _image_node(tree, material.opacity_texture, image, uv_map)
        has_alpha = image.channels == 4 and image.depth in (32, 64, 128)
        tree.link(texture.outputs["Alpha" if has_alpha else "Color"], alpha)
    return node.outputs[0]


def make_material(look, palette, images, has_colors):
    """The Blender material for ``look``: (material index, with textures) of the front, and of the back or None."""
    tree = _Tree("look")
    shaders = [
        _surface(tree, palette[side[0]], images, side[1], uv_map, has_colors and palette[side[0]] is UNKNOWN)
        for side, uv_map in zip(look, (FRONT_UV, BACK_UV))
        if side is not None
    ]
    shader = shaders[0]
    if len(shaders) == 2:
        mix = tree.add("MixShader")
        tree.link(tree.add("NewGeometry").outputs["Backfacing"], mix.inputs[0])
        tree.link(shaders[0], mix.inputs[1])
        tree.link(shaders[1], mix.inputs[2])
        shader = mix.outputs[0]
    output = tree.add("OutputMaterial")
    tree.link(shader, output.inputs["Surface"])
    return tree.material
