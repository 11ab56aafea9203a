"""Write a trained object as a file that other programs open: rule `export`."""

import argparse
import sys
from pathlib import Path

from obj2ngp.common.files import naming, run_program
from obj2ngp.common.options import thread_count
from obj2ngp.common.provenance import add_record_options, recorded
from obj2ngp.exports.registry import FORMATS
from obj2ngp.exports.write import write_export


def parse(argv):
    """The options in `argv`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--object", required=True, help="name of the object")
    parser.add_argument("--format", required=True, choices=FORMATS)
    parser.add_argument("--results", type=Path, required=True, help="folder of the object's results")
    parser.add_argument("--settings", default="{}", help="JSON object: the format's section of `export`")
    parser.add_argument("--threads", type=thread_count, default=0, metavar="N", help="CPU threads to use (0: all)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; what it held is replaced")
    add_record_options(parser)
    return parser.parse_args(argv)


def main(argv):
    """Export as `argv` says. Raises UserError naming the object."""
    options = parse(argv)
    with naming(options.object), recorded(options, "export", FORMATS[options.format].method):
        write_export(options.object, options.format, options.results, options.settings, options.threads, options.out)


if __name__ == "__main__":
    run_program(main, sys.argv[1:])
