"""Open an interactive window of a trained model in the browser, rendered on this machine and streamed."""

import argparse
import sys
from pathlib import Path

from obj2ngp.common.files import run_program
from obj2ngp.common.options import thread_count


def parse(argv):
    """The options in `argv`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="trained model (.safetensors)")
    parser.add_argument("--backend", default="auto", help="what renders; default: the best that runs here")
    parser.add_argument("--threads", type=thread_count, default=0, metavar="N", help="CPU threads to use (0: all)")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve at; 0.0.0.0 serves other machines, too")
    parser.add_argument("--port", type=int, default=8080, help="port to serve at")
    parser.add_argument("--seconds", type=float, help="end after so long; otherwise at Ctrl-C")
    return parser.parse_args(argv)


def main(argv):
    """Serve as `argv` says. Raises UserError."""
    options = parse(argv)
    from obj2ngp.viewer.window import serve  # later: PyTorch takes its time

    serve(options.model, options.backend, options.threads, options.host, options.port, options.seconds)


if __name__ == "__main__":
    run_program(main, sys.argv[1:])
