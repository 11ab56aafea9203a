"""Reader of Wavefront .mtl files: what of a material a picture of it needs."""

from dataclasses import dataclass
from typing import Optional, Tuple

from obj2ngp.common.checks import LARGEST

from .obj_file import read_text


@dataclass
class Texture:
    """An image and how it lies on the surface: image coordinate = scale * texture coordinate + offset."""

    reference: str  # as written in the file
    scale: Tuple[float, float] = (1.0, 1.0)
    offset: Tuple[float, float] = (0.0, 0.0)
    clamp: bool = False
    path: Optional[str] = None  # where it was found


@dataclass
class Material:
    """One material; colours are linear, as Blender's own importer takes them."""

    name: str
    color: Tuple[float, float, float] = (0.8, 0.8, 0.8)  # Kd
    texture: Optional[Texture] = None  # map_Kd; replaces Kd, which many exporters leave at 0 beside a texture
    opacity: float = 1.0  # d, or 1 - Tr
    opacity_texture: Optional[Texture] = None  # map_d
    specular: float = 0.0  # mean of Ks
    shininess: float = 0.0  # Ns, 0 to 1000
    emission: Tuple[float, float, float] = (0.0, 0.0, 0.0)  # Ke

    def used_textures(self):
        """The textures that a render of this material reads."""
        return [texture for texture in (self.texture, self.opacity_texture) if texture is not None]


# Options of texture statements that take a fixed number of values; -o, -s and -t take one to three.
_OPTION_VALUES = {
    "-blendu": 1,
    "-blendv": 1,
    "-boost": 1,
    "-bm": 1,
    "-cc": 1,
    "-clamp": 1,
    "-imfchan": 1,
    "-mm": 2,
    "-texres": 1,
    "-type": 1,
}


def _as_number(word):
    """The number that ``word`` is, or None: what is not finite, or absurd, is none either."""
    try:
        value = float(word)
    except ValueError:
        return None
    return value if abs(value) < LARGEST else None


def parse_texture(statement):
    """The Texture that ``statement``, the part behind map_Kd, describes; file names may contain spaces."""
    words = statement.split()
    texture = Texture("")
    rest = statement.strip()
    while words and (words[0] in _OPTION_VALUES or words[0] in ("-o", "-s", "-t")) and len(words) > 1:
        option = words[0]
        if option in _OPTION_VALUES:
            values = words[1 : 1 + _OPTION_VALUES[option]]
            if option == "-clamp":
                texture.clamp = values[0] == "on"
        else:
            values = []
            while len(values) < 3 and _as_number(words[1 + len(values)]) is not None and len(words) > len(values) + 2:
                values.append(words[1 + len(values)])
            numbers = [float(value) for value in values] + [1.0 if option == "-s" else 0.0] * 2
            if option == "-s":
                texture.scale = (numbers[0], numbers[1])
            elif option == "-o":
                texture.offset = (numbers[0], numbers[1])
        consumed = 1 + len(values)
        words = words[consumed:]
        rest = rest.split(None, consumed)[consumed] if words else ""
    texture.reference = rest.strip().strip('"')
    return texture


def _numbers(value):
    """The leading numbers of ``value``; what is no number (options, comments) is passed over."""
    numbers = [_as_number(word) for word in value.partition("#")[0].split()]
    return [number for number in numbers if number is not None]


def _color(value, default):
    numbers = _numbers(value)
    if not numbers:
        return default
    return tuple(numbers[:3]) if len(numbers) >= 3 else (numbers[0],) * 3


def read_mtl(path):
    """Materials of ``path`` by name. Unknown statements are passed over. Raises UserError where it cannot be read."""
    materials = {}
    material = None
    has_opacity = False
    for line in read_text(path).split("\n"):
        words = line.split(None, 1)
        if len(words) < 2:
            continue
        keyword, value = words[0].lower(), words[1].strip()
        if keyword == "newmtl":
            material = materials[value] = Material(value)
            has_opacity = False
        elif material is None:
            continue
        elif keyword == "kd":
            material.color = _color(value, material.color)
        elif keyword == "ks":
            material.specular = min(1.0, sum(_color(value, (0.0,) * 3)) / 3)
        elif keyword == "ke":
            material.emission = _color(value, material.emission)
        elif keyword == "ns":
            material.shininess = (_numbers(value) or [0.0])[0]
        elif keyword == "d":
            material.opacity = (_numbers(value) or [1.0])[-1]
            has_opacity = True
        elif keyword == "tr" and not has_opacity:  # where both stand, d is the one that exporters get right
            material.opacity = 1.0 - (_numbers(value) or [0.0])[-1]
        elif keyword == "map_kd":
            material.texture = parse_texture(value)
        elif keyword == "map_d":
            material.opacity_texture = parse_texture(value)
    return materials
