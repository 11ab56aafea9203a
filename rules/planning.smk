# What Snakemake would find out anew for every job.
import inspect

for each in workflow.rules:
    for item in (*each.input, *each.params):
        function = getattr(getattr(item, "_file", item), "callable", item)
        if inspect.isfunction(function):
            function.__signature__ = inspect.signature(function)
