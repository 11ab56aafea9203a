"""Whether results are what their records say, to the last byte: of all objects, in all files."""

import concurrent.futures
from dataclasses import dataclass, field

from obj2ngp.common.checks import parse_json, read_text
from obj2ngp.common.files import UserError
from obj2ngp.common.provenance import Provenance


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
    content = parse_json(read_text(path), path)
    try:
        kinds = content["kinds"]
        return {name: kinds[index] for name, index in content["objects"].items()}
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(f"{path}: not the parameters of jobs") from error


def verify(results, expected, threads):
    """The Verdict on the objects in `expected`, {object: {job: parameters}}, in the folder `results`.

    threads  how many objects are read at the same time
    """
    verdict = Verdict(len(expected))

    def look(name):
        records = Provenance(results / name)
        return [
            (name, job, records.verify(job, expected[name][job])) for job in records.records if job in expected[name]
        ]

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for found in pool.map(look, expected):
            problems = [(name, f"{job}: {reason}") for name, job, reason in found if reason]
            verdict.stale += problems
            verdict.sound += len(found) - len(problems)
            verdict.unknown += not found
    return verdict
