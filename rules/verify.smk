# Whether all results are what their records say: `snakemake --cores all verify`.

PARAMETERS = f"{RESULTS}/parameters.json"


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


rule parameters:
    input:
        unless_written(PARAMETERS, all_parameters),
    output:
        table=PARAMETERS,
    log:
        "logs/parameters.log",
    conda:
        "../envs/report.yaml"
    params:
        lines=lambda wildcards: list(all_parameters(wildcards)),
    script:
        "write_lines.py"


# It makes nothing, so that it always runs; what it finds is for the terminal.
rule verify:
    input:
        PARAMETERS,
    conda:
        "../envs/report.yaml"
    threads: 16
    shell:
        program("verify", "--results", RESULTS, "--parameters", PARAMETERS)
        + " --threads {threads}"
