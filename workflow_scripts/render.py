"""Render one split of one object: pictures, a record of how they were made, and the cameras: rule `render`.

Runs in Python with the bpy module, or inside Blender:

    python render.py --object chair --model chair.obj --split train --settings '{}' --images train --transforms t.json
    blender -b --factory-startup --python-exit-code 1 -P render.py -- --object chair ...
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # Blender does not

from obj2ngp.common.files import naming, run_program  # noqa: E402
from obj2ngp.common.options import thread_count  # noqa: E402
from obj2ngp.common.provenance import add_record_options, recorded  # noqa: E402
from obj2ngp.scene.settings import METHOD, SPLITS  # noqa: E402


def parse(argv):
    """The options in `argv`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--object", required=True, help="name of the object")
    parser.add_argument("--model", required=True, help=".obj file")
    parser.add_argument("--split", required=True, choices=SPLITS)
    parser.add_argument("--settings", required=True, help="JSON object, see obj2ngp/scene/settings.py")
    parser.add_argument("--images", required=True, help="folder for 000.png, 001.png, ... and record.json")
    parser.add_argument("--transforms", required=True, help="file for the cameras")
    parser.add_argument("--threads", type=thread_count, default=0, help="0: all; the pictures do not depend on it")
    add_record_options(parser)
    return parser.parse_args(argv)


def main(argv):
    """Render as `argv` says. Raises UserError naming the object."""
    options = parse(argv)
    with naming(options.object, options.model), recorded(options, "render", METHOD) as job:
        from obj2ngp.scene.rendering import render  # later: that there is no memory for it is told in a line

        render(options, job.uses)


if __name__ == "__main__":
    # Inside Blender's executable, what stands behind `--` is ours.
    inside = not sys.argv[0].endswith(".py") and "--" in sys.argv
    run_program(main, sys.argv[sys.argv.index("--") + 1 :] if inside else sys.argv[1:])
