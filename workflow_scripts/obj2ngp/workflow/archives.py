"""Whether a project's pictures lie in archives: see `common.packing`."""

import contextlib
import os

from obj2ngp.common.packing import SUFFIX

PACKED_FROM = 1000  # objects


def are_packed(pack, results, total):
    """Whether pictures lie in archives: as `pack` says; None: as in the folder `results`, else by the count of objects.

    Objects that are added to a project, however many, change nothing in it.
    """
    if pack is not None:
        return pack
    with contextlib.suppress(FileNotFoundError), os.scandir(results) as objects:
        for item in objects:
            renders = os.path.join(item.path, "renders")
            for split in ("train", "test"):
                if os.path.isfile(os.path.join(renders, split + SUFFIX)):
                    return True
                if os.path.isdir(os.path.join(renders, split)):
                    return False
    return total >= PACKED_FROM
