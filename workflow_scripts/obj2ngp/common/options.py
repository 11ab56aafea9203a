"""What several programs take from their command lines. Standard library only, Python 3.7."""

import argparse

MOST_THREADS = 1024  # Blender's


def thread_count(text):
    """The number of threads that an option says, for argparse; 0 leaves it to the program."""
    try:
        count = int(text)
    except ValueError:
        count = -1
    if not 0 <= count <= MOST_THREADS:
        raise argparse.ArgumentTypeError("{!r} is no number from 0 to {}".format(text, MOST_THREADS))
    return count
