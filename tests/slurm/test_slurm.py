"""The workflow on a real SLURM of one node: a killed job comes back, and only what is new runs."""

import subprocess
import time
from pathlib import Path

import pytest

from obj2ngp.workflow.slices import Slices
from slurm.one_node import NoSlurm, one_node
from workflow_project import AGGREGATES, ROOT, job, jobs_in, jobs_of

# The trainer's jobs ask for a GPU, as they would with a GPU backend, although they use the CPU.
GPU_RULES = ("train", "render_test", "orbit")
PROFILE = [
    *("--profile", "profiles/slurm", "--cores", "4"),
    # Snakemake inside a job of SLURM still looks only every ten seconds whether a step has ended.
    *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"),
    *("--set-resources", *(f"{rule}:{setting}" for rule in GPU_RULES for setting in ("gpu=1", "slurm_partition=gpu"))),
]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    try:
        with one_node(tmp_path_factory.mktemp("slurm")):
            yield
    except NoSlurm as reason:
        pytest.skip(f"no SLURM: {reason}")


def queue():
    """All jobs that SLURM remembers, as dicts of id, partition, state and GPUs."""
    command = ["squeue", "--noheader", "--states=all", "--Format=JobID,Partition,StateCompact,tres-per-job"]
    rows = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [dict(zip(("id", "partition", "state", "gpus"), row.split(), strict=True)) for row in rows]


def cancel_the_first_gpu_job(snakemake):
    """Cancel the first job that runs in the partition `gpu`; returns its id, or None if there was none."""
    while snakemake.poll() is None:
        running = [job for job in queue() if job["partition"] == "gpu" and job["state"] == "R"]
        if running:
            subprocess.run(["scancel", running[0]["id"]], check=True)
            return running[0]["id"]
        time.sleep(0.2)
    return None


@pytest.mark.slurm
def test_added_object_runs_alone_and_a_killed_job_is_retried(slurm, finished_project, tmp_path):
    project = finished_project.copy(tmp_path / "obj2ngp")
    project.add_cube("second")
    with (tmp_path / "output").open("w+") as output:
        snakemake = project.start(*PROFILE, stdout=output)
        killed = cancel_the_first_gpu_job(snakemake)
        returncode = snakemake.wait(400)
        output.seek(0)
        text = output.read()
    assert returncode == 0, text
    assert jobs_in(text) == jobs_of("second") | AGGREGATES
    assert project.planned() == set()

    # The trainer's three jobs are one job of SLURM, which ran twice, on one GPU each time.
    assert "Trying to restart" in text
    jobs = {partition: [job for job in queue() if job["partition"] == partition] for partition in ("cpu", "gpu")}
    assert [job["id"] for job in jobs["gpu"] if job["state"] == "CA"] == [killed]
    assert [job["gpus"] for job in jobs["gpu"]] == ["gres:gpu:1"] * 2
    # Three renders, the metrics, the object's page, and the two aggregates.
    assert [job["gpus"] for job in jobs["cpu"]] == ["N/A"] * 7


def submit(project, array, slices):
    """Start the slices `array` of so many as jobs of a node; the process ends with the last of them."""
    options = ["--wait", f"--array={array}", "--partition=cpu", "--cpus-per-task=2", "--gpus=0", "--mem=8G"]
    command = ["sbatch", *options, "profiles/slurm/node.sh", str(slices)]
    return subprocess.Popen(command, cwd=project.root)


def outputs_of_last_array(project):
    """What Snakemake printed in each job of the array that was submitted last, by its slice."""
    files = [path.stem.split("-")[1].split("_") + [path] for path in project.root.glob("slurm-*.out")]
    last = max(int(array) for array, *_ in files)
    return {index: path.read_text() for array, index, path in files if int(array) == last}


@pytest.mark.slurm
def test_slices_run_beside_each_other_go_on_when_killed_and_redo_nothing(slurm, finished_project, tmp_path):
    project = finished_project.copy(tmp_path / "obj2ngp")
    (project.root / ".venv").symlink_to(ROOT / ".venv")
    names = [f"cube{number}" for number in range(20)]
    slices = Slices(names)
    first, second, added = (slices.objects(f"{index}-of-2")[at] for index, at in ((1, 0), (2, 0), (2, 1)))
    for name in (first, second):
        project.add_cube(name)

    submitted = submit(project, "1-2", 2)
    while not all(Path(project.root, "results", name, "test").exists() for name in (first, second)):
        assert submitted.poll() is None
        time.sleep(0.05)
    running = [job["id"] for job in queue() if job["state"] == "R"]
    assert len(running) == 2
    subprocess.run(["scancel", "--signal=KILL", "--full", running[0]], check=True)
    assert submitted.wait(300) != 0
    assert len(list(project.root.glob("results/slices/*-of-2"))) == 1

    assert submit(project, "1-2", 2).wait(300) == 0
    again = [jobs_in(output) for output in outputs_of_last_array(project).values()]
    assert set() in again and {job("slice")} < set().union(*again)
    assert not {job("train", name) for name in (first, second)} & set().union(*again)

    project.add_cube(added)
    assert submit(project, "1-2", 2).wait(300) == 0
    outputs = outputs_of_last_array(project)
    assert jobs_in(outputs["1"]) == set()
    assert jobs_in(outputs["2"]) == jobs_of(added) | {job("slice")}
    assert project.planned() == AGGREGATES
