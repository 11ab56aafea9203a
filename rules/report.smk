# What is made once from all objects.


# The names travel in a file: a command line has no room for those of a whole ShapeNet.
rule object_names:
    output:
        names=f"{RESULTS}/objects.txt",
    log:
        "logs/object_names.log",
    conda:
        "../envs/report.yaml"
    params:
        lines=list(OBJECTS),
    script:
        "write_lines.py"


rule summary:
    input:
        names=rules.object_names.output.names,
        metrics=per_object("metrics.csv"),
        models=per_object("model.safetensors"),
    output:
        table=report(
            ensure(f"{RESULTS}/summary.csv", non_empty=True), category="Numbers"
        ),
    log:
        "logs/summary.log",
    benchmark:
        "logs/summary.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    shell:
        program("summary") + ' --results "$(dirname {input.names:q})"'
        " --logs logs --objects {input.names:q}"
        " --out {output.table:q} &> {log:q}"


rule gallery:
    input:
        names=rules.object_names.output.names,
        summary=rules.summary.output.table,
        orbits=per_object("orbit.gif"),
    output:
        page=report(
            ensure(f"{RESULTS}/gallery/index.html", non_empty=True), category="Gallery"
        ),
    log:
        "logs/gallery.log",
    benchmark:
        "logs/gallery.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    shell:
        program("gallery") + ' --results "$(dirname {input.names:q})"'
        " --objects {input.names:q}"
        " --summary {input.summary:q} --out {output.page:q} &> {log:q}"


# What is ready is shown even where some objects stopped; the summary says why they did.
onerror:
    names, table = f"{RESULTS}/objects.txt", f"{RESULTS}/summary.csv"
    page = f"{RESULTS}/gallery/index.html"
    if os.path.exists(names):
        shell(
            program("summary")
            + " --results {RESULTS:q} --logs logs --objects {names:q} --out {table:q}"
            " && "
            + program("gallery")
            + " --results {RESULTS:q} --objects {names:q} --summary {table:q}"
            " --out {page:q} || echo 'What is ready could not be summed up.'"
        )
