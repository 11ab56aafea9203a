"""Run a job's command: in a warm worker, and on a graphics card that has room for it.

    python -E -S launch.py GPUS MINUTES COMMAND...

The job ends with its Snakemake, and when it takes much longer than MINUTES (see obj2ngp.workflow.limits). With GPUS 1
it waits for a card of those that are known (see obj2ngp.workflow.gpus) and gives the command this one alone. COMMAND is
what runs the job in a process of its own; where workers are on (environment, see obj2ngp.workflow.workers) its program
runs in one of them, and in its own process only if the worker is lost.
"""

import os
import sys

from obj2ngp.common.runtime import RuntimeFolderError
from obj2ngp.workflow import gpus, limits, workers


def main(argv):
    """Run the command in `argv`; returns its exit status, or becomes the command."""
    count, minutes, command = int(argv[0]), float(argv[1]), argv[2:]
    threads = os.environ.get("OMP_NUM_THREADS", "")  # Snakemake says so how many threads the rule has
    if threads.isdigit():
        os.environ["NUMBA_NUM_THREADS"] = threads  # before any job has a worker load numba
    told = {name: _after("--" + name, command) for name in ("object", "inputs", "record", "job")}
    if count:
        gpus.take_slot(limits.owner())
    place = workers.place_of_program(command)
    if place is not None and float(os.environ.get(workers.IDLE) or 0) > 0:
        status = workers.run(command, place, limits.Limits(minutes, **told))
        if status is not None:
            return status
        print("the worker was lost: running in a process of its own", file=sys.stderr, flush=True)
    limits.guard(minutes, **told)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        error.filename = command[0]  # such as a Blender that somebody has taken away
        raise


def _after(option, command):
    """The word after an option, the first of several; None where the command has no such option."""
    return command[command.index(option) + 1] if option in command else None


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (RuntimeFolderError, OSError) as error:
        sys.exit("error: {}".format(error))
