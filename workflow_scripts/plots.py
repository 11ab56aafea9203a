"""Plot a finished collection: how its metrics are spread, by category too, and how they came with training time.

python workflow_scripts/plots.py --results results --out results/plots
"""

import argparse
import sys
from pathlib import Path

from obj2ngp.common.files import run_program


def parse(argv):
    """The options in `argv`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, required=True, help="folder of the results, with summary.csv")
    parser.add_argument("--out", type=Path, required=True, help="folder to write, of .svg and .png files")
    return parser.parse_args(argv)


def main(argv):
    """Plot as `argv` says. Raises UserError."""
    options = parse(argv)
    from obj2ngp.report.plots import write_plots  # later: that there is no memory for it is told in a line

    write_plots(options.results, options.out)


if __name__ == "__main__":
    run_program(main, sys.argv[1:])
