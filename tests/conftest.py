"""What several test files share."""

import fcntl
import os
import shutil

import hypothesis
import pytest

from blender_versions import VERSIONS, command
from browser import Browser
from obj2ngp.ngp import backends
from scene_helpers import BLENDER_PYTHON, WORKER, Blender
from workflow_project import AGGREGATES, Project, jobs_in, jobs_of

# Examples may take as long as they take: a busy machine is no error.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

if os.environ.get("TRITON_INTERPRET") == "1":
    from quick_interpreter import hurry

    hurry()

# Fixtures, and the markers of the tests that use them.
MARKERS = {
    "blender": ("slow", "system"),
    "finished_project": ("slow", "system"),
    "slurm": ("slow", "system"),
    "python38": ("slow", "network"),
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark tests by what they use, before tests are chosen by their markers."""
    for item in items:
        for fixture in set(MARKERS) & set(item.fixturenames):
            for marker in MARKERS[fixture]:
                item.add_marker(marker)


@pytest.fixture(params=backends.NAMES)
def backend(request):
    """The class of each backend that runs here, one after another; imported by the test that needs it."""
    try:
        return backends.select(request.param)
    except backends.BackendError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def finished_project(tmp_path_factory):
    """A project whose one object `first` has gone all the way; to be copied, not changed.

    Its folder's name is one that a shell would take apart. The processes of pytest-xdist share one such project: the
    first that needs it makes it.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    root, finished = shared / "a b" / "it's $(touch ran) obj2ngp", shared / "finished"
    with open(shared / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            shutil.rmtree(root, ignore_errors=True)
            finish(root)
            finished.touch()
    return Project(root)


def finish(root):
    """Make the project of `finished_project` in `root`."""
    project = Project.create(root)
    project.add_cube("first")
    run = project.snakemake()
    assert run.returncode == 0, run.stdout
    assert jobs_in(run.stdout) == jobs_of("first") | AGGREGATES
    assert not list(project.root.glob("ran*"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small run that has gone all its way, and the folder of its object's results."""
    from door_helpers import finish_object

    folder = tmp_path_factory.mktemp("good")
    return finish_object(folder), folder


@pytest.fixture
def scene(trained, tmp_path):
    """A copy of the results of `trained`, to damage."""
    shutil.copytree(trained[1], tmp_path / "scene")
    return tmp_path / "scene"


@pytest.fixture(scope="session", params=VERSIONS)
def blender(request, tmp_path_factory):
    """A Blender process that renders for many tests; see the markers for its versions."""
    words = [BLENDER_PYTHON, WORKER] if request.param == "default" else command(request.param, WORKER)
    process = Blender(words, tmp_path_factory.mktemp("renders"))
    yield process
    process.close()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A running Chromium, for tests with the marks of `needs_chromium`."""
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()
