"""Jobs that share a machine's GPUs each get their own, and free it whatever becomes of them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from obj2ngp.workflow.gpus import take

PROGRAM = Path(__file__).resolve().parents[1] / "workflow_scripts" / "on_free_gpu.py"


@pytest.fixture
def start(tmp_path):
    """Start a command on `count` of the GPUs in `visible`; what still runs at the end is killed."""
    started = []

    def run(count, *command, visible="0,1", **variables):
        inherited = {key: value for key, value in os.environ.items() if key != "SLURM_JOB_ID"}
        environment = {**inherited, "TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": visible, **variables}
        arguments = [sys.executable, PROGRAM, str(count), *command]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(arguments, env=environment, **pipes))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


HOLD = ("sh", "-c", "echo $CUDA_VISIBLE_DEVICES; exec sleep 60")


def test_a_job_without_gpu_runs_as_it_is(start):
    process = start(0, "sh", "-c", "echo $CUDA_VISIBLE_DEVICES; exit 3", visible="0,1")
    assert process.communicate()[0] == "0,1\n" and process.returncode == 3


def test_jobs_get_different_gpus_and_the_next_one_waits_for_a_free_one(start):
    first, second = start(1, *HOLD), start(1, *HOLD)
    taken = {first.stdout.readline().strip(): first, second.stdout.readline().strip(): second}
    assert set(taken) == {"0", "1"}
    third = start(1, "sh", "-c", "echo $CUDA_VISIBLE_DEVICES")
    time.sleep(1)
    assert third.poll() is None
    taken["1"].send_signal(signal.SIGKILL)
    assert third.communicate(timeout=10)[0] == "1\n"


def test_jobs_of_different_slurm_jobs_do_not_wait_for_each_other(start):
    for job in ("11", "12"):
        assert start(1, *HOLD, visible="0", SLURM_JOB_ID=job).stdout.readline() == "0\n"


def test_too_few_gpus_are_an_error(start):
    process = start(1, "true", visible="")
    assert "1 GPU(s) wanted, 0 visible" in process.communicate()[1] and process.returncode == 1


def test_several_gpus_are_taken_together_or_not_at_all(tmp_path):
    assert take(1, ["0", "1", "2"], tmp_path) == ["0"]
    assert take(3, ["0", "1", "2"], tmp_path) is None
    assert take(2, ["0", "1", "2"], tmp_path) == ["1", "2"]
