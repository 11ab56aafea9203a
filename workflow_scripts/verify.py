"""Compare results with their records, to the last byte, and name what is stale: rule `verify`.

Exit code 1 where something is.
"""

import argparse
import sys
from pathlib import Path

from obj2ngp.common.files import run_program
from obj2ngp.common.options import thread_count
from obj2ngp.report.verify import read_expected, verify


def parse(argv):
    """The options in `argv`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, required=True, help="folder of the objects' results")
    parser.add_argument("--parameters", type=Path, required=True, help="file of the rule `parameters` (.json)")
    parser.add_argument("--threads", type=thread_count, default=1, metavar="N", help="objects that are read at a time")
    return parser.parse_args(argv)


def main(argv):
    """Verify as `argv` says. Raises UserError; SystemExit where something is stale."""
    options = parse(argv)
    verdict = verify(options.results, read_expected(options.parameters), options.threads)
    print(*verdict.lines(), sep="\n")
    if verdict.stale:
        sys.exit(1)


if __name__ == "__main__":
    run_program(main, sys.argv[1:])
