"""Where a run stands, from the files of its results and logs alone: also of one that other machines are at."""

import os
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .outcomes import Outcomes
from .table import MissingResult, figures_of, read_objects

WINDOW = 3600.0  # seconds of the past whose finished objects tell the speed
REASONS = 5  # of failed objects that are shown, the commonest first
# What an unfinished object has, the furthest first.
STAGES = {"model.safetensors": "trained", "renders/transforms_train.json": "rendered", "renders": "being rendered"}
WAITING = "not begun"


@dataclass
class Status:
    """Counts of objects.

    total       all objects
    finished    times (seconds of the epoch) at which the finished objects had their last result
    reasons     reason -> objects that are unfinished because a program stopped
    stages      stage -> the other unfinished objects
    psnr        mean PSNR (dB) of the finished objects whose metrics can be read, or None
    """

    total: int = 0
    finished: list = field(default_factory=list)
    reasons: Counter = field(default_factory=Counter)
    stages: Counter = field(default_factory=Counter)
    psnr: float | None = None

    def rate(self, now):
        """Objects an hour between the first that was finished within WINDOW before `now`, and now; or None."""
        recent = sorted(moment for moment in self.finished if moment > now - WINDOW)
        return (len(recent) - 1) / (now - recent[0]) * 3600 if len(recent) > 1 else None

    def lines(self, now):
        """The status in lines of text at the time `now`."""
        failed, left = self.reasons.total(), self.stages.total()
        yield f"{self.total} objects: {len(self.finished)} finished, {failed} failed, {left} unfinished"
        yield from (f"  {count} {stage}" for stage, count in self.stages.most_common())
        yield from (f"  {count} failed: {reason}" for reason, count in self.reasons.most_common(REASONS))
        rate = self.rate(now)
        if rate and left:
            end = time.strftime("%Y-%m-%d %H:%M", time.localtime(now + left / rate * 3600))
            yield f"{rate:.0f} objects an hour: done at {end}"
        if self.psnr is not None:
            yield f"mean PSNR {self.psnr:.2f} dB"


def read_status(results, logs, objects):
    """The Status of the objects in the file `objects`, a table as for `write_summary`. Raises UserError.

    results, logs  Paths of the folders that hold a folder for each object
    """
    status, psnrs = Status(), []
    for name, files in read_objects(objects).items():
        status.total += 1
        folder, outcomes = results / name, Outcomes(results, logs, name)
        try:
            if any(outcomes.outdated(Path(file)) for file in files):
                raise FileNotFoundError
            status.finished.append(max((folder / file).stat().st_mtime for file in files))
        except OSError:  # one is missing, or what should be its folder is none
            failure = next(outcomes.failures(), None) or outcomes.last_words()
            if failure:
                status.reasons[failure.reason.split(": ", 1)[-1]] += 1  # without the file, which is each object's own
            else:
                status.stages[next((STAGES[file] for file in STAGES if os.path.exists(folder / file)), WAITING)] += 1
            continue
        try:
            psnrs.append(figures_of(folder, "metrics.csv")["psnr"])
        except MissingResult:
            continue
    if psnrs:
        status.psnr = statistics.fmean(psnrs)
    return status
