"""Say where a run stands: objects finished, failed and unfinished, the speed, and the end that follows from it.

python workflow_scripts/status.py --results results
"""

import argparse
import sys
import time
from pathlib import Path

from obj2ngp.common.files import run_program


def parse(argv):
    """The options in `argv`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, required=True, help="folder of the results, with objects.tsv")
    parser.add_argument("--logs", type=Path, default=Path("logs"), help="folder of the objects' logs")
    return parser.parse_args(argv)


def main(argv):
    """Print the status as `argv` says. Raises UserError."""
    options = parse(argv)
    from obj2ngp.report.status import read_status  # later: that there is no memory for it is told in a line

    status = read_status(options.results, options.logs, options.results / "objects.tsv")
    print(*status.lines(time.time()), sep="\n")


if __name__ == "__main__":
    run_program(main, sys.argv[1:])
