"""Warm workers: jobs share them, lose nothing with them, and nobody else gets in."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]

# A program like those of the workflow, for jobs that do what tests ask of them.
PROBE = """
import os, signal, sys, time
from obj2ngp.common.files import UserError

calls = 0

def main(argv):
    global calls
    calls += 1
    print("worker", os.getpid(), "call", calls, "in", os.getcwd(), "card", os.environ.get("CUDA_VISIBLE_DEVICES"))
    print("to standard error", file=sys.stderr)
    what, *rest = argv
    if what == "refuse":
        raise UserError("no such object")
    if what == "break":
        raise RuntimeError("a bug")
    if what == "die" and not os.path.exists(rest[0]):
        open(rest[0], "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "stop" and not os.path.exists(rest[0]):
        open(rest[0], "w").close()
        os.kill(os.getpid(), signal.SIGSTOP)
    if what == "load":
        import numba
    if what == "set":
        from obj2ngp.ngp.threads import set_threads
        set_threads(int(rest[0]))
    if what == "sleep":
        sys.stdout.flush()
        time.sleep(float(rest[0]))
        open(rest[1], "w").close()

if __name__ == "__main__":
    from obj2ngp.common.files import run_program
    run_program(main, sys.argv[1:])
"""


class Jobs:
    """A copy of the programs with the probe beside them, and an environment in which jobs of a test run."""

    def __init__(self, folder):
        self.programs = folder / "workflow_scripts"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "workflow_scripts", self.programs, ignore=ignored)
        (self.programs / "probe.py").write_text(PROBE)
        self.folder = folder
        self.runtime = Path(tempfile.mkdtemp(dir="/tmp"))  # a socket's path has to be short
        self.owner = subprocess.Popen(["sleep", "1000"])
        self.environment = {
            **os.environ,
            "XDG_RUNTIME_DIR": str(self.runtime),
            "OBJ2NGP_WORKERS": "60",
            "OBJ2NGP_OWNER": str(self.owner.pid),
        }

    def start(self, *arguments, gpus=0, minutes=10, **environment):
        """The started client of a job."""
        launch = [sys.executable, "-E", "-S", self.programs / "launch.py", str(gpus), str(minutes)]
        return subprocess.Popen(
            [*launch, sys.executable, self.programs / "probe.py", *map(str, arguments)],
            cwd=self.folder, env={**self.environment, **environment}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments, gpus=0, **environment):
        """(exit status, standard output, standard error) of a job."""
        client = self.start(*arguments, gpus=gpus, **environment)
        out, err = client.communicate(timeout=60)
        return client.returncode, out, err

    def workers(self):
        """Process numbers of the workers that run."""
        own, found = os.fsencode(self.programs / "worker.py"), []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if own in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:  # it has ended meanwhile
                continue
        return found


def worker_of(out):
    return int(out.split()[1])


def wait_until(condition):
    """Wait for what comes soon; a failure after a minute."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < 60
        time.sleep(0.02)


@pytest.fixture
def jobs(tmp_path):
    jobs = Jobs(tmp_path)
    yield jobs
    jobs.owner.kill()
    jobs.owner.wait()
    wait_until(lambda: not jobs.workers())
    shutil.rmtree(jobs.runtime)


def test_jobs_one_after_another_share_a_worker_and_end_as_in_a_process(jobs):
    status, out, err = jobs.run("work")
    assert (status, err) == (0, "to standard error\n")
    assert out.split()[2:5] == ["call", "1", "in"] and out.split()[5] == str(jobs.folder)
    status, again, _ = jobs.run("work")
    assert worker_of(again) == worker_of(out) and "call 2" in again
    status, _, err = jobs.run("refuse")
    assert status == 1 and err.endswith("error: no such object\n")
    assert "call 4" in jobs.run("work")[1]  # bad input is no reason for a new worker


def test_a_clone_behind_a_link_has_workers_too(jobs):
    (jobs.folder / "link").symlink_to(jobs.programs)
    jobs.programs = jobs.folder / "link"
    assert worker_of(jobs.run("work")[1]) == worker_of(jobs.run("work")[1])
    jobs.programs = (jobs.folder / "link").resolve()


def test_a_bug_shows_its_traceback_and_a_fresh_worker_follows(jobs):
    first = worker_of(jobs.run("work")[1])
    status, _, err = jobs.run("break")
    assert status == 1 and "RuntimeError: a bug" in err
    assert worker_of(jobs.run("work")[1]) != first


@pytest.mark.parametrize("how", ["die", "stop"])
def test_a_lost_worker_costs_its_job_one_retry(jobs, how, tmp_path):
    first = worker_of(jobs.run("work")[1])
    other = jobs.start("sleep", 4, tmp_path / "other")  # meets the lost worker on neither side
    wait_until(lambda: other.poll() is not None or other.stdout.readline())
    status, out, err = jobs.run(how, tmp_path / how, OBJ2NGP_STALL="2")
    assert status == 0 and "the worker was lost" in err and worker_of(out.splitlines()[-1]) != first
    assert other.wait(60) == 0 and (tmp_path / "other").exists()
    assert jobs.run("work")[0] == 0


def test_jobs_at_once_have_workers_of_their_own_on_a_processor_and_share_one_on_a_card(jobs, tmp_path):
    begun = [jobs.start("sleep", 0.5, tmp_path / name) for name in "ab"]
    assert len({worker_of(client.communicate()[0]) for client in begun}) == 2
    cards = {"CUDA_VISIBLE_DEVICES": "7"}
    begun = [jobs.start("sleep", 0.5, tmp_path / name, gpus=1, **cards) for name in "cd"]
    outputs = [client.communicate()[0] for client in begun]
    assert len({worker_of(out) for out in outputs}) == 1 and all("card 7" in out for out in outputs)
    two = {**cards, "OBJ2NGP_JOBS_PER_GPU": "2"}
    begun = [jobs.start("sleep", 0.5, tmp_path / name, gpus=1, **two) for name in "ef"]
    assert len({worker_of(client.communicate()[0]) for client in begun}) == 2


def test_changed_code_environment_and_slurm_job_get_a_fresh_worker(jobs):
    first = worker_of(jobs.run("work")[1])
    assert worker_of(jobs.run("work", SLURM_STEP_ID="3")[1]) == first
    assert worker_of(jobs.run("work", SLURM_JOB_ID="3")[1]) != first
    assert worker_of(jobs.run("work", OMP_NUM_THREADS="17")[1]) != first
    module = jobs.programs / "obj2ngp" / "common" / "files.py"
    module.write_text(module.read_text() + "\n")
    assert worker_of(jobs.run("work")[1]) != first


def test_a_killed_client_takes_its_job_along(jobs, tmp_path):
    client = jobs.start("sleep", 30, tmp_path / "never")
    client.stdout.readline()
    [worker] = jobs.workers()
    client.send_signal(signal.SIGKILL)
    client.communicate()
    wait_until(lambda: worker not in jobs.workers())
    assert not (tmp_path / "never").exists()
    assert jobs.run("work")[0] == 0


def test_a_job_that_sets_its_threads_follows_one_that_loaded_numba_without(jobs):
    """As a training follows the metrics of another object: both rules have one thread, and a worker in common."""
    inherited = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "3"}
    _, out, _ = jobs.run("load", **inherited)
    status, again, err = jobs.run("set", 1, **inherited)
    assert (status, err) == (0, "to standard error\n") and worker_of(again) == worker_of(out)


def test_workers_end_when_idle_and_leave_no_file(jobs):
    jobs.run("work", OBJ2NGP_WORKERS="0.5")
    wait_until(lambda: not jobs.workers())
    pools = jobs.runtime / f"obj2ngp-{os.getuid()}" / "workers"
    wait_until(lambda: not list(pools.iterdir()))


def test_workers_end_with_their_snakemake(jobs):
    jobs.run("work")
    assert len(jobs.workers()) == 1
    jobs.owner.kill()
    jobs.owner.wait()
    wait_until(lambda: not jobs.workers())


def test_without_workers_a_job_is_a_process(jobs):
    _, out, _ = jobs.run("work", OBJ2NGP_WORKERS="0")
    _, again, _ = jobs.run("work", OBJ2NGP_WORKERS="0")
    assert worker_of(out) != worker_of(again) and not jobs.workers()


def test_sockets_lie_where_nobody_else_can_go(jobs):
    jobs.run("work")
    folder = jobs.runtime / f"obj2ngp-{os.getuid()}"
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            assert path.stat().st_mode & 0o777 == 0o700 and path.stat().st_uid == os.getuid()


@pytest.mark.parametrize("kind", ["a link", "a folder that others enter"])
def test_a_folder_that_is_not_ours_alone_is_refused(jobs, kind):
    place = jobs.runtime / f"obj2ngp-{os.getuid()}"
    if kind == "a link":
        (jobs.runtime / "elsewhere").mkdir(mode=0o700)
        place.symlink_to(jobs.runtime / "elsewhere")
    else:
        place.mkdir()
        place.chmod(0o755)
    status, out, err = jobs.run("work")
    assert status == 1 and out == ""
    assert err == f"error: {place}: not a folder that this user alone owns and enters\n"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
def test_another_user_gets_no_answer(jobs):
    jobs.run("work")
    [path] = jobs.runtime.rglob("*.sock")
    opened = [path.parent, path.parents[1], path.parents[2], jobs.runtime]
    for folder in opened:
        folder.chmod(0o755)
    path.chmod(0o777)
    child = os.fork()
    if not child:
        answer = None
        try:
            os.setuid(65534)
            stranger = socket.socket(socket.AF_UNIX)
            stranger.connect(str(path))
            answer = stranger.recv(1)
        finally:
            os._exit(0 if answer == b"" else 1)  # the worker hangs up
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for folder in opened:
        folder.chmod(0o700)
    assert jobs.run("work")[0] == 0  # and the worker goes on


def test_a_client_that_says_nothing_does_not_stop_the_worker(jobs):
    worker = worker_of(jobs.run("work")[1])
    [path] = jobs.runtime.rglob("*.sock")
    silent = socket.socket(socket.AF_UNIX)
    silent.connect(str(path))
    silent.close()
    assert worker_of(jobs.run("work")[1]) == worker


def test_memory_does_not_grow_from_job_to_job(jobs):
    """The worker's own bookkeeping, over fifty jobs; what the programs keep is measured in benchmarks."""
    worker = worker_of(jobs.run("work")[1])

    def memory():
        return int(Path(f"/proc/{worker}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    for _ in range(10):
        jobs.run("work")
    before, files = memory(), len(os.listdir(f"/proc/{worker}/fd"))
    for _ in range(40):
        assert worker_of(jobs.run("work")[1]) == worker
    assert memory() - before < 2**20 and len(os.listdir(f"/proc/{worker}/fd")) == files
