# What is made once from all objects.

OBJECT_TABLE = f"{RESULTS}/objects.tsv"
SUMMARY = f"{RESULTS}/summary.csv"
FAILURES = f"{RESULTS}/failures.csv"
GALLERY = f"{RESULTS}/gallery"
EXCERPT = f"{RESULTS}/excerpt"
PLOTS = f"{RESULTS}/plots"
COLLECTION = f"{RESULTS}/collection"
COMPARED = SETTINGS.configuration.gallery.compare

# The commands of the rules, which are also run when some objects stopped.
SUMMARISE = program(
    "summary",
    *("--results", RESULTS, "--logs", "logs", "--objects", OBJECT_TABLE),
    *("--out", SUMMARY, "--failures", FAILURES),
)
SHOWN = (
    "gallery",
    *("--results", RESULTS, "--objects", OBJECT_TABLE, "--summary", SUMMARY),
    *(("--compare", COMPARED) if COMPARED else ()),
)
SHOW = program(*SHOWN, "--out", GALLERY)
SHOW_SOME = program(*SHOWN, "--out", EXCERPT, "--most", REPORTED)
PLOT = program("plots", "--results", RESULTS, "--out", PLOTS)
COLLECT = program(
    "collect",
    *("--results", RESULTS, "--objects", OBJECT_TABLE),
    *("--out", COLLECTION),
)


# They travel in a file: a command line has no room for the names of a whole ShapeNet.
rule object_table:
    input:
        unless_written(OBJECT_TABLE, object_lines),
    output:
        table=OBJECT_TABLE,
    log:
        "logs/object_table.log",
    conda:
        "../envs/report.yaml"
    params:
        lines=object_lines,
    script:
        "write_lines.py"


# Gathered when each object has all of its results. The former table spares reading those that are as they were.
rule summary:
    input:
        OBJECT_TABLE,
        stamps,
    output:
        report(
            ensure(update(SUMMARY), non_empty=True),
            caption="captions/summary.rst",
            category="Numbers",
        ),
        FAILURES,
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
        f"{SUMMARISE} &> {{log:q}}"


# For weight-space research, made if the format `weights` is asked for.
rule collection:
    input:
        OBJECT_TABLE,
        stamps,
    output:
        directory(COLLECTION),
    log:
        "logs/collection.log",
    benchmark:
        "logs/collection.benchmark.tsv"
    conda:
        "../envs/export.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(120),
    params:
        method=COLLECTION_METHOD,
    shell:
        f"{COLLECT} &> {{log:q}}"


rule gallery:
    input:
        OBJECT_TABLE,
        SUMMARY,
    output:
        directory(GALLERY) if OBJECTS.total > REPORTED else reported(GALLERY),
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
    params:
        compare=COMPARED,
        method=GALLERY_METHOD,
    shell:
        f"{SHOW} &> {{log:q}}"


# The gallery of a choice of very many objects, for the report.
rule excerpt:
    input:
        OBJECT_TABLE,
        SUMMARY,
    output:
        reported(EXCERPT),
    log:
        "logs/excerpt.log",
    benchmark:
        "logs/excerpt.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        compare=COMPARED,
        method=GALLERY_METHOD,
    shell:
        f"{SHOW_SOME} &> {{log:q}}"


rule plots:
    input:
        SUMMARY,
    output:
        report(
            directory(PLOTS),
            patterns=["{name}.svg"],
            caption="captions/plots.rst",
            category="Plots",
        ),
    log:
        "logs/plots.log",
    benchmark:
        "logs/plots.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        method=GALLERY_METHOD,
    shell:
        f"{PLOT} &> {{log:q}}"


# What is ready is shown even where some objects stopped; the summary says why they did. A slice shows nothing.
onerror:
    PROGRESS.stop()
    wanted = any(job.rule.name == "summary" for job in workflow.dag.jobs)
    if wanted and os.path.exists(OBJECT_TABLE):
        shell(
            f"{SUMMARISE} && {SHOW} || echo 'What is ready could not be summed up.'"
        )
