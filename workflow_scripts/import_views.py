"""Bring a set of posed images in as an object's views: rule `import_views`."""

import argparse
import sys
from pathlib import Path

from obj2ngp.common.files import naming, run_program
from obj2ngp.common.options import thread_count
from obj2ngp.common.provenance import add_record_options, recorded
from obj2ngp.common.settings import read_settings
from obj2ngp.views.settings import METHOD, Settings


def parse(argv):
    """The options in `argv`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--object", required=True, help="name of the object")
    parser.add_argument("--source", type=Path, required=True, help="image set: a folder, or a .json file")
    parser.add_argument("--settings", default="{}", help="JSON object, see obj2ngp/views/settings.py")
    parser.add_argument("--renders", type=Path, required=True, help="folder for transforms_*.json and the pictures")
    parser.add_argument("--threads", type=thread_count, default=1, metavar="N", help="pictures worked on at a time")
    parser.add_argument("--pack", action="store_true", help="archives in place of the folders of pictures")
    add_record_options(parser)
    return parser.parse_args(argv)


def main(argv):
    """Bring in as `argv` says. Raises UserError naming the object."""
    options = parse(argv)
    with naming(options.object, options.source), recorded(options, "import_views", METHOD) as job:
        from obj2ngp.views.importing import import_set  # later: that there is no memory for it is told in a line

        settings = read_settings(Settings, options.settings)
        renders, threads = options.renders, options.threads
        import_set(options.object, options.source, settings, renders, threads, job.uses, options.pack)


if __name__ == "__main__":
    run_program(main, sys.argv[1:])
