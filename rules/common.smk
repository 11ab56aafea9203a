# The configuration, the objects, and the functions that the rules share.
import functools
import gc
import json
import os
import shlex
import sys
import time
from pathlib import Path

from snakemake.cli import get_argument_parser
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from obj2ngp.common.files import UserError, in_a_line
from obj2ngp.common.packing import SUFFIX
from obj2ngp.common.provenance import RUN, Provenance, parameters
from obj2ngp.common.records import FILE
from obj2ngp.common.settings import AUTO
from obj2ngp.common.runtime import OWNER
from obj2ngp.evaluation import METHOD as METRICS_METHOD
from obj2ngp.exports.registry import COLLECTION_METHOD, FORMATS
from obj2ngp.ngp.config import METHOD as TRAIN_METHOD
from obj2ngp.ngp.settings import ORBIT_METHOD, VIEWS_METHOD
from obj2ngp.report.settings import METHOD as GALLERY_METHOD
from obj2ngp.report.settings import PLOTTED, REPORTED
from obj2ngp.scene.settings import METHOD as RENDER_METHOD
from obj2ngp.views.kinds import SPLITS, descriptions
from obj2ngp.views.settings import METHOD as IMPORT_METHOD
from obj2ngp.viewer.settings import METHOD as VIEWER_METHOD
from obj2ngp.workflow.archives import are_packed
from obj2ngp.workflow.configuration import Settings
from obj2ngp.workflow.gpus import CARDS, JOBS_PER_CARD, visible_gpus
from obj2ngp.workflow.limits import PATIENCE
from obj2ngp.workflow.objects import NAME, find_objects, pattern_of
from obj2ngp.workflow.running import Running
from obj2ngp.workflow.resources import model_need
from obj2ngp.workflow.slices import NAME as SLICE
from obj2ngp.workflow.slices import Slices, choice
from obj2ngp.workflow.workers import IDLE

# Snakemake keeps the many thousand jobs that it makes; looking for garbage among them takes a seventh of its time.
gc.set_threshold(100_000)

# `python` in a rule is the Python that runs Snakemake, unless a conda environment is activated.
own_path = [str(Path(sys.executable).parent), *os.get_exec_path()]
os.environ.update(PATH=os.pathsep.join(own_path))


# What stands on the command line, of which Snakemake itself tells only later; None where a program runs it.
LINE = None
if Path(sys.argv[0]).stem in ("snakemake", "__main__"):
    LINE = get_argument_parser().parse_args(sys.argv[1:])


def needed_objects(configuration):
    """The objects that this run can need, by what its command line asks for."""
    wanted = None
    if LINE:
        jobs = [job.wildcards_dict for job in LINE.target_jobs]
        wanted = choice(LINE.targets, jobs, configuration.project.results)
    return find_objects(configuration.objects, wanted)


try:
    SETTINGS = Settings(config, needed_objects)
except UserError as error:
    raise WorkflowError(in_a_line(str(error))) from None

OBJECTS = SETTINGS.objects
SLICES = Slices(OBJECTS, OBJECTS.total)
PROJECT = SETTINGS.configuration.project
RESULTS = os.path.normpath(PROJECT.results)
STAMP = f"{RESULTS}/slices/{{slice}}"  # says that the objects of a slice have all of their results
PACKED = are_packed(PROJECT.pack, RESULTS, OBJECTS.total)
TRAINER_ENVIRONMENT = f"../envs/{PROJECT.trainer_environment}.yaml"

# `gpu` stands for graphics cards where users say it (`--resources gpu=4`), and for jobs on them where this machine
# itself runs the jobs: several share a card.
GPUS = visible_gpus() if SETTINGS.may_use_gpus else []
if "gpu" in workflow.global_resources:
    GPUS = GPUS[: workflow.global_resources["gpu"].value]
if GPUS and workflow.local_exec:
    workflow.register_resource("gpu", len(GPUS) * PROJECT.jobs_per_gpu)

# It would have Blender write other colours.
os.environ.pop("OCIO", None)

# How launch.py runs a job, which changes no result.
os.environ.update(
    {
        OWNER: str(os.getpid()),
        RUN: os.environ.get(RUN) or f"{os.getpid()}-{time.time():.6f}",
        PATIENCE: str(PROJECT.patience),
        IDLE: str(PROJECT.worker_idle if PROJECT.workers else 0),
        CARDS: ",".join(GPUS),
        JOBS_PER_CARD: str(PROJECT.jobs_per_gpu),
    }
)


# Which of two rules makes an object's views is told by its name.
MODELS, IMAGE_SETS = (
    pattern_of(OBJECTS.values(), is_model) for is_model in (True, False)
)


wildcard_constraints:
    object=NAME.pattern,
    format="|".join(FORMATS),
    split="|".join(SPLITS),


# Where programs lie changes no result, so that it stands in the commands and in no `params`.
def program(name, *arguments, runner=("python",)):
    """The command, quoted for a `shell` string, that runs a program with arguments that are the same for all objects.

    `runner` are the words that come before the program's path.
    """
    path = HOME / "workflow_scripts" / f"{name}.py"
    line = shlex.join(map(str, [*runner, path, *arguments]))
    return line.replace("{", "{{").replace("}", "}}")  # as Snakemake writes a brace


def launched(command, gpus=0):
    """The command that runs `command` where and how launch.py has it, `gpus` (0 or 1) as a format or number."""
    return f"{program('launch', runner=('python', '-E', '-S'))} {gpus} {{resources.runtime}} {command}"


def render_program():
    """The command that runs the render program, up to its own arguments."""
    executable = SETTINGS.configuration.render.blender
    if executable != AUTO:
        # Without an exit code of its own, Blender ends with 0 whatever happens in the program.
        options = ["-b", "--factory-startup", "--python-exit-code", "1", "-P"]
        command = program("render", "--", runner=[executable, *options])
    else:
        # Where it really lies: a `$` in the path of a link to it would spoil Blender's colours.
        own = (HOME / ".venv-blender").resolve() / "bin" / "python"
        command = program("render", runner=[own if own.exists() else "python"])
    return launched(command, "{resources.gpu}")


def result(path):
    """The path of an object's result, with {object} left open."""
    return f"{RESULTS}/{{object}}/{path}"


def pictures(path):
    """The path of an object's folder of pictures, or of the archive in its place; see `common.packing`."""
    return result(f"{path}{SUFFIX}" if PACKED else path)


def made_pictures(path):
    """`pictures` as the output of a rule."""
    return pictures(path) if PACKED else directory(pictures(path))


def source(wildcards):
    """The file or folder that an object comes from."""
    return OBJECTS[wildcards.object].path


def steady(function):
    """An input function whose files' times say nothing where Snakemake keeps no account of contents, but `fit` does."""
    return ancient(function) if PACKED else function


def settings(name):
    """The `params` function that gives the JSON settings of the rule `name`."""
    return lambda wildcards: SETTINGS.json(
        name, wildcards.object, wildcards.get("split", wildcards.get("format"))
    )


def backend(wildcards):
    """The configured backend of an object's trainer."""
    return SETTINGS.of(wildcards.object).configuration.train.backend


def gpus(wildcards):
    """How many GPUs a job on the trainer's model needs: auto takes one where there is one."""
    kind = backend(wildcards)
    return int(kind != "cpu" and (kind != AUTO or bool(GPUS)))


def gpus_to_render(wildcards):
    """How many GPUs a job of an object's Blender needs."""
    return int(SETTINGS.of(wildcards.object).configuration.render.device == "gpu")


def cores(wildcards):
    """CPU cores for a job on the trainer's model: beside a GPU, one is enough."""
    return 1 if gpus(wildcards) else 2


def training_cores(wildcards):
    """CPU cores for a training: those that the other objects leave idle; two objects at once get more of two cores."""
    return (
        1
        if gpus(wildcards)
        else max(1, min(4, (workflow.cores or 1) // max(1, OBJECTS.total)))
    )


def source_mesh(wildcards):
    """The model of an object whose field's shape is compared with it; nobody has an image set's."""
    item, test = (
        OBJECTS[wildcards.object],
        SETTINGS.of(wildcards.object).configuration.test,
    )
    return [item.path] if item.is_model and test.geometry else []


def shown_mesh(wildcards):
    """The model of an object whose page shows it."""
    item, viewer = (
        OBJECTS[wildcards.object],
        SETTINGS.of(wildcards.object).configuration.viewer,
    )
    return [item.path] if item.is_model and viewer.source else []


def training_views(wildcards):
    """The training views of an object whose field's shape is compared with its model."""
    paths = pictures("renders/train"), result("renders/transforms_train.json")
    return [path.format(**wildcards) for path in paths if source_mesh(wildcards)]


def unless_written(path, lines):
    """The input function that has the file `path` of `lines` (a function of wildcards) made anew if it holds others.

    It gives no input, like `fit`. In a packed project, Snakemake keeps no account of parameters.
    """

    def force_if_other(wildcards):
        if workflow.is_main_process and os.path.exists(path):
            text = "".join(f"{line}\n" for line in lines(wildcards))
            if Path(path).read_text(encoding="utf-8") != text:
                workflow.dag.forcefiles.add(path)
        return []

    return force_if_other


def growing(amount):
    """A resource that grows with every attempt at the same job."""
    return lambda wildcards, attempt: amount * attempt


def needed(name, what):
    """The resource `what` (mem_mb, runtime) that the settings of the rule `name` need; it grows likewise."""

    def amount(wildcards, threads, attempt):
        on_gpu = gpus(wildcards) > 0
        part = wildcards.get("split", wildcards.get("format"))
        need = SETTINGS.need(name, wildcards.object, on_gpu, threads, part)
        return getattr(need, what) * attempt

    return amount


def needed_to_render(what):
    """`needed` of the rule `render`, with what an object's model needs by its size."""
    by_settings = needed("render", what)

    def amount(wildcards, threads, attempt):
        views = SETTINGS.of(wildcards.object).configuration.render.views
        by_model = model_need(source(wildcards), getattr(views, wildcards.split))
        return (
            by_settings(wildcards, threads, attempt) + getattr(by_model, what) * attempt
        )

    return amount


def splits_of(name):
    """The splits of an object that the workflow asks for: of an image set, not the one that it may lack."""
    if not OBJECTS[name].is_model:
        return {"train", "test"}
    views = SETTINGS.of(name).configuration.render.views
    return {split for split in SPLITS if getattr(views, split)}


def last_results(name):
    """The results of an object that no other job of its own needs, as paths in its folder."""
    yield "metrics.csv"
    yield "orbit.gif"
    configuration = SETTINGS.of(name).configuration
    if "val" in splits_of(name):
        yield "renders/transforms_val.json"
    if configuration.viewer.enabled:
        yield "viewer.html"
    for format in configuration.export.formats:
        yield f"export/{format}"


def results_of(slice):
    """The last results of the objects in a slice."""
    for name in SLICES.objects(slice):
        for path in last_results(name):
            yield f"{RESULTS}/{name}/{path}"


def contents(wildcards):
    """What a slice is made of: smaller slices, or the last results of its objects."""
    parts = SLICES.parts(wildcards.slice)
    return [STAMP.format(slice=part) for part in parts] or list(
        results_of(wildcards.slice)
    )


def slices_of_all():
    """The slices that together hold all objects.

    For the report of a packed project only the first, as an example: Snakemake keeps no account of its single jobs.
    """
    report_alone = LINE and LINE.report and not LINE.report_after_run
    return SLICES.smallest()[: 1 if report_alone and PACKED else None]


def stamps(wildcards):
    """The stamps of all objects' slices. A function, since most jobs on a cluster do not ask for all objects."""
    return [STAMP.format(slice=slice) for slice in slices_of_all()]


def lost_results(wildcards):
    """The last results that are missing although their slice has its stamp.

    Snakemake makes a deleted file anew if a target names it, and not if only what was made of it is asked for.
    """
    for slice in slices_of_all():
        if os.path.exists(STAMP.format(slice=slice)):
            yield from (path for path in results_of(slice) if not os.path.exists(path))


def export_inputs(wildcards):
    """What a format is made from: results of the object, the pictures of its views included."""
    for path in FORMATS[wildcards.format].needs:
        folder, _, name = path.rpartition("/")
        if name.startswith("transforms_"):
            split = name[len("transforms_") : -len(".json")]
            if split not in splits_of(wildcards.object):
                continue
            yield pictures(f"{folder}/{split}").format(object=wildcards.object)
        yield f"{RESULTS}/{wildcards.object}/{path}"


def reported(folder):
    """The folder of a gallery, as an output that Snakemake's report shows: it holds all that its page shows."""
    return report(
        directory(folder),
        caption="captions/gallery.rst",
        htmlindex="index.html",
        category="Gallery",
    )


def object_lines(wildcards):
    """The table of all objects and their last results."""
    rows = (f"{name}\t{' '.join(last_results(name))}" for name in OBJECTS)
    return ["object\tresults", *rows]


def all_parameters(wildcards):
    """The parameters of all jobs as lines of JSON, those that many objects share written once."""
    kinds, objects = {}, {}
    for name, item in OBJECTS.items():
        if item.overrides not in kinds:
            jobs = {
                JOBS["render"].format(split=split): parameters_of("render", name, split)
                for split in SPLITS
            }
            jobs |= {
                JOBS.get(rule, rule): parameters_of(rule, name)
                for rule in METHODS
                if rule != "render"
            }
            jobs |= {
                JOBS["export"].format(format=format): parameters_of(
                    "export", name, format
                )
                for format in FORMATS
            }
            kinds[item.overrides] = len(kinds), json.dumps(jobs)
        objects[name] = kinds[item.overrides][0]
    yield '{"kinds": [' + ",\n".join(text for _, text in kinds.values()) + "],"
    yield f'"objects": {json.dumps(objects)}}}'
