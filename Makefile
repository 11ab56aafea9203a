# obj2ngp: `make demo` and `make test` install what they need, then run; the next time they only run.

PYTHON ?= python3.11
WORKFLOW := .venv/installed
BLENDER := .venv-blender/installed

.PHONY: help demo test test-slurm test-blenders lint docs hashes lock
.DELETE_ON_ERROR:

help:
	@echo "make demo           render, train and show the demo objects"
	@echo "make test           run the tests"
	@echo "make test-slurm     run the workflow on a one-node SLURM (installs slurm-wlm as root)"
	@echo "make test-blenders  render with the other supported versions of Blender"
	@echo "make lint           check the workflow and the Python files"
	@echo "make docs           write the configuration's schema and tables from its declarations"
	@echo "make hashes         say that changed programs give the results that they gave"
	@echo "make lock           pin the packages of requirements/*.in anew (needs uv)"

demo: $(WORKFLOW) $(BLENDER)
	.venv/bin/snakemake --directory demo --cores all
	@echo
	@echo "GIFs:  demo/results/*/orbit.gif"
	@echo "Page:  demo/results/gallery/index.html"

test: $(WORKFLOW) $(BLENDER)
	.venv/bin/python -m pytest

test-slurm: $(WORKFLOW) $(BLENDER)
	setup/system_packages.sh slurm-wlm munge
	.venv/bin/python -m pytest -m slurm

test-blenders: $(WORKFLOW) $(BLENDER)
	.venv/bin/python -m pytest -m blenders

lint: $(WORKFLOW)
	.venv/bin/snakemake --directory demo --lint
	.venv/bin/snakefmt --check Snakefile rules
	.venv/bin/ruff check

$(WORKFLOW): requirements/workflow.in requirements/workflow.lock
	setup/python_environment.sh $(PYTHON) .venv workflow
	@touch $@

$(BLENDER): requirements/blender.in requirements/blender.lock
	setup/python_environment.sh $(PYTHON) .venv-blender blender
	setup/blender_libraries.sh .venv-blender/bin/python
	@touch $@

docs: $(WORKFLOW)
	PYTHONPATH=workflow_scripts .venv/bin/python -m obj2ngp.workflow.reference config

hashes: $(WORKFLOW)
	.venv/bin/python tests/program_hashes.py

lock:
	for name in workflow blender; do \
	    uv pip compile --quiet --upgrade --python-version 3.11 --no-annotate \
	        --custom-compile-command "make lock" requirements/$$name.in \
	        --output-file requirements/$$name.lock || exit 1; \
	done
