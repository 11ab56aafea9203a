"""Render a turntable of a trained model as a looping GIF, a looping WebP and an MP4: rule `orbit`."""

import argparse
import sys
from pathlib import Path

from obj2ngp.common.files import naming, run_program
from obj2ngp.common.options import thread_count
from obj2ngp.common.provenance import add_record_options, recorded
from obj2ngp.common.settings import read_settings
from obj2ngp.ngp import backends
from obj2ngp.ngp.settings import ORBIT_METHOD, OrbitSettings
from obj2ngp.ngp.threads import set_threads


def parse(argv):
    """The options in `argv`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--object", required=True, help="name of the object")
    parser.add_argument("--model", type=Path, required=True, help="trained model (.safetensors)")
    parser.add_argument("--set-aside", action="store_true", help="move a model that is not usable out of the way")
    parser.add_argument("--settings", default="{}", help="JSON object, see OrbitSettings")
    parser.add_argument("--backend", default="auto", choices=("auto", *backends.NAMES))
    parser.add_argument("--threads", type=thread_count, default=0, metavar="N", help="CPU threads to use (0: all)")
    parser.add_argument("--gif", type=Path, required=True, help="GIF to write")
    parser.add_argument("--webp", type=Path, required=True, help="WebP to write")
    parser.add_argument("--video", type=Path, required=True, help="MP4 to write")
    add_record_options(parser)
    return parser.parse_args(argv)


def main(argv):
    """Render as `argv` says. Raises UserError naming the object."""
    options = parse(argv)
    set_threads(options.threads)
    with naming(options.object, options.model), recorded(options, "orbit", ORBIT_METHOD):
        from obj2ngp.ngp import model_file  # later: PyTorch and numba read the environment as they load
        from obj2ngp.ngp.turntable import write_orbit

        load = model_file.load_result if options.set_aside else model_file.load_model
        settings = read_settings(OrbitSettings, options.settings)
        write_orbit(load(options.model), options.backend, settings, options.gif, options.webp, options.video)


if __name__ == "__main__":
    run_program(main, sys.argv[1:])
