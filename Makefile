# `make` alone prints the targets. Every target installs what it needs first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Where this is set, as in many container images, each of the processes that a stack and its tests start would compile all
# that it imports again, which takes several times as long as its work.
unexport PYTHONDONTWRITEBYTECODE

# Two targets: what the program needs, and what its tests and lint need in addition.
READY     := installed
READY_DEV := installed-dev

.DEFAULT_GOAL := help
ARGS   ?=

# The groups of tests that `make test` runs in parallel, one more than there are cores: the two that start servers spend
# much of their time waiting. There are never more stacks up than cores.
CORES  := $(shell nproc 2>/dev/null || echo 2)
GROUPS_OF_TESTS  := test-stack test-unit test-faults
# When groups run in parallel, each line begins with the name of its group. The sed that adds it ignores Ctrl-C, so that
# the last lines of the tests are printed, too.
MARKED  = $(if $(IN_GROUPS),| (trap '' INT TERM; sed -u 's/^/$(@:test-%=%) | /'))
test-%: SHELL := /bin/bash
test-%: .SHELLFLAGS := -o pipefail -c

.PHONY: help $(READY) $(READY_DEV) setup demo sweep pipeline train-demo up deploy status down test test-all test-unit test-stack test-faults test-moto faults cluster-check bench gpu lint format clean

help: ## Print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with the pinned versions (the other targets do this themselves)

# These run each time. If everything is installed, that takes no time.
$(READY) $(READY_DEV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 7))' 2>/dev/null || \
	  { echo "error: [python-too-old] PYTHON=$(PYTHON): Python 3.11 or newer is needed"; exit 2; }
	@$(PYTHON) -Es -m infra.install $(if $(filter $@,$(READY_DEV)),--dev) $(if $(filter file,$(origin PYTHON)),,--python $(PYTHON))

demo: $(READY) ## Draw faces, put them on S3, make a dataset, edit the faces with Prefect on Ray, show the result
	@$(BIN)/attgan demo

sweep: $(READY) ## Fine-tune over a search space: on drawn faces here, or ARGS="--dataset s3://… --preset lambda1"
	@$(BIN)/attgan sweep $(ARGS)

pipeline: $(READY) ## Subset, align, sweep and edit in one run: on drawn faces here, or with ARGS="--source …"
	@$(BIN)/attgan pipeline $(ARGS)

train-demo: $(READY) ## Train on drawn faces: from scratch, align, fine-tune for eyeglasses, measure (minutes)
	@$(BIN)/attgan train-demo

up: $(READY) ## Start the local stack: Prefect server and UI, S3, Ray, a worker (ARGS="--database postgresql")
	@$(BIN)/attgan up $(ARGS)

deploy: $(READY) ## Register the flows as deployments with that Prefect server, or yours (PREFECT_API_URL)
	@$(BIN)/attgan deploy $(if $(findstring --file,$(ARGS)),,--file infra/prefect.yaml) $(ARGS)

status: $(READY) ## Show the services of the local stack, their addresses and health
	@$(BIN)/attgan status

down: $(READY) ## Cancel the runs that are at work, which resume later, and stop the local stack (ARGS="--force" does not wait)
	@$(BIN)/attgan down $(ARGS)

test: $(READY_DEV) ## Lint, types and the tests that every change must pass (PYTEST_ADDOPTS=--durations=20 shows the slowest)
	@$(MAKE) --no-print-directory --keep-going --jobs=$$(($(CORES) + 1)) IN_GROUPS=1 $(GROUPS_OF_TESTS) lint

test-all: export PYTEST_ADDOPTS += --durations=20
test-all: $(READY_DEV) ## Every test that runs without a GPU, one group after the other, with the slowest of each (hours)
	@$(MAKE) --no-print-directory --keep-going --jobs=1 lint $(GROUPS_OF_TESTS) test-moto faults

test-unit: $(READY_DEV) ## The tests without servers
	@$(BIN)/python -u -m pytest -m "not stack and not fault and not long and not cluster" $(MARKED)

test-stack: $(READY_DEV) ## The tests with real servers
	@$(BIN)/python -u -m pytest tests/integration -m "stack and not fault and not long" $(MARKED)

test-faults: $(READY_DEV) ## The tests that kill processes or break the network on purpose
	@$(BIN)/python -u -m pytest tests/faults tests/integration -m "fault and not long" $(MARKED)

test-moto: $(READY_DEV) ## The integration tests with moto as the S3 server, a second implementation of the API
	@$(BIN)/python -u -m pytest tests/integration --s3 moto

faults: $(READY_DEV) ## The fault campaign: injects hundreds of faults into edits, and reports what each has cost (half an hour)
	@$(BIN)/python -m tests.faults.campaign $(ARGS)
	@$(BIN)/python -u -m pytest -m long

# Its packages are not the developers' (pyproject.toml); where they cannot be installed, their checks are skipped.
# Machines are made of Linux namespaces. They end, with all that is theirs, when the first process of the outer ones ends.
OWN_NAMESPACES := unshare --net --mount --pid --fork --kill-child --mount-proc
cluster-check: $(READY_DEV) ## Check infra/cluster: schemas, the image (root or Docker), a cluster of machines (root); half an hour
	@$(BIN)/python -m pip install --quiet --constraint infra/constraints.txt --editable ".[cluster]" || true
	@$(BIN)/python -u -m pytest tests/unit/infra/cluster
	@$(BIN)/python -m tests.support.cluster_image $(ARGS)
	@$(if $(filter 0,$(shell id -u)),$(OWN_NAMESPACES)) $(BIN)/python -u -m pytest -m cluster -rs --capture=no tests/faults/test_machines.py

bench: $(READY_DEV) ## Measure storage, codec, generator and the flows, each with its ceiling
	@$(BIN)/python -m infra run --free-ports -- $(BIN)/python -m tests.benchmarks

gpu: $(READY) ## Measure the rates of an edit and a training on a GPU, in ten minutes (ARGS="--train 8", ARGS="--pack FOLDER")
	@$(BIN)/python -m tests.benchmarks.gpu $(ARGS)

lint: $(READY_DEV) ## Format check, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(READY_DEV) ## Rewrite the sources in the project's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## Remove everything that was made here, after stopping the stack
	@! $(BIN)/python -c "import infra.local.lifecycle" 2>/dev/null || $(BIN)/attgan down
	@rm -rf $(VENV) .local .*cache .hypothesis
