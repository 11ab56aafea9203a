# obj2ngp: `make demo`, `make check` and `make test` install what they need, then run; the next time they only run.

# The Python to look at first, of 3.11, 3.12 or 3.13; else the first on PATH.
export PYTHON ?=
WORKFLOW := .venv/installed
BLENDER := .venv-blender/installed

.PHONY: help demo check test test-slurm test-faults test-blenders lint docs hashes lock fuzz
.DELETE_ON_ERROR:

help:
	@echo "make demo           render, train and show the demo objects"
	@echo "make check          run the tests that take a minute together"
	@echo "make test           run the tests (as root, installs Chromium and SLURM for those that need them)"
	@echo "make test-slurm     run the workflow on a one-node SLURM (installs slurm-wlm as root)"
	@echo "make test-faults    harm small projects a hundred times: kill, fill, lose, swap; a plain rerun mends each"
	@echo "make test-blenders  render with the other supported versions of Blender"
	@echo "make fuzz           feed the readers what a fuzzer makes of good files, for an hour"
	@echo "make lint           check the workflow, the format and the types"
	@echo "make docs           write the configuration's schema and tables, and build the documentation's pages"
	@echo "make hashes         say that changed programs give the results that they gave"
	@echo "make lock           pin the packages of requirements/*.in anew"
	@echo "make PYTHON=/path/to/python3.12 ...  takes that Python"

demo: $(WORKFLOW) $(BLENDER)
	.venv/bin/snakemake --directory demo --cores all
	@echo
	@echo "GIFs:  demo/results/*/orbit.gif"
	@echo "Page:  demo/results/gallery/index.html"

check: $(WORKFLOW)
	.venv/bin/python -m pytest -m "not slow and not network and not system"

test: $(WORKFLOW) $(BLENDER)
	@[ "$$(id -u)" != 0 ] || setup/system_packages.sh chromium || echo "Tests in a real browser are skipped."
	.venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-slurm: $(WORKFLOW) $(BLENDER)
	setup/system_packages.sh slurm-wlm munge
	.venv/bin/python -m pytest -m slurm

# The trials follow from the seed: make test-faults SEED=2
test-faults: $(WORKFLOW) $(BLENDER)
	.venv/bin/python tests/faults.py --trials 100 --seed $(or $(SEED),1)

test-blenders: $(WORKFLOW) $(BLENDER)
	.venv/bin/python -m pytest -m blenders

fuzz:
	python=$$(setup/find_python.sh 3.11 3.12 3.13) && "$$python" -m venv .venv-fuzz
	.venv-fuzz/bin/pip install --quiet atheris==3.0.0 numpy==2.4.6 pillow==13.0.0
	for target in obj mtl transforms model set poses record table picture lattice; do \
	    .venv-fuzz/bin/python tests/fuzz.py $$target -max_total_time=360 || exit 1; \
	done

lint: $(WORKFLOW)
	.venv/bin/python -m pytest tests/test_style.py

$(WORKFLOW): requirements/workflow.in requirements/workflow.lock
	python=$$(setup/find_python.sh 3.11 3.12 3.13) && setup/python_environment.sh "$$python" .venv workflow
	PYTHONPATH=workflow_scripts .venv/bin/python -m obj2ngp.ngp.install
	PYTHONPATH=workflow_scripts .venv/bin/python -m obj2ngp.surface.light
	@touch $@

$(BLENDER): requirements/blender.in requirements/blender.lock
	setup/blender_environment.sh .venv-blender
	@touch $@

docs: $(WORKFLOW)
	PYTHONPATH=workflow_scripts .venv/bin/python -m obj2ngp.workflow.reference config
	.venv/bin/mkdocs build --quiet
	@echo "Pages:  site/index.html"

hashes: $(WORKFLOW)
	.venv/bin/python tests/program_hashes.py

lock:
	for name in workflow blender uv; do \
	    setup/uv.sh pip compile --quiet --upgrade --universal --fork-strategy fewest --python-version 3.11 \
	        --generate-hashes --no-annotate --custom-compile-command "make lock" requirements/$$name.in \
	        --output-file requirements/$$name.lock || exit 1; \
	done
