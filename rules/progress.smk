# What Snakemake prints of a run: see obj2ngp/workflow/progress.py.
import math

from snakemake.settings.enums import Quietness

from obj2ngp.workflow.progress import MOST_JOBS, Progress, Tally, mean_psnr


def plan_in_short():
    """Have a dry run of very many jobs only count them."""
    if workflow.dryrun:
        workflow.output_settings.quiet = {Quietness.RULES, Quietness.PROGRESS}


def tally():
    """The Tally of the jobs that this run is to do."""
    jobs = {
        workflow.dag.jobid(job): job.wildcards_dict["object"]
        for job in workflow.dag.needrun_jobs()
        if "object" in job.wildcards_dict
    }
    return Tally(jobs, lambda name: mean_psnr(f"{RESULTS}/{name}/metrics.csv"))


asked_to_list = (
    workflow.output_settings.verbose or workflow.output_settings.printshellcmds
)
PROGRESS = Progress(logger, math.inf if asked_to_list else MOST_JOBS, plan_in_short)
