"""Run a command on a graphics card that no other job of the user holds.

    python on_free_gpu.py COUNT COMMAND...

Waits until COUNT of the cards in CUDA_VISIBLE_DEVICES (or of all) are free and gives the command
these alone; with COUNT 0 it just runs the command. A card is held through a locked file which the
command inherits, so that it is free again when the command ends, however it ends.
"""

import os
import sys

from obj2ngp.common.files import run_program
from obj2ngp.workflow.gpus import wait_for


def main(argv):
    """Become the command in `argv`. Raises UserError where there are too few cards."""
    count, command = int(argv[0]), argv[1:]
    if count:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(wait_for(count))
    os.execvp(command[0], command)


if __name__ == "__main__":
    run_program(main, sys.argv[1:])
