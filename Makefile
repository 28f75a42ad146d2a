# Every target makes .venv by itself when it is missing or older than what it is made from.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.made

.DEFAULT_GOAL := help

.PHONY: help
help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 16

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Kindred needs Python 3.11 or newer: make PYTHON=python3.12")'
	@echo 'Making .venv (torch is large; this takes some minutes the first time).'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $(STAMP)

.PHONY: demo
demo: $(STAMP)  ## the whole service on this machine, on a generated film shop (ARGS="--dataset ml-100k --data-dir DIR")
	$(BIN)/kindred demo $(ARGS)

.PHONY: test
test: $(STAMP) lint  ## lint, types, import rules, unit and integration tests
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

.PHONY: test-all
test-all: $(STAMP) lint  ## the same with the slow tests
	$(BIN)/python -m pytest $(ARGS)

.PHONY: unit
unit: $(STAMP)  ## unit tests alone, in seconds
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest tests/unit -m "not slow" -n 2 $(ARGS)

.PHONY: lint
lint: $(STAMP)  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(STAMP)  ## let ruff format and fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: bench
bench: $(STAMP)  ## measure events/s, freshness and memory; writes build/bench.json
	$(BIN)/python tests/benchmarks/bench.py $(ARGS)

.PHONY: clean
clean:  ## remove what the other targets made
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
