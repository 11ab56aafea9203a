#!/bin/bash
# One SLURM job a node, for many objects. In the project's folder, 64 slices of the objects, 8 of them at a time:
#
#     sbatch --array=1-64%8 profiles/slurm/node.sh 64
#
# Inside, Snakemake runs the slice's jobs on all cores and GPUs of the job. Afterwards, once: snakemake --cores all
# makes the summary and the page. A slice that stopped goes on where it was when it is submitted again (--array=3).
# What a node has and which partition it is in depends on the cluster; it can be given to sbatch, too.

#SBATCH --job-name=obj2ngp
#SBATCH --nodes=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus=1
#SBATCH --mem=64G
#SBATCH --time=12:00:00
#SBATCH --requeue

# The folder of the results: project.results in the configuration.
results=results

PATH=$PWD/.venv/bin:$PATH
# No lock: slices have no file in common.
exec snakemake "$results/slices/$SLURM_ARRAY_TASK_ID-of-${1:?how many slices there are}" --nolock \
    --cores "$SLURM_CPUS_ON_NODE" --resources "gpu=${SLURM_GPUS_ON_NODE:-1}"
