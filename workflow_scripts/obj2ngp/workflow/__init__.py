"""Objects, configuration and graphics cards, for the rules: runs in Snakemake's own Python."""
