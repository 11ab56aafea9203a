# A set of posed images brought in: the same results as those of `render`, all splits at once.


rule import_views:
    input:
        fit("import_views"),
        lambda wildcards: descriptions(OBJECTS[wildcards.object].path),
        source=steady(source),
    output:
        train=made_pictures("renders/train"),
        test=made_pictures("renders/test"),
        transforms_train=ensure(result("renders/transforms_train.json"), non_empty=True),
        transforms_test=ensure(result("renders/transforms_test.json"), non_empty=True),
    log:
        "logs/{object}/import_views.log",
    wildcard_constraints:
        object=IMAGE_SETS,
    conda:
        "../envs/views.yaml"
    threads: 2
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        settings=settings("import_views"),
        method=METHODS["import_views"],
    shell:
        (
            launched(program("import_views")) + " --object {wildcards.object:q}"
            " --source={input.source:q} --settings {params.settings:q} --threads {threads}"
            ' --renders "$(dirname {output.transforms_train:q})"'
            + (" --pack" if PACKED else "")
        )
        + recorded("import_views")
