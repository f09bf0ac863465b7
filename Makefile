# Two commands set everything up on a bare machine with Python 3.11 and make:
#   make demo    the main example, from nothing to a published model
#   make test    every check and test; CI runs exactly this
# `make help` lists the rest. Nothing is installed outside .venv.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest
PYTHON_DIRS := $(wildcard flyte_ray adapters tests examples benchmarks)
# How long `make chaos` keeps killing things, in seconds.
SOAK_S ?= 600

# How many random schedules of the log protocol `make simulate` plays.
SCHEDULES ?= 100000

.PHONY: help demo test check format bench bench-store bench-io bench-gpu differential simulate chaos scale gpu clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(VENV)/.installed-demo  ## install, then run examples/source_miner on an embedded Ray
	@$(BIN)/python examples/source_miner/workflow.py

test: $(VENV)/.installed-test check  ## install, then run all checks and tests
	@$(BIN)/python -m tests.lanes

check: $(VENV)/.installed-test  ## format, lint, types, import contracts
	@echo "== format"
	@$(BIN)/ruff format --check $(PYTHON_DIRS)
	@echo "== lint"
	@$(BIN)/ruff check $(PYTHON_DIRS)
	@echo "== types"
	@$(BIN)/mypy
	@echo "== import contracts"
	@$(BIN)/lint-imports --no-cache

format: $(VENV)/.installed-test  ## format the code and mend what can be mended
	@$(BIN)/ruff check --fix-only $(PYTHON_DIRS)
	@$(BIN)/ruff format $(PYTHON_DIRS)

bench: $(VENV)/.installed-test  ## measure against raw Ray
	@$(BIN)/python -m benchmarks

bench-store: $(VENV)/.installed-test  ## measure the record beside one object per event
	@$(BIN)/python -m benchmarks.store

bench-io: $(VENV)/.installed-test  ## a file of 5 GiB and a folder of 10,000 through tasks
	@$(BIN)/python -m benchmarks.io

bench-gpu: $(VENV)/.installed-test  ## prompts through a model on a GPU: a warm pool and other ways
	@$(BIN)/python -m benchmarks.gpu

differential: $(VENV)/.installed-test $(VENV)-flyte/.installed  ## the same scripts under Flyte itself
	@FLYTE_PYTHON=$(VENV)-flyte/bin/python $(PYTEST) tests/differential

simulate: $(VENV)/.installed-test  ## random schedules of the log protocol, and of compaction
	@FLYTE_RAY_SIMULATE=$(SCHEDULES) $(PYTEST) --timeout=0 \
	  tests/unit/store/test_protocol.py tests/unit/store/test_compaction.py

chaos: $(VENV)/.installed-test  ## kill processes for SOAK_S seconds and read the record after each
	@FLYTE_RAY_SOAK_S=$(SOAK_S) $(PYTEST) tests/chaos -m "chaos or soak" --timeout=0

# Exit code 5 of pytest: no test carries the mark yet.
scale: $(VENV)/.installed-test  ## thousands of actions in one run
	@$(PYTEST) tests -m scale --timeout=0 || [ $$? -eq 5 ]

gpu: $(VENV)/.installed-test  ## what needs a GPU
	@$(PYTEST) tests -m gpu --timeout=0 || [ $$? -eq 5 ]

clean:  ## remove .venv and everything built; the store is left alone
	rm -rf $(VENV) $(VENV)-flyte build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(PYTHON_DIRS) -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp per set of extras: pip runs again only when pyproject.toml changed. Editable, so that
# an edit of the source needs no second install.
$(VENV)/.installed-%: pyproject.toml | $(BIN)/python
	@echo "== installing flyte-ray[$*] into $(VENV) (a minute or two the first time)"
	@$(PIP) -e '.[$*]'
	@touch $@

# Flyte itself, apart from everything else: its dependencies must not decide ours.
$(VENV)-flyte/.installed: pyproject.toml
	@echo "== making $(VENV)-flyte with the package flyte"
	@$(PYTHON) -m venv $(VENV)-flyte
	@$(VENV)-flyte/bin/python -m pip install --quiet --disable-pip-version-check \
	  "$$($(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["differential"])')"
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "flyte-ray needs Python 3.11 or newer, this is %d.%d. Try: make PYTHON=/path/to/python3.11" % sys.version_info[:2])'
	@echo "== making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
