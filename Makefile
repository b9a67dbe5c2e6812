# A fresh machine needs Python 3.11 to 3.13 (with venv), git and make; everything else is pinned and goes into .venv.

UV_VERSION := 0.13.8
BIN := .venv/bin
# The workflow's jobs call `python`, which must be .venv's.
ACTIVE := PATH="$(CURDIR)/$(BIN):$$PATH"
SNAKEMAKE := $(ACTIVE) $(BIN)/snakemake
PARALLEL := -n auto --maxprocesses 4 --dist worksteal
SUPPORTED := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))

# The first candidate that runs, is supported and can make a virtual environment. Override: make PYTHON=/path/to/python
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c '$(SUPPORTED)' >/dev/null 2>&1 && { command -v $$p; break; }; done)

.DEFAULT_GOAL := all
.PHONY: all venv cluster smoke test slow faults lint docs docs-test report site requirements environment clean help

all: smoke ## build .venv, and run the workflow at smoke scale
	@echo 'Done. Figures on toy data:  figures/smoke/     Comparison of this run:  results/comparison/smoke.md'
	@echo 'What replicates, and every run behind it, as pages (a minute):  make site'

venv: .venv/.installed ## build .venv from the pinned requirements

.venv/.installed: requirements.txt pyproject.toml
	@if $(BIN)/python -c 'import pip; $(SUPPORTED)' >/dev/null 2>&1; then exit 0; fi; \
	python='$(PYTHON)'; test -n "$$python" && "$$python" -c '$(SUPPORTED)' >/dev/null 2>&1 || { \
	  echo "error: no usable Python (>=3.11,<3.14, with venv and ensurepip) found; install one or give its path:" >&2; \
	  echo "  make PYTHON=/path/to/python3.12" >&2; exit 1; }; \
	echo "$$python -m venv --clear .venv"; "$$python" -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.txt
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

cluster: venv ## add the executor plugin for SLURM to .venv
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements.txt -r requirements-cluster.txt

smoke: venv ## every run, table and figure at smoke scale
	@echo 'Every table and figure on toy data (scale smoke): 8 minutes on 2 free cores. The number of trainings follows.'
	@$(SNAKEMAKE) --cores all

test: venv ## the test suite
	$(ACTIVE) $(BIN)/python -m pytest $(PARALLEL)

slow: venv ## the longer tests: learning, interruptions, the site in a browser
	$(ACTIVE) $(BIN)/python -m pytest -m "slow and not faults and not docs" --ignore tests/cluster $(PARALLEL) tests

faults: venv ## kills, full disks, damaged files, fuzzing: everything in docs/faults.md, which is rewritten
	@mkdir -p build
	EBREPLICATE_FAULTS_RECORD=build/faults.json $(ACTIVE) $(BIN)/python -m pytest -m "faults or not faults" tests/faults
	$(BIN)/python workflow/scripts/faults.py build/faults.json

lint: venv ## formatting, lint, types, spelling, and generated files up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/snakefmt --check Snakefile workflow
	$(SNAKEMAKE) --lint
	$(BIN)/python workflow/scripts/environment.py --check

docs: venv ## build/docs: the API reference, from the docstrings
	$(BIN)/python workflow/scripts/apidocs.py

docs-test: cluster ## run the documentation's commands, in a copy of this folder
	$(ACTIVE) $(BIN)/python -m pytest -m docs tests/docs

report: smoke ## report.zip: the self-contained report of what has been run
	$(SNAKEMAKE) --cores all --report report.zip

site: venv ## site/: the results as static pages, to be opened from disk
	$(BIN)/python -m ebreplicate site

requirements: venv ## resolve the requirements anew (newest versions that pyproject.toml allows), then environment.yml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	  --extra workflow --extra shrink --extra dev pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	  --extra workflow --extra cluster \
	  --constraint requirements.txt $$(sed -nE "/'nt'/!s/^([A-Za-z0-9._-]+)==.*/--no-emit-package \1/p" requirements.txt) \
	  pyproject.toml -o requirements-cluster.txt
	sed -i.old '/^# The following packages were excluded/,$$d' requirements-cluster.txt && rm requirements-cluster.txt.old
	$(BIN)/python workflow/scripts/environment.py

environment: venv ## rewrite environment.yml from requirements.txt
	$(BIN)/python workflow/scripts/environment.py

clean: ## remove caches and build products; results, figures, data and .venv stay
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis build report.zip
	find . -name .venv -prune -o -name .git -prune -o -name __pycache__ -type d -exec rm -rf {} +

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /  \1: /p' $(MAKEFILE_LIST)
