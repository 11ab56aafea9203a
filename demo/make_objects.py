"""Write the demo objects: textured, ShapeNet-like models, the same files on every run.

    python demo/make_objects.py [--out demo/objects]

Each object is a module with NAME, MATERIALS, textures() and parts().
"""

import argparse
from pathlib import Path

import imageio.v3 as iio
import numpy as np

import car
import chair
import plane
from modelling import mtl_text, obj_text

OBJECTS = (chair, car, plane)


def write_object(module, folder):
    """Write <folder>/<name>/<name>.obj, its .mtl and its textures."""
    target = Path(folder) / module.NAME
    target.mkdir(parents=True, exist_ok=True)
    obj, mtl = target / (module.NAME + ".obj"), target / (module.NAME + ".mtl")
    obj.write_text(obj_text(module.NAME, module.parts()), newline="\n")
    mtl.write_text(mtl_text(module.MATERIALS), newline="\n")
    for name, image in module.textures().items():
        pixels = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
        iio.imwrite(target / name, pixels, optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    default = Path(__file__).resolve().parent / "objects"
    parser.add_argument("--out", type=Path, default=default, help="folder of the objects")
    arguments = parser.parse_args()
    for module in OBJECTS:
        write_object(module, arguments.out)


if __name__ == "__main__":
    main()
