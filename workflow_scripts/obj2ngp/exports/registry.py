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

FORMATS = {
    "instant-ngp": Format("instant_ngp", "instant-ngp, without pictures", (MODEL,)),
    "gmnerf": Format("gmnerf", "gmnerf's code for weight-space research", (MODEL, TRAIN)),
    "weights": Format(
        "weights",
        "safetensors; with all other objects' in `results/collection`, WebDataset",
        (MODEL, METRICS, TRAIN, TEST),
    ),
}
