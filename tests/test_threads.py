"""The programs' threads: as many as asked for, and the environment as it must be before PyTorch and numba load."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import export
import import_views
import orbit
import render
import render_views
import train
import verify
import view
from obj2ngp.ngp.threads import set_threads

pytestmark = pytest.mark.slow

WORKFLOW_SCRIPTS = Path(__file__).parents[1] / "workflow_scripts"
SHOW = """
from obj2ngp.ngp.threads import set_threads
set_threads({})
import os, numba, torch
print(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS, os.environ.get("GOMP_SPINCOUNT"))
print(os.environ["OPENBLAS_NUM_THREADS"])
"""


def shown(count, **environment):
    """What PyTorch and numba say of their threads after `set_threads(count)`."""
    ours = ("OMP_", "GOMP_", "NUMBA_", "MKL_", "OPENBLAS_")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    done = subprocess.run(
        [sys.executable, "-c", SHOW.format(count)],
        cwd=WORKFLOW_SCRIPTS,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_the_libraries_take_the_number():
    assert shown(1)[:2] == ["1", "1"]
    assert shown(3)[1] == "3"  # PyTorch takes no more than there are cores


def test_without_a_number_they_take_what_there_is():
    cores = str(len(os.sched_getaffinity(0)))
    assert shown(0)[1] == cores
    assert shown(0, OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1")[:2] == ["1", "1"]


def test_what_the_environment_says_about_waiting_stays():
    assert int(shown(1)[2]) > 0
    assert shown(1, GOMP_SPINCOUNT="7")[2] == "7"
    assert shown(1, OMP_WAIT_POLICY="passive")[2] == "None"


def test_each_thread_calls_blas_by_itself():
    assert shown(3)[3] == "1"


@pytest.mark.parametrize("words", ["-1", "1025", "9" * 30, "1.5", "", "all"])
@pytest.mark.parametrize("program", [train, orbit, render_views, render, export, import_views, verify, view])
def test_what_is_no_number_of_threads_is_refused(program, words, capsys):
    with pytest.raises(SystemExit) as end:
        program.parse(["--threads", words])
    assert end.value.code == 2 and f"{words!r} is no number from 0 to 1024" in capsys.readouterr().err


def test_too_late_is_an_error():
    import torch  # noqa: F401

    with pytest.raises(RuntimeError, match="torch.* loaded before"):
        set_threads(1)


@pytest.mark.parametrize("program", ["train.py", "render_views.py", "orbit.py"])
def test_the_programs_set_threads_first(program, tmp_path):
    """One thread is asked for, and the message about the missing files comes from behind the libraries' import."""
    files = {
        "train.py": ["--renders", tmp_path, "--model", tmp_path / "m", "--log", tmp_path / "l"],
        "render_views.py": ["--model", tmp_path / "m", "--transforms", tmp_path / "t", "--out", tmp_path / "o"],
        "orbit.py": [
            "--model",
            tmp_path / "m",
            "--gif",
            tmp_path / "g",
            "--webp",
            tmp_path / "w",
            "--video",
            tmp_path / "v",
        ],
    }
    command = [sys.executable, WORKFLOW_SCRIPTS / program, "--object", "x", "--backend", "cpu", "--threads", "1"]
    done = subprocess.run([*command, *files[program]], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("error: object x: ") and str(tmp_path) in done.stderr
