# What belongs to single objects, slice by slice.


# Very many objects are made slice by slice: `snakemake results/slices/1-of-50`.
rule slice:
    input:
        contents,
    output:
        touch(STAMP),
    wildcard_constraints:
        slice=SLICE,


rule objects:
    input:
        stamps,
        lost_results,
