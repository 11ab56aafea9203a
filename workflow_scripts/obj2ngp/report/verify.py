"""Whether results are what their records say, to the last byte: of all objects, in all files."""

import concurrent.futures
from dataclasses import dataclass, field

from obj2ngp.common.checks import Unfit, every, items, mapping, object_name, read_json, values, whole
from obj2ngp.common.files import UserError, failure
from obj2ngp.common.provenance import Provenance

MOST_KINDS = 10**9  # of objects, by their parameters


def _known(content, key):
    """The shape of what says of objects that there are, by number, which parameters their jobs have. Raises Unfit."""
    is_name = object_name()
    for name, kind in content["objects"].items():
        is_name(name, "objects")
        if kind >= len(content["kinds"]):
            raise Unfit(f"objects.{name}", f"{kind}: there are {len(content['kinds'])} kinds")


EXPECTED = every(
    mapping({"kinds": items(values(mapping({})), "kinds", least=0), "objects": values(whole(0, MOST_KINDS))}), _known
)


@dataclass
class Verdict:
    """What was found: how many jobs' results are `sound`; `stale` ones, as pairs of object and what is wrong; and how
    many objects have no record, since they are not made, or were by an older version."""

    objects: int
    sound: int = 0
    unknown: int = 0
    stale: list = field(default_factory=list)

    def lines(self):
        """The verdict in lines of text."""
        yield from (f"object {name}: {words}" for name, words in self.stale)
        yield (
            f"{self.objects} objects, {self.unknown} without records:"
            f" {self.sound} jobs' results are as recorded, {len(self.stale)} stale"
        )


def read_expected(path):
    """{object: {job: parameters}} of the file `path`, which the rule `parameters` writes. Raises UserError."""
    content = read_json(path, EXPECTED)
    return {name: content["kinds"][int(kind)] for name, kind in content["objects"].items()}


def wrong(records, job, parameters):
    """Why the results of a job in Provenance are not what they should be, unreadable ones too; None where they are."""
    try:
        return records.verify(job, parameters)
    except (UserError, OSError) as error:
        return failure(error)


def verify(results, expected, threads):
    """The Verdict on the objects in `expected`, {object: {job: parameters}}, in the folder `results`.

    threads  how many objects are read at the same time
    """
    verdict = Verdict(len(expected))

    def look(name):
        records = Provenance(results / name)
        return [
            (name, job, wrong(records, job, expected[name][job])) for job in records.records if job in expected[name]
        ]

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for found in pool.map(look, expected):
            problems = [(name, f"{job}: {reason}") for name, job, reason in found if reason]
            verdict.stale += problems
            verdict.sound += len(found) - len(problems)
            verdict.unknown += not found
    return verdict
