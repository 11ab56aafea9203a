# Trained objects as files that other programs open: as many formats as the configuration names, none by default.


rule export:
    input:
        fit("export"),
        export_inputs,
    output:
        files=directory(result("export/{format}")),
    log:
        "logs/{object}/export_{format}.log",
    conda:
        "../envs/export.yaml"
    threads: 2
    resources:
        gpu=lambda wildcards: int(FORMATS[wildcards.format].gpu and gpus(wildcards)),
        mem_mb=needed("export", "mem_mb"),
        runtime=needed("export", "runtime"),
    params:
        settings=settings("export"),
        method=lambda wildcards: FORMATS[wildcards.format].method,
    shell:
        (
            launched(program("export"), "{resources.gpu}")
            + " --object {wildcards.object:q} --format {wildcards.format}"
            ' --results "$(dirname "$(dirname {output.files:q})")"'
            " --settings {params.settings:q} --threads {threads} --out {output.files:q}"
        )
        + recorded("export")
