# obj2ngp: from .obj files and posed images to trained NeRFs, metrics and turntable GIFs.
from snakemake.utils import min_version

min_version("9.0")


include: "rules/home.smk"


configfile: CONFIGURATION


report: "rules/captions/workflow.rst"


include: "rules/common.smk"
include: "rules/records.smk"
include: "rules/progress.smk"
include: "rules/render.smk"
include: "rules/views.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/export.smk"
include: "rules/slices.smk"
include: "rules/report.smk"
include: "rules/verify.smk"
include: "rules/planning.smk"


localrules:
    all,
    slice,
    objects,
    object_table,
    parameters,
    verify,


# A limit on `gpu` holds for each machine or group job, never for a whole cluster.
resource_scopes:
    gpu="local",


rule all:
    default_target: True
    input:
        rules.summary.output,
        rules.gallery.output,
        rules.excerpt.output if OBJECTS.total > REPORTED else [],
        rules.plots.output if OBJECTS.total >= PLOTTED else [],
        rules.collection.output if "weights" in SETTINGS.formats else [],
        rules.objects.input,


# Snakemake limits how many jobs start in a second: after each look at the ready jobs it plans another one a second
# later, which plans the next, so that it soon looks hundreds of times a second. This machine's jobs need no limit.
onstart:
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None
    PROGRESS.start(tally())
    # The objects' own records tell what was made from what; see obj2ngp/common/provenance.py.
    workflow.execution_settings.keep_metadata = not PACKED


onsuccess:
    PROGRESS.stop()
