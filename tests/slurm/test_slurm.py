"""The workflow on a real SLURM of one node: killed jobs come back, and only what is new runs again."""

import subprocess
import time

import pytest
from slurm.one_node import NoSlurm, one_node
from workflow_project import AGGREGATES, Project, jobs_in, jobs_of

# The trainer's jobs ask for a GPU, as they would with a GPU backend, although they use the CPU.
GPU_RULES = ("train", "render_test", "orbit")
PROFILE = [
    *("--profile", "profiles/slurm", "--cores", "4"),
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


def queue(*options):
    """All jobs that SLURM remembers, as dicts of id, partition, state and generic resources."""
    command = ["squeue", "--noheader", "--states=all", "--Format=JobID,Partition,StateCompact,tres-per-job", *options]
    rows = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [dict(zip(("id", "partition", "state", "gpus"), row.split(), strict=True)) for row in rows]


def cancel_the_first_gpu_job(snakemake):
    while snakemake.poll() is None:
        running = [job for job in queue() if job["partition"] == "gpu" and job["state"] == "R"]
        if running:
            subprocess.run(["scancel", running[0]["id"]], check=True)
            return running[0]["id"]
        time.sleep(0.2)
    return None


@pytest.mark.slurm
def test_killed_job_is_retried_and_an_added_object_runs_alone(slurm, tmp_path):
    project = Project.create(tmp_path / "obj2ngp")
    project.add_cube("first")
    with (tmp_path / "output").open("w+") as output:
        snakemake = project.start(*PROFILE, stdout=output)
        killed = cancel_the_first_gpu_job(snakemake)
        returncode = snakemake.wait(300)
        output.seek(0)
        text = output.read()
    assert returncode == 0, text
    assert jobs_in(text) == jobs_of("first") | AGGREGATES
    assert killed in [job["id"] for job in queue() if job["state"] == "CA"]
    assert "Trying to restart" in text
    # Three rules of the trainer make one job, which ran twice, on one GPU each time.
    assert [job["gpus"] for job in queue() if job["partition"] == "gpu"] == ["gres:gpu:1"] * 2
    assert all(job["gpus"] == "N/A" for job in queue() if job["partition"] == "cpu")

    project.add_cube("second")
    run = project.snakemake(*PROFILE)
    assert run.returncode == 0, run.stdout
    assert jobs_in(run.stdout) == jobs_of("second") | AGGREGATES
    assert project.planned() == set()
