"""Write a page on which a trained object can be turned, and which holds the model itself: rule `viewer`."""

import argparse
import sys
from pathlib import Path

from obj2ngp.common.files import naming, run_program
from obj2ngp.common.provenance import add_record_options, recorded
from obj2ngp.common.settings import read_settings
from obj2ngp.viewer.settings import METHOD, ViewerSettings


def parse(argv):
    """The options in `argv`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--object", required=True, help="name of the object")
    parser.add_argument("--results", type=Path, required=True, help="folder of the object's results")
    parser.add_argument("--source", type=Path, nargs="?", help=".obj file: show its mesh, too")
    parser.add_argument("--alone", action="store_true", help="without links to files, for a page that is sent away")
    parser.add_argument("--settings", default="{}", help="JSON object, see ViewerSettings")
    parser.add_argument("--out", type=Path, required=True, help="page to write (.html)")
    add_record_options(parser)
    return parser.parse_args(argv)


def main(argv):
    """Write as `argv` says. Raises UserError naming the object."""
    options = parse(argv)
    with naming(options.object, options.results), recorded(options, "viewer", METHOD):
        from obj2ngp.viewer.page import write_page  # later: PyTorch takes its time

        settings = read_settings(ViewerSettings, options.settings)
        write_page(options.object, options.results, settings, options.out, options.source, options.alone)


if __name__ == "__main__":
    run_program(main, sys.argv[1:])
