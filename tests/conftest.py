"""What several test files share."""

import pytest

from workflow_project import AGGREGATES, Project, jobs_in, jobs_of


@pytest.fixture(scope="session")
def finished_project(tmp_path_factory):
    """A project whose one object `first` has gone all the way; to be copied, not changed."""
    project = Project.create(tmp_path_factory.mktemp("finished") / "obj2ngp")
    project.add_cube("first")
    run = project.snakemake()
    assert run.returncode == 0, run.stdout
    assert jobs_in(run.stdout) == jobs_of("first") | AGGREGATES
    return project
