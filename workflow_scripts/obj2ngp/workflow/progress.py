"""What Snakemake prints of a run: one line that says how far all objects are, and lists that nobody has to scroll past.

Snakemake's messages are records of Python's logging whose `event` says what has happened; what is here hears them.
"""

import atexit
import csv
import logging
import math
import statistics
import threading
import time
from collections import defaultdict, deque
from datetime import timedelta

from snakemake_interface_logger_plugins.common import LogEvent

OWN_HANDLERS = {"DefaultStreamHandler", "DefaultLogFileHandler"}  # Snakemake's; those of plugins hear everything
MOST_JOBS = 2000  # that are announced one by one
SINGLE = (LogEvent.JOB_INFO, LogEvent.SHELLCMD, LogEvent.JOB_FINISHED, LogEvent.PROGRESS)
STEPS = ("Select jobs to execute", "Execute ")  # what the scheduler says each time that it starts some
LONGEST_LIST = 10  # files of a job
LONGEST_REASON = 300  # characters
SECONDS_ON_TERMINAL, SECONDS_IN_LOGS = 1.0, 60.0  # between two looks at the progress
WINDOW = 3600.0  # seconds of the past whose finished objects tell the speed


class ShortLists(logging.Filter):
    """Shortens what is printed of a job, and lets nothing of single jobs through where `many` is set."""

    many = False

    def filter(self, record):
        event = getattr(record, "event", None)
        if event is LogEvent.JOB_INFO:
            for key in ("input", "output"):
                files = list(getattr(record, key))
                if len(files) > LONGEST_LIST:
                    setattr(record, key, [*files[: LONGEST_LIST - 1], f"... ({len(files)} files)"])
            if len(record.reason) > LONGEST_REASON:
                record.reason = record.reason[: LONGEST_REASON - 4] + " ..."
        return not (self.many and (event in SINGLE or str(record.msg).startswith(STEPS)))


class Tally:
    """How far the objects of a run are.

    jobs     number of a job -> the object that it belongs to
    quality  function of an object: its PSNR in dB, or None
    """

    def __init__(self, jobs, quality):
        self._objects = dict(jobs)
        self._left = defaultdict(set)  # object -> its jobs that are not done
        for job, name in self._objects.items():
            self._left[name].add(job)
        self.total = len(self._left)
        self.done = 0
        self._failed = set()  # jobs
        self._quality, self._psnrs = quality, []
        self._begin, self._ends = None, deque()

    def begin(self, now):
        """The jobs start at the time `now`, in seconds of any clock."""
        self._begin = now

    def finish(self, job, now):
        """The job of this number has succeeded."""
        name = self._objects.get(job)
        if name is None:
            return
        self._failed.discard(job)  # it was tried again
        self._left[name].discard(job)
        if not self._left[name]:
            self.done += 1
            self._ends.append(now)
            psnr = self._quality(name)
            if psnr is not None:
                self._psnrs.append(psnr)

    def fail(self, job):
        """The job of this number has failed."""
        if job in self._objects:
            self._failed.add(job)

    @property
    def failed(self):
        """Objects of which a job has failed."""
        return len({self._objects[job] for job in self._failed})

    def rate(self, now):
        """Objects an hour, over the last hour or since the beginning; None before the first is done."""
        while self._ends and self._ends[0] < now - WINDOW:
            self._ends.popleft()
        since = min(now - self._begin, WINDOW)
        return len(self._ends) / since * 3600 if self._ends and since > 0 else None

    def line(self, now):
        """Where the run stands at the time `now`."""
        parts = [f"{self.done} of {self.total} objects done"]
        if self._failed:
            parts.append(f"{self.failed} failed")
        rate = self.rate(now)
        if rate:
            parts.append(f"{rate:.0f} an hour")
            left = self.total - self.done - self.failed
            if left:
                parts.append(f"{timedelta(seconds=math.ceil(left / rate * 3600))} left")
        if self._psnrs:
            parts.append(f"mean PSNR {statistics.fmean(self._psnrs):.2f} dB")
        return ", ".join(parts)


def mean_psnr(table):
    """The mean PSNR of an object's metrics.csv in dB; None where it tells none."""
    try:
        with open(table, newline="", encoding="utf-8") as file:
            return statistics.fmean(float(row["psnr"]) for row in csv.DictReader(file))
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return None


class Footer:
    """A terminal's stream whose last line is replaced by whatever is written next."""

    def __init__(self, stream):
        self._stream = stream
        self._shown = False

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        """Write `text` in place of the last line."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._shown = False
        return self._stream.write(text)

    def show(self, line):
        """Make `line` the last line."""
        self.write("")
        self._stream.write(line)
        self._stream.flush()
        self._shown = True


class Progress(logging.Handler):
    """Hears of a run's jobs and says once in a while where it stands: on a terminal in its last line, and in logs.

    It attaches itself to Snakemake's `logger`. `most` jobs at most are announced one by one; where a run has more,
    `when_many` is called as soon as it is planned.
    """

    def __init__(self, logger, most, when_many):
        super().__init__()
        self._logger, self._most, self._when_many = logger, most, when_many
        self._tally, self._thread, self._stop = None, None, threading.Event()
        self._lists = ShortLists()
        self._own = [handler for handler in logger.handlers if handler.name in OWN_HANDLERS]
        for handler in self._own:
            handler.addFilter(self._lists)
        logger.addHandler(self)

    def emit(self, record):
        event = getattr(record, "event", None)
        if event is LogEvent.RUN_INFO and record.stats["total"] > self._most:
            self._lists.many = True
            self._when_many()
        if self._tally is not None and event is LogEvent.JOB_FINISHED:
            self._tally.finish(record.job_id, time.monotonic())
        if self._tally is not None and event is LogEvent.JOB_ERROR:
            self._tally.fail(record.jobid)

    def start(self, tally):
        """Begin to tell of the Tally, unless it has no object."""
        if tally.total:
            tally.begin(time.monotonic())
            self._tally = tally
            self._thread = threading.Thread(target=self._tell, daemon=True)
            self._thread.start()
            atexit.register(self.stop)  # an interrupted run calls nobody else

    def stop(self):
        """Say where the run has ended."""
        if self._thread is not None and not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            self._say(self._own)

    def _tell(self):
        terminal = next((handler for handler in self._own if _is_on_terminal(handler)), None)
        if terminal is not None:
            terminal.setStream(Footer(terminal.stream))
        logs = [handler for handler in self._own if handler is not terminal]
        told = time.monotonic()
        while not self._stop.wait(SECONDS_ON_TERMINAL):
            if terminal is not None:
                with terminal.lock:
                    terminal.stream.show(self._line())
            if time.monotonic() - told >= SECONDS_IN_LOGS:
                told = time.monotonic()
                self._say(logs)

    def _line(self):
        with self.lock:
            return self._tally.line(time.monotonic())

    def _say(self, handlers):
        record = self._logger.makeRecord(self._logger.name, logging.INFO, __file__, 0, self._line(), (), None)
        for handler in handlers:
            handler.handle(record)


def _is_on_terminal(handler):
    stream = getattr(handler, "stream", None)
    return stream is not None and stream.isatty()
