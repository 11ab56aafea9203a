# What each trained model shows: the test views, their metrics, and a turntable.


rule render_test:
    input:
        fit("render_test"),
        model=rules.train.output.model,
        transforms=result("renders/transforms_test.json"),
    output:
        images=made_pictures("test"),
    log:
        "logs/{object}/render_views.log",
    conda:
        TRAINER_ENVIRONMENT
    threads: cores
    resources:
        gpu=gpus,
        mem_mb=needed("render_test", "mem_mb"),
        runtime=needed("render_test", "runtime"),
    params:
        settings=settings("render_test"),
        backend=backend,
        method=METHODS["render_test"],
    shell:
        (
            launched(program("render_views"), "{resources.gpu}")
            + " --object {wildcards.object:q} --model {input.model:q} --set-aside --transforms {input.transforms:q}"
            " --settings {params.settings:q} --backend {params.backend} --threads {threads}"
            " --out {output.images:q}"
        )
        + recorded("render_test")


rule metrics:
    input:
        fit("metrics"),
        # What its shape is compared with, and the views that say what of it can be seen.
        source=steady(source_mesh),
        training=training_views,
        transforms=result("renders/transforms_test.json"),
        images=pictures("renders/test"),
        predictions=rules.render_test.output.images,
    output:
        table=ensure(result("metrics.csv"), non_empty=True),
        protocol=ensure(result("metrics.json"), non_empty=True),
        comparison=ensure(result("comparison.webp"), non_empty=True),
    log:
        "logs/{object}/metrics.log",
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(5),
    params:
        method=METHODS["metrics"],
    shell:
        (
            launched(program("metrics")) + " --transforms {input.transforms:q}"
            " --source {input.source:q} --predictions {input.predictions:q}"
            " --object {wildcards.object:q} --out {output.table:q}"
        )
        + recorded("metrics")


rule orbit:
    input:
        fit("orbit"),
        model=rules.train.output.model,
    output:
        gif=ensure(result("orbit.gif"), non_empty=True),
        webp=ensure(result("orbit.webp"), non_empty=True),
        video=ensure(result("orbit.mp4"), non_empty=True),
    log:
        "logs/{object}/orbit.log",
    conda:
        TRAINER_ENVIRONMENT
    threads: cores
    resources:
        gpu=gpus,
        mem_mb=needed("orbit", "mem_mb"),
        runtime=needed("orbit", "runtime"),
    params:
        settings=settings("orbit"),
        backend=backend,
        method=METHODS["orbit"],
    shell:
        (
            launched(program("orbit"), "{resources.gpu}")
            + " --object {wildcards.object:q} --model {input.model:q} --set-aside"
            " --settings {params.settings:q} --backend {params.backend} --threads {threads}"
            " --gif {output.gif:q} --webp {output.webp:q} --video {output.video:q}"
        )
        + recorded("orbit")


# What a person looks at: the model itself and what is known of it, in one file.
rule viewer:
    input:
        fit("viewer"),
        model=rules.train.output.model,
        log=rules.train.output.log,
        metrics=rules.metrics.output.table,
        protocol=rules.metrics.output.protocol,
        comparison=rules.metrics.output.comparison,
        source=steady(shown_mesh),
        transforms=result("renders/transforms_test.json"),
    output:
        page=ensure(result("viewer.html"), non_empty=True),
    log:
        "logs/{object}/viewer.log",
    conda:
        TRAINER_ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(5),
    params:
        settings=settings("viewer"),
        method=METHODS["viewer"],
    shell:
        (
            launched(program("viewer")) + " --object {wildcards.object:q}"
            ' --results "$(dirname {output.page:q})" --settings {params.settings:q}'
            " --source {input.source:q} --out {output.page:q}"
        )
        + recorded("viewer")
