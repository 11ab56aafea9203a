"""Train a radiance field on posed images (a NeRF-synthetic folder): rule `train`."""

import argparse
import sys
from pathlib import Path

from obj2ngp.common.files import naming, run_program
from obj2ngp.common.options import thread_count
from obj2ngp.common.provenance import add_record_options, recorded
from obj2ngp.ngp import backends
from obj2ngp.ngp.config import METHOD
from obj2ngp.ngp.threads import set_threads


def parse(argv):
    """The options in `argv`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--object", required=True, help="name of the object")
    parser.add_argument("--renders", type=Path, required=True, help="folder with transforms_train.json")
    parser.add_argument("--settings", default="{}", help="JSON object: the `train` section of the configuration")
    parser.add_argument("--backend", default="auto", choices=("auto", *backends.NAMES))
    parser.add_argument("--threads", type=thread_count, default=0, metavar="N", help="CPU threads to use (0: all)")
    parser.add_argument("--model", type=Path, required=True, help="model to write (.safetensors)")
    parser.add_argument("--log", type=Path, required=True, help="training log to write (.csv)")
    add_record_options(parser)
    return parser.parse_args(argv)


def main(argv):
    """Train as `argv` says. Raises UserError naming the object."""
    options = parse(argv)
    set_threads(options.threads)
    with naming(options.object, options.renders), recorded(options, "train", METHOD):
        from obj2ngp.ngp.train_object import train_object  # later: PyTorch and numba read the environment as they load

        train_object(options.object, options.renders, options.settings, options.backend, options.model, options.log)


if __name__ == "__main__":
    run_program(main, sys.argv[1:])
