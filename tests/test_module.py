"""obj2ngp as a module of another workflow."""

import functools
import http.server
import threading

import pytest
import yaml

from workflow_project import AGGREGATES, ROOT, TINY, Project, jobs_of

pytestmark = pytest.mark.slow

SNAKEFILE = """
configfile: "config/config.yaml"


module obj2ngp:
    snakefile:
        "{}"
    config:
        config["fields"]


use rule * from obj2ngp as obj2ngp_*


rule all:
    default_target: True
    input:
        rules.obj2ngp_all.input,
"""


@pytest.fixture
def other(tmp_path):
    """Another workflow, with a model and the configuration of obj2ngp under a key of its own."""
    project = Project(tmp_path / "other")
    (project.root / "models").mkdir(parents=True)
    (project.root / "config").mkdir()
    project.add_cube("cube")
    config = {"fields": {"objects": {"folder": "models"}, **TINY}}
    (project.root / "config" / "config.yaml").write_text(yaml.safe_dump(config))
    return project


def test_from_a_local_clone_it_plans_everything_and_runs(other):
    (other.root / "Snakefile").write_text(SNAKEFILE.format(ROOT / "Snakefile"))
    jobs = {(rule.removeprefix("obj2ngp_"), *wildcards) for rule, *wildcards in other.planned()}
    assert jobs == jobs_of("cube") | AGGREGATES
    run = other.snakemake("results/cube/renders/transforms_val.json", "results/objects.tsv")
    assert run.returncode == 0, run.stdout
    assert "\ncube\t" in (other.root / "results" / "objects.tsv").read_text()


@pytest.fixture
def address():
    """Where this machine serves the project's files."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=ROOT)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_from_elsewhere_one_line_says_that_it_cannot(other, address):
    (other.root / "Snakefile").write_text(SNAKEFILE.format(f"{address}/Snakefile"))
    run = other.snakemake("--dry-run")
    assert run.returncode == 1 and "obj2ngp works as a module from a local clone only" in run.stdout, run.stdout
    assert "Traceback" not in run.stdout
