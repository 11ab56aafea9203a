"""Compare rendered test views with the true ones: rule `metrics`."""

import argparse
import sys
from pathlib import Path

from obj2ngp.common.files import naming, run_program
from obj2ngp.common.provenance import add_record_options, recorded
from obj2ngp.evaluation import METHOD


def parse(argv):
    """The options in `argv`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--object", required=True, help="name of the object, for the table")
    parser.add_argument("--transforms", type=Path, required=True, help="transforms_test.json")
    parser.add_argument("--source", type=Path, nargs="?", help=".obj file: compare shapes, too")
    parser.add_argument("--predictions", type=Path, required=True, help="folder of render_views.py")
    parser.add_argument("--out", type=Path, required=True, help="table to write (.csv)")
    add_record_options(parser)
    return parser.parse_args(argv)


def main(argv):
    """Compare as `argv` says. Raises UserError naming the object."""
    options = parse(argv)
    with naming(options.object, options.transforms), recorded(options, "metrics", METHOD):
        from obj2ngp.evaluation.compare import write_metrics  # later: that there is no memory for it is told in a line
        from obj2ngp.evaluation.geometry import read_geometry

        geometry = None
        if options.source:
            training = options.transforms.with_name("transforms_train.json")
            geometry = read_geometry(options.source, training, options.predictions)
        write_metrics(options.object, options.transforms, options.predictions, options.out, geometry)


if __name__ == "__main__":
    run_program(main, sys.argv[1:])
