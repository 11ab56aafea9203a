"""Jobs that share a machine's GPUs each get their own, and free it whatever becomes of them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[1] / "workflow_scripts" / "launch.py"


@pytest.fixture
def start(tmp_path):
    """Start a command on `count` of the GPUs in `visible`; what still runs at the end is killed."""
    started = []

    def run(count, *command, visible="0,1", **variables):
        inherited = {key: value for key, value in os.environ.items() if key != "SLURM_JOB_ID"}
        environment = {
            **inherited,
            "XDG_RUNTIME_DIR": str(tmp_path),
            "OBJ2NGP_WORKERS": "0",
            "CUDA_VISIBLE_DEVICES": visible,
            **variables,
        }
        arguments = [sys.executable, "-E", "-S", PROGRAM, str(count), *command]
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
    assert third.stderr.readline().startswith("waiting") and third.poll() is None
    taken["1"].send_signal(signal.SIGKILL)
    assert third.communicate(timeout=60)[0] == "1\n"


def test_jobs_of_different_slurm_jobs_do_not_wait_for_each_other(start):
    for job in ("11", "12"):
        assert start(1, *HOLD, visible="0", SLURM_JOB_ID=job).stdout.readline() == "0\n"


def test_no_gpu_is_an_error(start):
    process = start(1, "true", visible="")
    assert process.communicate()[1] == "error: a graphics card is wanted, and none is visible\n"
    assert process.returncode == 1


def test_jobs_that_may_share_a_card_are_spread_over_all_first(start):
    share = {"OBJ2NGP_JOBS_PER_GPU": "2"}
    places = [start(1, *HOLD, **share).stdout.readline().strip() for _ in range(4)]
    assert sorted(places[:2]) == sorted(places[2:]) == ["0", "1"]


def test_the_cards_that_snakemake_names_are_used(start):
    assert start(1, *HOLD, visible="0,1,2", OBJ2NGP_GPUS="2").stdout.readline() == "2\n"


def test_waiting_says_for_what(start):
    assert start(1, *HOLD, visible="0").stdout.readline() == "0\n"
    assert start(1, *HOLD, visible="0").stderr.readline() == "waiting for room on GPU 0\n"


def test_jobs_on_one_card_compute_one_after_another(start, tmp_path):
    """Each says when its turn begins and ends: no two turns overlap."""
    code = (
        "import time; from obj2ngp.ngp.turn import turn\n"
        "for _ in range(5):\n"
        "    with turn():\n"
        f"        file = open({str(tmp_path / 'turns')!r}, 'a'); file.write('begin\\n'); file.flush()\n"
        "        time.sleep(0.01); file.write('end\\n'); file.close()\n"
    )
    programs = {"PYTHONPATH": str(PROGRAM.parent), "OBJ2NGP_JOBS_PER_GPU": "3"}
    jobs = [start(1, sys.executable, "-c", code, visible="0", **programs) for _ in range(3)]
    assert [job.wait(60) for job in jobs] == [0, 0, 0]
    assert (tmp_path / "turns").read_text() == "begin\nend\n" * 15
