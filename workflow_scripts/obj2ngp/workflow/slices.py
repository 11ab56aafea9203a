"""Slices: shares of the objects, for machines that each make one, and for aggregates that need not look at all.

A hash of its name gives each object a place from 0 to 1, and the slice `3-of-8` holds the objects in the third of
eight equal parts. So an added object joins one slice and moves no other object, and a slice of 8 consists of whole
slices of 16.
"""

import functools
import hashlib
import re
from collections import defaultdict

from obj2ngp.common.files import UserError

from .objects import RESERVED

FOLDER = "slices"  # in the folder of the results
NAME = r"[1-9]\d*-of-[1-9]\d*"
# Objects, on average, in a slice whose objects Snakemake sees: it compares the results of all of them with each other.
LARGEST = 128


def place(name):
    """The place of an object, from 0 (inclusive) to 1."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32


class Slices:
    """The slices of `total` objects, of which `names` are known; None: of all that are known."""

    def __init__(self, names, total=None):
        self._places = {name: place(name) for name in names}
        total = len(self._places) if total is None else total
        self._count = 1
        while self._count * LARGEST < total:
            self._count *= 2

    def smallest(self):
        """The slices that together hold all objects, none of which consists of others."""
        return [f"{index}-of-{self._count}" for index in range(1, self._count + 1)]

    def objects(self, slice):
        """The names of the objects in a slice. Raises UserError where there is no such slice."""
        index, count = _numbers(slice)
        return self._objects(count)[index]

    def parts(self, slice):
        """The slices that a slice consists of; none if it is small. Raises UserError where there is no such slice."""
        index, count = _numbers(slice)
        ratio = 1
        while count * ratio < self._count:
            ratio *= 2
        if ratio == 1:
            return []
        last = index * ratio
        return [f"{part}-of-{count * ratio}" for part in range(last - ratio + 1, last + 1)]

    @functools.lru_cache(maxsize=None)  # noqa: B019  # there is one instance, as long as the program
    def _objects(self, count):
        """The names of the objects of each slice of `count`, by its index."""
        found = defaultdict(list)
        for name, at in self._places.items():
            found[int(at * count) + 1].append(name)
        return found


def choice(targets, jobs, results):
    """Which objects a run can need, as a test of names; None: all, or it cannot be told from what the run is to make.

    targets  files and rules, as on the command line
    jobs     wildcards (dicts) of single jobs to run: what each job on a cluster gets
    results  folder of the results
    """
    slices, names = [], set()
    for target in targets:
        folder, _, rest = target.removeprefix(f"{results}/").partition("/")
        if not target.startswith(f"{results}/") or not rest:
            return None
        if folder == FOLDER and re.fullmatch(NAME, rest):
            slices.append(_numbers(rest))
        elif folder in RESERVED:
            return None
        else:
            names.add(folder)
    for wildcards in jobs:
        if "object" not in wildcards:
            return None
        names.add(wildcards["object"])
    if not slices and not names:
        return None

    def wanted(name):
        return name in names or any(int(place(name) * count) + 1 == index for index, count in slices)

    return wanted


def _numbers(slice):
    index, count = map(int, slice.split("-of-"))
    if index > count:
        raise UserError(f"there is no slice {slice}")
    return index, count
