# Every target makes .venv by itself when it is missing or older than what it is made from.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.made
# Tests wait more than they compute: three processes, each with servers of its own, fill two cores.
PROCESSES ?= -n 3 --dist loadfile
THREADS := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

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
	$(THREADS) $(BIN)/python -m pytest -m "not slow" $(PROCESSES) $(ARGS)

.PHONY: test-all
test-all: $(STAMP) lint  ## the same with the slow tests
	$(THREADS) $(BIN)/python -m pytest $(PROCESSES) $(ARGS)

.PHONY: unit
unit: $(STAMP)  ## unit tests alone, in seconds
	$(THREADS) $(BIN)/python -m pytest tests/unit -m "not slow" -n 2 $(ARGS)

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

.PHONY: quality
quality: $(STAMP)  ## train on MovieLens-1M and rank each user's last film; writes build/quality.json (ARGS="--data-dir DIR --minutes 10 --seeds 0 1 2 --max-length 200")
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/quality.py $(ARGS)

.PHONY: chaos
chaos: $(STAMP)  ## kill, freeze and cut off workers and servers at random; equal in the end? (ARGS="--minutes 10 --seed 7")
	$(THREADS) $(BIN)/python tests/faults/chaos.py $(ARGS)

.PHONY: soak
soak: $(STAMP)  ## half an hour at 70 % of the highest rate with faults now and then, then a burst (ARGS="--minutes 30 --seed 7")
	$(THREADS) $(BIN)/python tests/faults/soak.py $(ARGS)

.PHONY: fuzz
fuzz: $(STAMP)  ## a million inputs for decode and checkpoints, guided by coverage (ARGS="--runs N --target T --seed S")
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[fuzz]'
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/run.py $(ARGS)

.PHONY: audit
audit: $(STAMP)  ## known vulnerabilities of the pinned dependencies; needs the package index's advisory service
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[audit]'
	$(BIN)/pip-audit --strict --no-deps --disable-pip --progress-spinner off --requirement constraints.txt $(ARGS)

.PHONY: clean
clean:  ## remove what the other targets made
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
