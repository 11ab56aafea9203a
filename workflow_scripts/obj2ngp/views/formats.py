"""The layouts that image sets are read in, an entry each. See kinds.py for how they are told apart."""

import dataclasses
from pathlib import Path

from obj2ngp.common.settings import AUTO

from .kinds import KINDS, recognise
from .pose_folders import read_nsvf, read_srn
from .posed_images import DataError
from .transforms_sets import read_nerf_synthetic, read_single, read_tutorial

# kind: function of the set's path that gives its ImageSet and raises DataError.
READERS = {
    "nerf-synthetic": read_nerf_synthetic,
    "tutorial": read_tutorial,
    "nerfstudio": read_single,
    "instant-ngp": read_single,
    "get3d": read_single,
    "nsvf": read_nsvf,
    "srn": read_srn,
}


def read_set(path, kind=AUTO):
    """The ImageSet in the folder or file `path`, in the layout `kind`. Raises DataError naming what is unfit in it."""
    path = Path(path)
    if kind != AUTO:
        return dataclasses.replace(READERS[kind](path), kind=kind)
    kind = recognise(str(path))
    if kind is None:
        raise DataError(f"{path}: no known image set (known: {', '.join(KINDS)})")
    return READERS[kind](path)
