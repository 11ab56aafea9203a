"""The formats of rule `export`: one entry each. The workflow reads it too, so that it needs nothing but Python."""

from dataclasses import dataclass

# What a format is made from, of an object's results.
MODEL = "model.safetensors"
METRICS = "metrics.csv"
TRAIN, VAL, TEST = ("renders/transforms_{}.json".format(split) for split in ("train", "val", "test"))  # and pictures


@dataclass(frozen=True)
class Format:
    """A format of rule `export`, whose files lie in the folder `export/<format>` of an object's results.

    module   of this room; its function `write(source, folder)` writes the files of a `source.Source` into an empty
             folder, and may raise UserError
    opens    what opens the files, for people
    needs    results of the object that it is made from; a transforms file stands for its pictures too
    method   raised by hand when the same settings give other files than before
    gpu      whether it asks the field so often that a GPU pays
    """

    module: str
    opens: str
    needs: tuple
    method: int = 1
    gpu: bool = False


COLLECTION_METHOD = 1  # of the collection of all objects in the format `weights`

VIEWS = "the views, each picture as it is: "
FORMATS = {
    "instant-ngp": Format("instant_ngp", "instant-ngp, without pictures", (MODEL,)),
    "gmnerf": Format("gmnerf", "gmnerf's code for weight-space research", (MODEL, TRAIN)),
    "weights": Format(
        "weights",
        "safetensors; with all other objects' in `results/collection`, WebDataset",
        (MODEL, METRICS, TRAIN, TEST),
    ),
    "mesh": Format("mesh", "Blender, MeshLab, viewers of glTF and others", (MODEL, TRAIN), 2, gpu=True),
    "points": Format("points", "MeshLab, CloudCompare, Open3D and others", (MODEL, TRAIN), 2, gpu=True),
    "volume": Format("volume", "NumPy", (MODEL, TRAIN), gpu=True),
    "nerf-synthetic": Format("views", VIEWS + "whatever reads the scenes of NeRF", (TRAIN, VAL, TEST)),
    "tutorial": Format("views", VIEWS + "instant-ngp, given a split's `transforms.json`", (TRAIN, VAL, TEST)),
    "nerfstudio": Format("views", VIEWS + "nerfstudio's `nerfstudio-data`", (TRAIN, VAL, TEST)),
    "nsvf": Format("views", VIEWS + "NSVF, ngp_pl and others that read its scenes", (MODEL, TRAIN, VAL, TEST)),
    "srn": Format("views", VIEWS + "SRN, pixelNeRF and others that read its scenes", (TRAIN, VAL, TEST)),
}
