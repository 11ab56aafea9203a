"""Jobs that share a machine's GPUs each get their own, and free it whatever becomes of them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from obj2ngp.common import runtime
from obj2ngp.common.records import read_records

PROGRAM = Path(__file__).resolve().parents[1] / "workflow_scripts" / "launch.py"


@pytest.fixture
def start(tmp_path):
    """Start a command on `count` of the GPUs in `visible`; what still runs at the end is killed."""
    started = []

    def run(count, *command, visible="0,1", minutes=10, **variables):
        inherited = {key: value for key, value in os.environ.items() if key != "SLURM_JOB_ID"}
        environment = {
            **inherited,
            "XDG_RUNTIME_DIR": str(tmp_path),
            "OBJ2NGP_WORKERS": "0",
            "CUDA_VISIBLE_DEVICES": visible,
            **variables,
        }
        arguments = [sys.executable, "-E", "-S", PROGRAM, str(count), str(minutes), *command]
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


def test_where_no_gpu_is_known_the_program_itself_says_what_it_finds(start):
    process = start(1, "sh", "-c", 'echo "none:$CUDA_VISIBLE_DEVICES"; exit 3', visible="")
    assert process.communicate() == ("none:\n", "") and process.returncode == 3


def test_jobs_that_may_share_a_card_are_spread_over_all_first(start):
    share = {"OBJ2NGP_JOBS_PER_GPU": "2"}
    places = [start(1, *HOLD, **share).stdout.readline().strip() for _ in range(4)]
    assert sorted(places[:2]) == sorted(places[2:]) == ["0", "1"]


def test_the_cards_that_snakemake_names_are_used(start):
    assert start(1, *HOLD, visible="0,1,2", OBJ2NGP_GPUS="2").stdout.readline() == "2\n"


def test_waiting_says_for_what(start):
    first = start(1, *HOLD, visible="0")
    assert first.stdout.readline() == "0\n"
    assert (
        start(1, *HOLD, visible="0").stderr.readline()
        == f"waiting for room on GPU 0, which processes {first.pid} have\n"
    )


@pytest.mark.parametrize("text, who", [(b"12\n", "12"), (b"\x1b[2J1", "?"), (b"", "?"), ("²".encode(), "?")])
def test_what_is_no_number_in_a_lock_file_is_nobody(tmp_path, text, who):
    (tmp_path / "lock").write_bytes(text)
    assert runtime.holder(str(tmp_path / "lock")) == who


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


def test_a_job_ends_with_its_snakemake(start):
    owner = subprocess.Popen(["sleep", "60"])
    job = start(0, *HOLD, OBJ2NGP_OWNER=str(owner.pid))
    job.stdout.readline()
    owner.kill()
    owner.wait()
    assert job.wait(10) == -signal.SIGKILL
    assert job.communicate()[1] == "error: the job was killed, since Snakemake ended\n"


def test_a_job_that_waits_for_a_card_ends_with_its_snakemake(start):
    owner = subprocess.Popen(["sleep", "60"])
    assert start(1, *HOLD, visible="0").stdout.readline() == "0\n"
    waiting = start(1, *HOLD, visible="0", OBJ2NGP_OWNER=str(owner.pid))
    waiting.stderr.readline()
    owner.kill()
    owner.wait()
    assert waiting.wait(10) == 1


def test_a_job_is_stopped_at_its_time_out_and_its_record_says_so(start, tmp_path):
    record = tmp_path / "results" / "chair" / "provenance.jsonl"
    code = (
        "import sys, time; from obj2ngp.common.provenance import Job\n"
        "Job(sys.argv[2], sys.argv[4], 'draw', {}, []); print('begun', flush=True); time.sleep(60)"
    )
    environment = {"PYTHONPATH": str(PROGRAM.parent), "OBJ2NGP_PATIENCE": "0.01"}
    job = start(0, sys.executable, "-c", code, "--record", str(record), "--job", "draw", minutes=4, **environment)
    assert job.stdout.readline() == "begun\n"
    assert job.wait(30) == -signal.SIGKILL
    words = "took longer than its time-out of 0.04 minutes (project.patience)"
    assert job.communicate()[1] == f"error: draw {words}\n"
    assert read_records(record)["draw"]["reason"] == f"draw {words}"


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os.abort()"])  # the latter: Blender without memory
def test_the_record_and_the_messages_of_a_job_that_ends_without_a_word_say_so(start, tmp_path, end):
    record = tmp_path / "results" / "chair" / "provenance.jsonl"
    code = (
        "import os, sys; from obj2ngp.common.provenance import Job\n"
        f"Job(sys.argv[2], sys.argv[4], 'draw', {{}}, []); {end}"
    )
    words = ["--record", record, "--job", "draw", "--object", "chair", "--inputs", "chair.obj", "more"]
    job = start(0, sys.executable, "-c", code, *map(str, words), PYTHONPATH=str(PROGRAM.parent))
    message = job.communicate(timeout=30)[1]  # the guard has ended, too
    reason = "draw ended without a word: it was killed, or had too little memory"
    assert message == f"error: object chair: chair.obj: {reason}\n"
    assert job.returncode < 0 and read_records(record)["draw"]["reason"] == reason


def test_a_path_that_is_too_long_for_a_socket_costs_the_worker_alone(start, tmp_path):
    place = tmp_path / ("long" * 30)
    place.mkdir()
    environment = {"OBJ2NGP_WORKERS": "9", "XDG_RUNTIME_DIR": str(place)}
    job = start(0, sys.executable, PROGRAM.parent / "status.py", "--help", **environment)
    out, err = job.communicate(timeout=60)
    assert job.returncode == 0 and "usage" in out and "Traceback" not in err


@pytest.mark.parametrize("case", ["of another machine", "a file", "anybody's", "of another user", "relative", "empty"])
def test_a_runtime_folder_that_is_not_ours_is_not_used(tmp_path, monkeypatch, case):
    """A job on another machine gets the variable that a login set here; `su` keeps that of the user before."""
    given, shared = tmp_path / "given", tmp_path / "shared"
    shared.mkdir()
    if case == "a file":
        given.touch()
    elif case != "of another machine":
        given.mkdir(mode=0o700)
    if case == "anybody's":
        given.chmod(0o777)
    if case == "of another user":
        if os.getuid() != 0:
            pytest.skip("only root can give folders away")
        os.chown(given, 65534, 65534)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", {"relative": "given", "empty": ""}.get(case, str(given)))
    monkeypatch.setattr(runtime, "SHARED", str(shared))
    assert runtime.private_folder("workers") == f"{shared}/obj2ngp-{os.getuid()}/workers"
    assert not given.is_dir() or not list(given.iterdir())


def test_a_program_that_is_not_there_is_named(start, tmp_path):
    job = start(0, str(tmp_path / "blender"), "-b")
    assert job.communicate(timeout=60)[1] == f"error: [Errno 2] No such file or directory: '{tmp_path}/blender'\n"
    assert job.returncode == 1
