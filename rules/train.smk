# An Instant-NGP for each object, from its training views alone.


rule train:
    input:
        fit("train"),
        images=pictures("renders/train"),
        transforms=result("renders/transforms_train.json"),
    output:
        model=ensure(result("model.safetensors"), non_empty=True),
        log=ensure(result("training.csv"), non_empty=True),
    log:
        "logs/{object}/train.log",
    conda:
        TRAINER_ENVIRONMENT
    threads: training_cores
    resources:
        gpu=gpus,
        mem_mb=needed("train", "mem_mb"),
        runtime=needed("train", "runtime"),
    params:
        settings=settings("train"),
        backend=backend,
        method=METHODS["train"],
    shell:
        (
            launched(program("train"), "{resources.gpu}")
            + ' --object {wildcards.object:q} --renders "$(dirname {input.transforms:q})"'
            " --settings {params.settings:q} --backend {params.backend} --threads {threads}"
            " --model {output.model:q} --log {output.log:q}"
        )
        + recorded("train")
