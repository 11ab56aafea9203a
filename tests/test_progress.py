"""The line that says how far a run is, and what Snakemake leaves out of its messages."""

import io
import logging
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from obj2ngp.workflow import progress
from obj2ngp.workflow.progress import LONGEST_LIST, LONGEST_REASON, Footer, Progress, Tally, mean_psnr

JOBS = {1: "chair", 2: "chair", 3: "car", 4: "cow"}


def tally(psnr=None):
    made = Tally(JOBS, (psnr or {}).get)
    made.begin(0)
    return made


def test_an_object_is_done_with_its_last_job():
    made = tally({"chair": 30.0, "car": 36.0})
    assert made.line(0) == "0 of 3 objects done"
    made.finish(1, 60)
    made.finish(99, 70)  # a job of no object
    assert made.line(600) == "0 of 3 objects done"
    made.finish(2, 600)
    assert made.line(600) == "1 of 3 objects done, 6 an hour, 0:20:00 left, mean PSNR 30.00 dB"
    made.finish(3, 1200)
    made.finish(4, 1800)
    assert made.line(1800) == "3 of 3 objects done, 6 an hour, mean PSNR 33.00 dB"


def test_the_speed_is_that_of_the_last_hour():
    made = tally()
    made.finish(3, 10)
    made.finish(4, 4000)
    assert made.rate(7000) == 1
    assert made.rate(9000) is None


def test_an_object_has_failed_until_its_job_succeeds():
    made = tally()
    made.fail(1)
    made.fail(2)
    made.fail(77)
    assert made.failed == 1 and "1 failed" in made.line(1)
    made.finish(1, 1)
    made.finish(2, 2)
    assert made.failed == 0 and made.line(3600).startswith("1 of 3 objects done, 1 an hour, 2:00:00 left")


@pytest.mark.parametrize(
    "text, mean", [("psnr\n30\n34\n", 32), ("psnr\n", None), ("ssim\n1\n", None), ("psnr\nx\n", None)]
)
def test_quality_of_an_object(tmp_path, text, mean):
    (tmp_path / "metrics.csv").write_text(text)
    assert mean_psnr(tmp_path / "metrics.csv") == mean
    assert mean_psnr(tmp_path / "none.csv") is None


def test_the_last_line_of_a_terminal_gives_way_to_messages():
    screen = io.StringIO()
    footer = Footer(screen)
    footer.write("a\n")
    footer.show("1 of 2")
    footer.show("2 of 2")
    footer.write("b\n")
    assert screen.getvalue() == "a\n1 of 2\r\x1b[K2 of 2\r\x1b[Kb\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def log(monkeypatch):
    """A logger like Snakemake's with a terminal and a file, whose texts are in `terminal` and `file`."""
    monkeypatch.setattr(progress, "SECONDS_ON_TERMINAL", 0.01)
    monkeypatch.setattr(progress, "SECONDS_IN_LOGS", 0.02)
    logger = logging.Logger("run")
    streams = SimpleNamespace(terminal=Terminal(), file=io.StringIO(), logger=logger)
    for name, stream in (("DefaultStreamHandler", streams.terminal), ("DefaultLogFileHandler", streams.file)):
        handler = logging.StreamHandler(stream)
        handler.name = name
        logger.addHandler(handler)
    return streams


def test_progress_is_told_in_the_last_line_and_slowly_in_the_log(log):
    told = Progress(log.logger, 10, lambda: None)
    told.start(tally({"car": 30.0}))
    log.logger.info("done", extra={"event": LogEvent.JOB_FINISHED, "job_id": 3})
    log.logger.error("broken", extra={"event": LogEvent.JOB_ERROR, "jobid": 4})
    while "\n1 of 3 objects done, 1 failed" not in log.file.getvalue():
        assert told._thread.is_alive()
    told.stop()
    told.stop()
    lines = log.terminal.getvalue().split("\n")
    assert any("\r\x1b[K1 of 3 objects done, 1 failed" in line for line in lines)
    assert "mean PSNR 30.00 dB" in lines[-2] and lines[-1] == ""


def test_a_run_without_objects_says_nothing(log):
    told = Progress(log.logger, 10, lambda: None)
    told.start(Tally({}, None))
    told.stop()
    assert log.terminal.getvalue() == ""


def announce(logger, files):
    extra = {"event": LogEvent.JOB_INFO, "input": files, "output": ["b"], "reason": "r" * 10_000}
    logger.info("job", extra=extra)


def test_lists_are_shortened_and_many_jobs_are_not_announced(log):
    asked = []
    Progress(log.logger, 10, lambda: asked.append(True))
    heard = []
    log.logger.handlers[0].addFilter(lambda record: heard.append(record) or True)
    log.logger.info("plan", extra={"event": LogEvent.RUN_INFO, "stats": {"total": 10}})
    announce(log.logger, [str(number) for number in range(500)])
    assert len(heard[-1].input) == LONGEST_LIST and heard[-1].input[-1] == "... (500 files)"
    assert len(heard[-1].reason) == LONGEST_REASON and heard[-1].output == ["b"] and not asked
    log.logger.info("plan", extra={"event": LogEvent.RUN_INFO, "stats": {"total": 11}})
    announce(log.logger, ["a"])
    log.logger.info("Select jobs to execute...")
    log.logger.info("done", extra={"event": LogEvent.JOB_FINISHED, "job_id": 1})
    log.logger.error("broken", extra={"event": LogEvent.JOB_ERROR, "jobid": 1})
    assert [record.msg for record in heard[2:]] == ["plan", "broken"] and asked
