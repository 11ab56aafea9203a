"""Every command that the READMEs and docs/ show works as it stands there: Snakemake and make in a fresh clone, programs
in a finished project. Not those that need a cluster (tests/slurm), or what is no part of the project.
"""

import os
import re
import shutil
import subprocess

import pytest
import yaml

from ball import around, ball_images
from obj2ngp.views.nerf_synthetic import write_images
from workflow_project import AGGREGATES, ROOT, TINY, Project, jobs_in, jobs_of

pytestmark = pytest.mark.slow

DOCUMENTS = (
    "README.md",
    "README.ja.md",
    "CONTRIBUTING.md",
    "config/README.md",
    *(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")),
)
COMMAND = re.compile(r"^    ((?:\.venv/bin/)?(?:make|snakemake)\b[^#\n]*)", re.MULTILINE)
COMMANDS = sorted({text.strip() for name in DOCUMENTS for text in COMMAND.findall((ROOT / name).read_text())})
PROGRAM = re.compile(r"(?:\.venv/bin/)?python (workflow_scripts/\w+\.py [^#`\n]*)")
PROGRAMS = sorted(
    {text.strip() for name in DOCUMENTS for text in PROGRAM.findall((ROOT / name).read_text()) if "..." not in text}
)
# The first that a new user types; it is run in earnest.
FOLDER = ".venv/bin/snakemake --cores all --config 'objects={folder: path/to/models}'"
# What plans other jobs than those of every object and the aggregates.
OTHER_JOBS = re.compile(r"results/slices|verify|export=|views:")
PLAIN = ".venv/bin/snakemake --cores all"


@pytest.fixture
def clone(tmp_path):
    """The project, cloned and installed, a model in the folder that the documents name, and results of before."""
    project = Project.create(tmp_path / "obj2ngp")
    shutil.copy2(ROOT / "config" / "config.yaml", project.root / "config")
    for name in ("Makefile", "requirements", "setup", "demo"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy2)(ROOT / name, project.root / name)
    (project.root / ".venv").symlink_to(ROOT / ".venv")
    project.add_cube("cube")
    (project.root / "path" / "to").mkdir(parents=True)
    (project.root / "models").rename(project.root / "path" / "to" / "models")
    for split in ("train", "test"):
        write_images(ball_images(around(3), size=16), project.root / "path" / "to" / "sets" / "ball", split)
    before = tmp_path / "before" / "results"
    before.mkdir(parents=True)
    (before / "summary.csv").write_text("object,status\n")
    return project


def run(project, text):
    """Run a line of shell in the project's folder; both its streams are in `stdout`."""
    environment = {**os.environ, "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(text, shell=True, cwd=project.root, text=True, env=environment, **pipes)


def test_the_documents_show_the_commands_that_matter():
    assert {FOLDER, PLAIN, "make demo"} <= set(COMMANDS)


def test_a_folder_on_the_command_line_is_all_that_a_new_user_needs(clone):
    clone.configure(**TINY)
    done = run(clone, FOLDER)
    assert done.returncode == 0, done.stdout
    assert (clone.root / "results/cube/orbit.gif").exists() and (clone.root / "results/gallery/index.html").exists()


def test_without_objects_one_line_says_what_to_do(clone):
    done = run(clone, PLAIN)
    lines = [line for line in done.stdout.splitlines() if line.startswith("objects:")]
    assert done.returncode == 1 and "Traceback" not in done.stdout
    assert len(lines) == 1 and "--config 'objects={folder: path/to/models}'" in lines[0] and "make demo" in lines[0]


def test_a_configuration_file_of_ones_own(clone):
    (clone.root / "mine.yaml").write_text(yaml.safe_dump({"objects": {"folder": "path/to/models"}}))
    dry = run(clone, f"{PLAIN} --configfile mine.yaml --dry-run")
    assert jobs_in(dry.stdout) == jobs_of("cube") | AGGREGATES, dry.stdout


@pytest.mark.parametrize("text", [text for text in COMMANDS if "snakemake" in text])
def test_snakemake_plans_every_job(clone, text):
    if "objects=" not in text:
        clone.configure(objects={"folder": "path/to/models"})
    dry = run(clone, text + " --dry-run")
    assert dry.returncode == 0, dry.stdout
    planned = jobs_in(dry.stdout)
    if OTHER_JOBS.search(text):
        assert planned and planned != jobs_of("cube") | AGGREGATES
    else:
        assert planned == jobs_of("cube") | AGGREGATES


@pytest.mark.parametrize("text", [text for text in COMMANDS if text.startswith("make ")])
def test_make_knows_what_to_do(clone, text):
    planned = run(clone, text.replace("make", "make --dry-run", 1))
    assert planned.returncode == 0, planned.stdout


@pytest.fixture(scope="module")
def finished_clone(finished_project, tmp_path_factory):
    """A finished project whose object is called as in the documents, with a set of images where they have one."""
    project = finished_project.copy(tmp_path_factory.mktemp("documented") / "obj2ngp")
    (project.root / "results" / "first").rename(project.root / "results" / "chair")
    table = project.root / "results" / "objects.tsv"
    table.write_text(table.read_text().replace("first", "chair"))
    for split in ("train", "test"):
        write_images(ball_images(around(3), size=16), project.root / "data" / "nerf_synthetic" / "lego", split)
    return project


@pytest.mark.parametrize("text", PROGRAMS)
def test_programs_do_what_is_said(finished_clone, text):
    ending = " --seconds 0.1 --port 0" if "view.py" in text else ""  # it would serve until Ctrl-C
    done = run(finished_clone, f"python {text}{ending}")
    assert done.returncode == 0, done.stdout


def test_the_documents_show_the_programs_that_matter():
    assert {text.split()[0][17:-3] for text in PROGRAMS} >= {"viewer", "view", "plots", "status", "import_views"}


def test_a_gmnerf_export_goes_where_its_trainer_looks(tmp_path):
    block = "\n".join(re.findall(r"^    ((?:mkdir|ln|echo) .*)$", (ROOT / "docs/exports.md").read_text(), re.MULTILINE))
    (tmp_path / "results" / "02958343-1a2b" / "export" / "gmnerf").mkdir(parents=True)
    (tmp_path / "data" / "nerf" / "shapenet").mkdir(parents=True)
    subprocess.run(["bash", "-ec", block], cwd=tmp_path, check=True)
    name = (tmp_path / "data" / "nerf" / "shapenet" / "test.txt").read_text().strip()
    assert (tmp_path / "data" / "nerf" / "shapenet" / "hash" / name).resolve().name == "gmnerf"
