"""Gather the results of all objects in one table: rule `summary`."""

import argparse
import sys
from pathlib import Path

from obj2ngp.common.files import run_program


def parse(argv):
    """The options in `argv`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="folder of the objects' results")
    parser.add_argument("--logs", type=Path, required=True, help="folder of the objects' logs")
    parser.add_argument("--objects", type=Path, required=True, help="table of the objects (.tsv)")
    parser.add_argument("--out", type=Path, required=True, help="table to write (.csv)")
    parser.add_argument("--failures", type=Path, help="table to write of the jobs that stopped, and why (.csv)")
    return parser.parse_args(argv)


def main(argv):
    """Gather as `argv` says. Raises UserError."""
    options = parse(argv)
    from obj2ngp.report.table import write_summary  # later: that there is no memory for it is told in a line

    write_summary(options.results, options.logs, options.objects, options.out, options.failures)


if __name__ == "__main__":
    run_program(main, sys.argv[1:])
