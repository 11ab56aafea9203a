"""Write a page that shows all objects' turntables and numbers: rule `gallery`."""

import argparse
import sys
from pathlib import Path

from obj2ngp.common.files import run_program


def parse(argv):
    """The options in `argv`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="folder of the objects' results")
    parser.add_argument("--objects", type=Path, required=True, help="table of the objects (.tsv)")
    parser.add_argument("--summary", type=Path, required=True, help="table of summary.py")
    parser.add_argument("--out", type=Path, required=True, help="folder to write, with the page index.html")
    parser.add_argument("--compare", type=Path, help="folder of the results of another run, to be shown beside these")
    parser.add_argument("--most", type=int, metavar="N", help="objects to show: the best, the worst, failed and others")
    return parser.parse_args(argv)


def main(argv):
    """Write the page as `argv` says. Raises UserError."""
    options = parse(argv)
    from obj2ngp.report.gallery import write_gallery  # later: that there is no memory for it is told in a line

    write_gallery(options.results, options.objects, options.summary, options.out, options.compare, options.most)


if __name__ == "__main__":
    run_program(main, sys.argv[1:])
