"""Write the parameter `lines`, texts, to the output: a file has room for them where a command line has not.

A script, since `run:` starts another Snakemake, and does not quote its Snakefile's path.
"""

from pathlib import Path

job = snakemake  # noqa: F821  # Snakemake defines it

Path(job.output[0]).write_text("\n".join(job.params.lines) + "\n", encoding="utf-8")
