# The configuration, the objects, and the functions that the rules share.
import os
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# Where this workflow lies, also if another one uses it as a module.
HOME = Path(str(workflow.current_basedir)).parent
if not (HOME / "workflow_scripts").is_dir():
    raise WorkflowError(
        f"obj2ngp works as a module from a local clone only: its programs do not come along from {HOME}"
    )
sys.path.insert(0, str(HOME / "workflow_scripts"))

from obj2ngp.common.files import UserError
from obj2ngp.common.settings import AUTO
from obj2ngp.evaluation import METHOD as METRICS_METHOD
from obj2ngp.ngp.config import METHOD as TRAIN_METHOD
from obj2ngp.ngp.settings import ORBIT_METHOD, VIEWS_METHOD
from obj2ngp.scene.settings import METHOD as RENDER_METHOD
from obj2ngp.scene.settings import SPLITS
from obj2ngp.workflow.configuration import Settings
from obj2ngp.workflow.gpus import visible_gpus
from obj2ngp.workflow.objects import NAME, find_objects

# `python` in a rule is the Python that runs Snakemake, unless a conda environment is activated.
own_path = [str(Path(sys.executable).parent), *os.get_exec_path()]
os.environ.update(PATH=os.pathsep.join(own_path))

try:
    SETTINGS = Settings(config, find_objects)
except UserError as error:
    raise WorkflowError(str(error)) from None

OBJECTS = SETTINGS.objects
RESULTS = SETTINGS.configuration.project.results
TRAINER_ENVIRONMENT = (
    f"../envs/{SETTINGS.configuration.project.trainer_environment}.yaml"
)


wildcard_constraints:
    object=NAME.pattern,
    split="|".join(SPLITS),


# Where programs lie changes no result, so that it stands in the commands and in no `params`.
def program(name, *arguments, runner=("python",)):
    """The command, quoted for a `shell` string, that runs a program with arguments that are the same for all objects.

    `runner` are the words that come before the program's path.
    """
    path = HOME / "workflow_scripts" / f"{name}.py"
    line = shlex.join(map(str, [*runner, path, *arguments]))
    return line.replace("{", "{{").replace("}", "}}")  # as Snakemake writes a brace


def render_program():
    """The command that runs the render program, up to its own arguments."""
    executable = SETTINGS.configuration.render.blender
    if executable != AUTO:
        # Without an exit code of its own, Blender ends with 0 whatever happens in the program.
        options = ["-b", "--factory-startup", "--python-exit-code", "1", "-P"]
        return program("render", "--", runner=[executable, *options])
    own = HOME / ".venv-blender" / "bin" / "python"
    return program("render", runner=[own if own.exists() else "python"])


def on_gpu(name):
    """The command that runs a program on as many free GPUs as the job's resources say."""
    return f"{program('on_free_gpu')} {{resources.gpu}} {program(name)}"


def result(path):
    """The path of an object's result, with {object} left open."""
    return f"{RESULTS}/{{object}}/{path}"


def last_results(name):
    """The results of an object that no other job of its own needs, as paths in its folder."""
    yield "metrics.csv"
    yield "orbit.gif"
    if SETTINGS.of(name).configuration.render.views.val:
        yield "renders/transforms_val.json"


def finished_objects(wildcards):
    """The last results of all objects, one object after the other.

    A function, since most jobs on a cluster read the workflow without asking for all objects.
    """
    for name in OBJECTS:
        for path in last_results(name):
            yield f"{RESULTS}/{name}/{path}"


def settings(name):
    """The `params` function that gives the JSON settings of the rule `name`."""
    return lambda wildcards: SETTINGS.json(
        name, wildcards.object, wildcards.get("split")
    )


def backend(wildcards):
    """The configured backend of an object's trainer."""
    return SETTINGS.of(wildcards.object).configuration.train.backend


def gpus(wildcards):
    """How many GPUs a job on the trainer's model needs: auto takes one where there is one."""
    kind = backend(wildcards)
    return int(kind != "cpu" and (kind != AUTO or bool(visible_gpus())))


def growing(amount):
    """A resource that grows with every attempt at the same job."""
    return lambda wildcards, attempt: amount * attempt


def needed(name, what):
    """The resource `what` (mem_mb, runtime) that the settings of the rule `name` need; it grows likewise."""

    def amount(wildcards, threads, attempt):
        on_gpu, split = gpus(wildcards) > 0, wildcards.get("split")
        need = SETTINGS.need(name, wildcards.object, on_gpu, threads, split)
        return getattr(need, what) * attempt

    return amount
