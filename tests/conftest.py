"""What several test files share."""

import pytest

from blender_versions import VERSIONS, command
from obj2ngp.ngp import backends
from scene_helpers import BLENDER_PYTHON, WORKER, Blender
from workflow_project import AGGREGATES, Project, jobs_in, jobs_of


@pytest.fixture(params=backends.NAMES)
def backend(request):
    """The class of each backend that runs here, one after another; imported by the test that needs it."""
    try:
        return backends.select(request.param)
    except backends.BackendError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def finished_project(tmp_path_factory):
    """A project whose one object `first` has gone all the way; to be copied, not changed."""
    project = Project.create(tmp_path_factory.mktemp("finished") / "obj2ngp")
    project.add_cube("first")
    run = project.snakemake()
    assert run.returncode == 0, run.stdout
    assert jobs_in(run.stdout) == jobs_of("first") | AGGREGATES
    return project


@pytest.fixture(scope="session", params=VERSIONS)
def blender(request, tmp_path_factory):
    """A Blender process that renders for many tests; see the markers for its versions."""
    words = [BLENDER_PYTHON, WORKER] if request.param == "default" else command(request.param, WORKER)
    process = Blender(words, tmp_path_factory.mktemp("renders"))
    yield process
    process.close()
