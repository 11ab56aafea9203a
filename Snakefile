# obj2ngp: from .obj files to trained NeRFs, metrics and turntable GIFs.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/render.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/slices.smk"
include: "rules/report.smk"


localrules:
    all,
    slice,
    objects,
    object_table,


# A limit on `gpu` holds for each machine or group job, never for a whole cluster.
resource_scopes:
    gpu="local",


rule all:
    default_target: True
    input:
        rules.summary.output,
        rules.gallery.output,
        rules.objects.input,
