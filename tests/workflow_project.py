"""A copy of the workflow in a folder of its own, in which tests run Snakemake as a user would."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("Snakefile", "rules", "envs", "profiles", "config")
LINKED = ("workflow_scripts", ".venv-blender")  # so that compiled kernels are found again
SNAKEMAKE = (sys.executable, "-m", "snakemake")
AGGREGATES = {(rule, None, None) for rule in ("object_table", "slice", "summary", "gallery")}
SHELL = re.compile(r"^    shell:\n.*?(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)  # of a rule
OUTPUTS = "for f in {output}; do case $f in *.*) echo x > $f;; *) mkdir -p $f;; esac; done"
TINY = {
    "render": {"preset": "draft", "resolution": [32, 32], "views": {"train": 3, "val": 1, "test": 2}},
    "train": {"backend": "cpu", "steps": 20},
    "orbit": {"frames": 4, "size": 32},
}

CUBE = """mtllib {name}.mtl
v -1 -1 -1\nv 1 -1 -1\nv 1 1 -1\nv -1 1 -1\nv -1 -1 1\nv 1 -1 1\nv 1 1 1\nv -1 1 1
usemtl paint
f 4 3 2 1\nf 5 6 7 8\nf 1 2 6 5\nf 2 3 7 6\nf 3 4 8 7\nf 4 1 5 8
"""


def job(rule, name=None, split=None):
    """A job as `Project.planned` gives it."""
    return rule, name, split


def jobs_of(name, splits=("train", "val", "test")):
    """All jobs that belong to the object `name` alone."""
    single = {job(rule, name) for rule in ("train", "render_test", "metrics", "orbit", "viewer")}
    return single | {job("render", name, split) for split in splits}


class Project:
    """The workflow in `root`, with models in `root/models` and its configuration in `root/config`."""

    def __init__(self, root):
        self.root = Path(root)

    @classmethod
    def create(cls, root):
        """A fresh copy of the workflow with an empty folder of models and tiny settings."""
        for name in COPIED:
            source, target = ROOT / name, Path(root, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)
        for name in LINKED:
            Path(root, name).symlink_to(ROOT / name)
        Path(root, "models").mkdir()
        project = cls(root)
        project.configure(objects={"folder": "models"}, **TINY)
        return project

    def copy(self, root):
        """The same project elsewhere, results and file times included."""
        shutil.copytree(self.root, root, symlinks=True, dirs_exist_ok=True)
        return Project(root)

    def unlink_programs(self):
        """Make the programs a copy that may be edited."""
        (self.root / "workflow_scripts").unlink()
        shutil.copytree(ROOT / "workflow_scripts", self.root / "workflow_scripts")

    def pretend_programs(self, shell=OUTPUTS):
        """Let the command `shell`, which may name {output}, stand for all programs."""
        for rules in (self.root / "rules").glob("*.smk"):
            rules.write_text(SHELL.sub(lambda _: f"    shell:\n        {shell!r}", rules.read_text()))

    def add_table(self, names):
        """Empty models of these names, from a table."""
        for name in names:
            (self.root / "models" / f"{name}.obj").touch()
        rows = ["object\tpath", *(f"{name}\tmodels/{name}.obj" for name in names)]
        (self.root / "objects.tsv").write_text("\n".join(rows))
        self.configure(objects={"table": "objects.tsv"})

    def configure(self, **sections):
        """Put `sections` into the configuration, each in place of what it was."""
        path = self.root / "config" / "config.yaml"
        config = yaml.safe_load(path.read_text()) if path.exists() else {}
        path.write_text(yaml.safe_dump({**config, **sections}))

    def add_cube(self, name, color="0.8 0.2 0.1"):
        """A model of one plain material."""
        (self.root / "models" / f"{name}.obj").write_text(CUBE.format(name=name))
        (self.root / "models" / f"{name}.mtl").write_text(f"newmtl paint\nKd {color}\n")

    def start(self, *arguments, stdout=subprocess.PIPE):
        """Start Snakemake here; both its streams go to `stdout`."""
        command = [*SNAKEMAKE, "--cores", "2", *arguments]
        return subprocess.Popen(command, cwd=self.root, stdout=stdout, stderr=subprocess.STDOUT, text=True)

    def snakemake(self, *arguments):
        """Run Snakemake here; its output, both streams together, is in `stdout`."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def planned(self, *arguments):
        """The jobs that a run would do, as a set of (rule, object, split), the target `all` left out."""
        dry = self.snakemake("--dry-run", *arguments)
        assert dry.returncode == 0, dry.stdout
        return jobs_in(dry.stdout)


def jobs_in(output):
    """The jobs that Snakemake announces in its output, as `Project.planned` gives them."""
    jobs = set()
    for block in re.split(r"^ *(?=(?:local)?rule )", output, flags=re.MULTILINE)[1:]:
        if not line(block, "reason"):
            continue  # it is named in an error message
        rule = re.match(r"(?:local)?rule (\w+):", block).group(1)
        wildcards = dict(re.findall(r"(object|split)=([^\s,]+)", line(block, "wildcards")))
        jobs.add((rule, wildcards.get("object"), wildcards.get("split")))
    return jobs - {("all", None, None)}


def line(block, key):
    """The value of `key` in what Snakemake prints of a job."""
    found = re.search(rf"^ +{key}: (.*)$", block.split("\n\n")[0], flags=re.MULTILINE)
    return found.group(1) if found else ""
