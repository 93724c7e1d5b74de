# `make` alone prints the targets. Every target does its own set-up.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
ARGS   ?=

.PHONY: help setup demo sweep pipeline train-demo up deploy status down test test-fast test-stack test-faults test-moto faults bench gpu lint format clean

help: ## Print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with the pinned versions (the other targets do this by themselves)

$(READY): pyproject.toml infra/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "PYTHON=$(PYTHON): Python 3.11 or newer is needed"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "PYTHON=$(PYTHON): has no venv module (on Debian: apt install python3-venv)"; exit 2; }
	@echo "installing the pinned versions into $(VENV) (some minutes the first time)"
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c infra/constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY) ## Draw faces, put them on S3, subset and edit them through Prefect on Ray, show the result
	@$(BIN)/attgan demo

sweep: $(READY) ## Fine-tune over a search space: on drawn faces here, or ARGS="--dataset s3://… --preset lambda1"
	@$(BIN)/attgan sweep $(ARGS)

pipeline: $(READY) ## Subset, align, sweep and edit in a row: on drawn faces here, or with ARGS="--source …"
	@$(BIN)/attgan pipeline $(ARGS)

train-demo: $(READY) ## Train on drawn faces: from scratch, aligned, fine-tuned for eyeglasses, measured (minutes)
	@$(BIN)/attgan train-demo

up: $(READY) ## Start the local stack: Prefect server and UI, S3 server, Ray head, a worker for deployments
	@$(BIN)/attgan up

deploy: $(READY) ## Register the flows as deployments with that Prefect server, or yours (PREFECT_API_URL)
	@$(BIN)/attgan deploy $(ARGS)

status: $(READY) ## Show what runs, where, and how healthy it is
	@$(BIN)/attgan status

down: $(READY) ## Stop the local stack
	@$(BIN)/attgan down

test: $(READY) lint ## Lint, types and every test that runs without a GPU
	@$(MAKE) --no-print-directory --jobs=3 --output-sync=line test-fast test-stack test-faults

test-fast: $(READY) ## The unit tests alone
	@$(BIN)/python -u -m pytest -m "not stack and not fault and not long"

test-stack: $(READY) ## The tests with real servers
	@$(BIN)/python -u -m pytest -m "stack and not fault and not long"

test-faults: $(READY) ## Those that kill processes or break the network on purpose
	@$(BIN)/python -u -m pytest -m "fault and not long"

test-moto: $(READY) ## The integration tests with moto as the S3 server, a second implementation of the API
	@$(BIN)/python -u -m pytest tests/integration --s3 moto

faults: $(READY) ## The fault campaign: hundreds of faults injected into edits, and what each has cost (half an hour)
	@$(BIN)/python -m tests.campaign $(ARGS)
	@$(BIN)/python -u -m pytest -m long

bench: $(READY) ## Measure storage, codec, generator and the flows, each beside its ceiling
	@$(BIN)/python -m infra run --free-ports -- $(BIN)/python -m tests.benchmarks

gpu: $(READY) ## Make use of a GPU in ten minutes: an edit's and a training's rates (ARGS="--train 8", ARGS="--pack FOLDER")
	@$(BIN)/python -m tests.benchmarks.gpu $(ARGS)

lint: $(READY) ## Format check, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(READY) ## Rewrite the sources in the project's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## Remove everything that was made here (the stack is stopped first)
	@test ! -x $(BIN)/attgan || $(BIN)/attgan down
	@rm -rf $(VENV) .local .*cache .hypothesis
