# `make` alone prints the targets. Every target does its own set-up.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# What the program needs, and what its tests and lint need besides
READY     := installed
READY_DEV := installed-dev

.DEFAULT_GOAL := help
ARGS   ?=

# The lanes of `make test`, one more side by side than there are cores: the two that start servers wait for much of their
# time. No more stacks are up than there are cores.
CORES  := $(shell nproc 2>/dev/null || echo 2)
LANES  := test-stack test-unit test-faults
# Beside another lane each line says whose it is; the one who marks them outlives Ctrl-C, for what the tests then say.
MARKED  = $(if $(IN_LANES),| (trap '' INT TERM; sed -u 's/^/$(@:test-%=%) | /'))
test-%: SHELL := /bin/bash
test-%: .SHELLFLAGS := -o pipefail -c

.PHONY: help $(READY) $(READY_DEV) setup demo sweep pipeline train-demo up deploy status down test test-all test-unit test-stack test-faults test-moto faults bench gpu lint format clean

help: ## Print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with the pinned versions (the other targets do this by themselves)

$(READY) $(READY_DEV): # each time, because it takes no time when all is there
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 7))' 2>/dev/null || \
	  { echo "PYTHON=$(PYTHON): Python 3.11 or newer is needed"; exit 2; }
	@$(PYTHON) -Es -m infra.install $(if $(filter $@,$(READY_DEV)),--dev) $(if $(filter file,$(origin PYTHON)),,--python $(PYTHON))

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
	@$(BIN)/attgan deploy $(if $(findstring --file,$(ARGS)),,--file infra/prefect.yaml) $(ARGS)

status: $(READY) ## Show what runs, where, and how healthy it is
	@$(BIN)/attgan status

down: $(READY) ## Stop the local stack
	@$(BIN)/attgan down

test: $(READY_DEV) lint ## Lint, types and the tests that every change must pass (PYTEST_ADDOPTS=--durations=20 shows the slowest)
	@$(MAKE) --no-print-directory --keep-going --jobs=$$(($(CORES) + 1)) IN_LANES=1 $(LANES)

test-all: export PYTEST_ADDOPTS += --durations=20
test-all: $(READY_DEV) ## Every test that runs without a GPU, one lane after the other, with the slowest of each (hours)
	@$(MAKE) --no-print-directory --keep-going --jobs=1 lint $(LANES) test-moto faults

test-unit: $(READY_DEV) ## The tests without servers
	@$(BIN)/python -u -m pytest -m "not stack and not fault and not long" $(MARKED)

test-stack: $(READY_DEV) ## The tests with real servers
	@$(BIN)/python -u -m pytest -m "stack and not fault and not long" $(MARKED)

test-faults: $(READY_DEV) ## Those that kill processes or break the network on purpose
	@$(BIN)/python -u -m pytest -m "fault and not long" $(MARKED)

test-moto: $(READY_DEV) ## The integration tests with moto as the S3 server, a second implementation of the API
	@$(BIN)/python -u -m pytest tests/integration --s3 moto

faults: $(READY_DEV) ## The fault campaign: hundreds of faults injected into edits, and what each has cost (half an hour)
	@$(BIN)/python -m tests.faults.campaign $(ARGS)
	@$(BIN)/python -u -m pytest -m long

bench: $(READY_DEV) ## Measure storage, codec, generator and the flows, each beside its ceiling
	@$(BIN)/python -m infra run --free-ports -- $(BIN)/python -m tests.benchmarks

gpu: $(READY) ## Make use of a GPU in ten minutes: an edit's and a training's rates (ARGS="--train 8", ARGS="--pack FOLDER")
	@$(BIN)/python -m tests.benchmarks.gpu $(ARGS)

lint: $(READY_DEV) ## Format check, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(READY_DEV) ## Rewrite the sources in the project's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## Remove everything that was made here (the stack is stopped first)
	@! $(BIN)/python -c "import infra.local.lifecycle" 2>/dev/null || $(BIN)/attgan down
	@rm -rf $(VENV) .local .*cache .hypothesis
