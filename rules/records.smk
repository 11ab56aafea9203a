# What the records of jobs hold, and which jobs are done anew because of theirs.

# The numbers of the rules' programs, and the names of their jobs where these are not the rules': a job's record and its
# log have its name.
METHODS = {
    "render": RENDER_METHOD,
    "import_views": IMPORT_METHOD,
    "train": TRAIN_METHOD,
    "render_test": VIEWS_METHOD,
    "metrics": METRICS_METHOD,
    "orbit": ORBIT_METHOD,
    "viewer": VIEWER_METHOD,
}
BACKED = {
    "train",
    "render_test",
    "orbit",
}  # whose results depend on the backend
JOBS = {
    "render": "render_{split}",
    "render_test": "render_views",
    "export": "export_{format}",
}


def recorded(name):
    """The end of the command of the rule `name`, where its record lies and what it holds, and where messages go."""
    job = JOBS.get(name, name).format(
        split="{wildcards.split}", format="{wildcards.format}"
    )
    path = f"{shlex.quote(RESULTS)}/{{wildcards.object:q}}/{FILE}"
    return f" --record {path} --job {job} --inputs {{input:q}} --outputs {{output:q}} &> {{log:q}}"


def parameters_of(name, object, part=None):
    """The parameters that a record of the rule `name` should have for an object's job, of a split, or a format."""
    has_settings = name != "metrics"
    return parameters(
        FORMATS[part].method if name == "export" else METHODS[name],
        SETTINGS.json(name, object, part) if has_settings else None,
        SETTINGS.of(object).configuration.train.backend if name in BACKED else None,
    )


@functools.lru_cache(maxsize=None)
def running():
    """This Snakemake's hold on the project, for as long as it runs; a lock that a killed one left is taken away."""
    hold, persistence = Running(".snakemake"), workflow.persistence
    locked = any(persistence._read_locks())
    if locked and hold.is_stale() and workflow.execution_settings.lock:
        logger.info("Unlocking: the Snakemake that locked this folder has ended.")
        persistence.unlock()
        os.makedirs(
            ".snakemake/locks", exist_ok=True
        )  # unlocking takes the folder along, locking wants it
        locked = False
    if not locked:
        hold.sign()
    return hold


@functools.lru_cache(maxsize=None)
def tell(message):
    """Print a message once, if it is among the first few."""
    told = tell.cache_info().misses
    if told <= 20:
        logger.info(message if told < 20 else "Further objects are not named here.")


@functools.lru_cache(maxsize=None)
def stale_jobs(object):
    """{job: its results} of an object's jobs that their records have done anew.

    Looked at once, since an object's jobs are not planned one after another, and records of thousands fill the memory.
    """
    records, found = Provenance(f"{RESULTS}/{object}"), {}
    for name in (*METHODS, "export"):
        pattern = JOBS.get(name, name)
        parts = (
            SPLITS
            if "{split}" in pattern
            else FORMATS if "{format}" in pattern else [None]
        )
        for part in parts:
            job = pattern.format(split=part, format=part)
            reason = job in records.records and records.stale(
                job, parameters_of(name, object, part)
            )
            if reason:
                tell(f"object {object}: {job} is made anew: {reason}")
                found[job] = [
                    f"{RESULTS}/{object}/{path}"
                    for path in records.records[job]["outputs"]
                ]
    return found


def fit(name):
    """The input function that has a job of the rule `name` done anew where its record tells what times do not.

    It gives no input: Snakemake, while it plans, is told to force the job.
    """

    def force_if_stale(wildcards):
        if workflow.is_main_process:
            if not workflow.dryrun:
                running()
            job = JOBS.get(name, name).format(**wildcards)
            workflow.dag.forcefiles.update(stale_jobs(wildcards.object).get(job, ()))
        return []

    return force_if_stale
