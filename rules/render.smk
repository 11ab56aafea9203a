# One Blender job for each object and split.


rule render:
    input:
        fit("render"),
        model=steady(source),
    output:
        images=made_pictures("renders/{split}"),
        transforms=ensure(result("renders/transforms_{split}.json"), non_empty=True),
    log:
        "logs/{object}/render_{split}.log",
    wildcard_constraints:
        object=MODELS,
    conda:
        "../envs/blender.yaml"
    threads: lambda wildcards: 1 if gpus_to_render(wildcards) else 2
    resources:
        gpu=gpus_to_render,
        mem_mb=needed_to_render("mem_mb"),
        runtime=needed_to_render("runtime"),
    params:
        settings=settings("render"),
        method=METHODS["render"],
    shell:
        (
            render_program() + " --object {wildcards.object:q} --model={input.model:q}"
            " --split {wildcards.split} --settings {params.settings:q} --threads {threads}"
            " --images {output.images:q} --transforms {output.transforms:q}"
        )
        + recorded("render")
