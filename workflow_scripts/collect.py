"""Pack the weights of all objects into one collection: rule `collection`."""

import argparse
import sys
from pathlib import Path

from obj2ngp.common.files import run_program


def parse(argv):
    """The options in `argv`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="folder of the objects' results")
    parser.add_argument("--objects", type=Path, required=True, help="table of the objects (.tsv)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; what it held is replaced")
    return parser.parse_args(argv)


def main(argv):
    """Pack as `argv` says. Raises UserError naming an object whose weights are missing."""
    options = parse(argv)
    from obj2ngp.exports.collection import write_collection  # later: that there is no memory for it is told in a line

    write_collection(options.results, options.objects, options.out)


if __name__ == "__main__":
    run_program(main, sys.argv[1:])
