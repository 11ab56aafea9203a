"""A picture of an object's test views for people: in each row the truth, the prediction, and their FLIP error.

It is small, so that pages can hold it: large pictures are shrunk, and of very many views only some are shown.
"""

import numpy as np

from obj2ngp.views.picture_files import block_means, write_picture

from .metrics import flip_picture

QUALITY = 80
LARGEST = 400  # pixels along a side of a view
PIXELS = 1_600_000  # of all truths together
TALLEST = 16383  # pixels of a WebP
COLUMNS = ("truth", "prediction", "FLIP error")


def shrunk(picture, factor):
    """A picture (H,W,3) uint8 with a pixel for each `factor` x `factor`."""
    return np.rint(block_means(picture, factor, factor)).astype(np.uint8)


def chosen(scores, height, width):
    """The indices of the views, of height x width pixels when shrunk, that are shown, in their order.

    The best and the worst by their `scores` are among them, the others are spread evenly.
    """
    most = max(2, min(PIXELS // (height * width), TALLEST // height))
    if len(scores) <= most:
        return list(range(len(scores)))
    extremes = {int(np.argmin(scores)), int(np.argmax(scores))}
    others = [index for index in range(len(scores)) if index not in extremes]
    even = np.linspace(0, len(others) - 1, most - len(extremes)).round().astype(int)
    return sorted(extremes | {others[place] for place in even})


def write_comparison(file, scores, size, pair):
    """Write the picture of views of `size` (H,W) to `file`; returns the indices of those that it shows, from the top.

    scores  a number for each view, higher where it is better
    pair    function of an index that gives (truth, prediction), both (H,W,3) uint8
    """
    factor = -(-max(size) // LARGEST)
    shown = chosen(scores, *(side // factor for side in size))
    rows = []
    for truth, prediction in map(pair, shown):
        row = (truth, prediction, flip_picture(truth, prediction))
        rows.append(np.hstack([shrunk(picture, factor) for picture in row]))
    write_picture(file, np.vstack(rows), quality=QUALITY)
    return shown
