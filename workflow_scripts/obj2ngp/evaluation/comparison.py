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


class Comparison:
    """The picture of views of `size` (H,W), which takes rows as they are compared.

    scores  a number for each view, higher where it is better
    shown   the indices of the views that it shows, from the top
    """

    def __init__(self, scores, size):
        self.factor = -(-max(size) // LARGEST)
        self.shown = chosen(scores, *(side // self.factor for side in size))
        self.rows = []

    def add(self, index, truth, prediction):
        """Take the view number `index`, if it is shown: two pictures (H,W,3) uint8. Views come in their order."""
        if index in self.shown:
            row = (truth, prediction, flip_picture(truth, prediction))
            self.rows.append(np.hstack([shrunk(picture, self.factor) for picture in row]))

    def write(self, file):
        """Write the picture to `file`."""
        write_picture(file, np.vstack(self.rows), quality=QUALITY)
