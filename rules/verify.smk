# Whether all results are what their records say: `snakemake --cores all verify`.

PARAMETERS = f"{RESULTS}/parameters.json"


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
    log:
        "logs/verify.log",
    conda:
        "../envs/report.yaml"
    threads: 16
    shell:
        program("verify", "--results", RESULTS, "--parameters", PARAMETERS)
        + " --threads {threads} 2>&1 | tee {log:q}"
