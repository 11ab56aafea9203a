# The configuration, the objects, and the functions that the rules share.
import os
import shlex
import sys
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

PROGRAMS = Path(workflow.basedir, "workflow_scripts")
sys.path.insert(0, str(PROGRAMS))

from obj2ngp.scene.settings import METHOD as RENDER_METHOD
from obj2ngp.workflow.configuration import SPLITS, Settings, check
from obj2ngp.common.files import UserError
from obj2ngp.workflow.objects import NAME, find_objects
from obj2ngp.workflow.gpus import visible_gpus

# `python` in a rule is the Python that runs Snakemake, unless a conda environment is activated.
own_path = [str(Path(sys.executable).parent), *os.get_exec_path()]
os.environ.update(PATH=os.pathsep.join(own_path))

# A program's number is raised by hand when its results change although its settings do not.
METHOD = {
    "render": RENDER_METHOD,
    "train": 2,
    "render_test": 1,
    "metrics": 1,
    "orbit": 1,
}

SCHEMA = yaml.safe_load(
    Path(workflow.basedir, "config/schemas/config.schema.yaml").read_text()
)

try:
    check(config, SCHEMA)
    validate(config, "../config/schemas/config.schema.yaml")  # puts the defaults in
    OBJECTS = find_objects(config["objects"])
    SETTINGS = Settings(config, SCHEMA, OBJECTS)
except UserError as error:
    raise WorkflowError(str(error)) from None

RESULTS = config["project"]["results"]
TRAINER_ENVIRONMENT = f"../envs/{config['project']['trainer_environment']}.yaml"


wildcard_constraints:
    object=NAME.pattern,
    split="|".join(SPLITS),


def result(path):
    """The path of an object's result, with {object} left open."""
    return f"{RESULTS}/{{object}}/{path}"


def last_results(name):
    """The results of an object that no other job of its own needs, as paths in its folder."""
    yield "metrics.csv"
    yield "orbit.gif"
    if SETTINGS.of(name)["render"]["views"]["val"]:
        yield "renders/transforms_val.json"


def finished_objects(wildcards):
    """The last results of all objects, one object after the other.

    A function, since most jobs on a cluster read the workflow without asking for all objects.
    """
    for name in OBJECTS:
        for path in last_results(name):
            yield f"{RESULTS}/{name}/{path}"


def program(name):
    """A program's path from the working directory: the same wherever the project lies."""
    return os.path.relpath(PROGRAMS / name)


def command(name, **options):
    """The `shell` command that runs a program with these options, the same for all objects."""
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    line = shlex.join(["python", program(f"{name}.py"), *words])
    return line.replace("{", "{{").replace("}", "}}")  # as Snakemake writes a brace


def settings(name):
    """The `params` function that gives the JSON settings of a program."""
    return lambda wildcards: SETTINGS.json(
        name, wildcards.object, wildcards.get("split")
    )


def blender(wildcards):
    """The command that runs the render program for an object, up to its own arguments."""
    script = program("render.py")
    executable = SETTINGS.of(wildcards.object)["render"]["blender"]
    if executable != "auto":
        # Without an exit code of its own, Blender ends with 0 whatever happens in the program.
        options = "-b --factory-startup --python-exit-code 1"
        return f"{shlex.quote(executable)} {options} -P {script} --"
    python = Path(workflow.basedir, ".venv-blender/bin/python")
    return f"{os.path.relpath(python) if python.exists() else 'python'} {script}"


def backend(wildcards):
    """The configured backend of an object's trainer."""
    return SETTINGS.of(wildcards.object)["train"]["backend"]


def gpus(wildcards):
    """How many GPUs a job on the trainer's model needs: auto takes one where there is one."""
    kind = backend(wildcards)
    return int(kind in ("cuda", "tcnn") or (kind == "auto" and bool(visible_gpus())))


def growing(amount):
    """A resource that grows with every attempt at the same job."""
    return lambda wildcards, attempt: amount * attempt
