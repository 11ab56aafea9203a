"""Render a trained model from the cameras of a transforms file: rule `render_test`."""

import argparse
import sys
from pathlib import Path

from obj2ngp.common.files import naming, run_program
from obj2ngp.common.options import thread_count
from obj2ngp.common.provenance import add_record_options, recorded
from obj2ngp.common.settings import read_settings
from obj2ngp.ngp import backends
from obj2ngp.ngp.settings import VIEWS_METHOD, ViewSettings
from obj2ngp.ngp.threads import set_threads


def parse(argv):
    """The options in `argv`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--object", required=True, help="name of the object")
    parser.add_argument("--model", type=Path, required=True, help="trained model (.safetensors)")
    parser.add_argument("--transforms", type=Path, required=True, help="cameras to render")
    parser.add_argument("--set-aside", action="store_true", help="move a model that is not usable out of the way")
    parser.add_argument("--settings", default="{}", help="JSON object, see ViewSettings")
    parser.add_argument("--backend", default="auto", choices=("auto", *backends.NAMES))
    parser.add_argument("--threads", type=thread_count, default=0, metavar="N", help="CPU threads to use (0: all)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    add_record_options(parser)
    return parser.parse_args(argv)


def main(argv):
    """Render as `argv` says. Raises UserError naming the object."""
    options = parse(argv)
    set_threads(options.threads)
    with naming(options.object, options.model), recorded(options, "render_test", VIEWS_METHOD):
        from obj2ngp.ngp import model_file  # later: PyTorch and numba read the environment as they load
        from obj2ngp.ngp.view_files import render_views

        load = model_file.load_result if options.set_aside else model_file.load_model
        settings = read_settings(ViewSettings, options.settings)
        render_views(load(options.model), options.transforms, settings, options.backend, options.out)


if __name__ == "__main__":
    run_program(main, sys.argv[1:])
