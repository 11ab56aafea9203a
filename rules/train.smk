# An Instant-NGP for each object, from its training views alone.


rule train:
    input:
        images=result("renders/train"),
        transforms=result("renders/transforms_train.json"),
    output:
        model=ensure(result("model.safetensors"), non_empty=True),
        log=ensure(result("training.csv"), non_empty=True),
    log:
        "logs/{object}/train.log",
    benchmark:
        "logs/{object}/train.benchmark.tsv"
    conda:
        TRAINER_ENVIRONMENT
    threads: 2
    resources:
        gpu=gpus,
        mem_mb=growing(4000),
        runtime=growing(10),
    params:
        on_gpu=program("on_free_gpu.py"),
        program=program("train.py"),
        renders=lambda wildcards, input: os.path.dirname(input.transforms),
        settings=settings("train"),
        backend=backend,
        method=METHOD["train"],
    shell:
        "python {params.on_gpu} {resources.gpu} python {params.program}"
        " --object {wildcards.object:q} --renders {params.renders:q} --settings {params.settings:q} --backend {params.backend}"
        " --model {output.model:q} --log {output.log:q} &> {log:q}"
