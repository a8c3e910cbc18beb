# Everything runs from a virtual environment of its own, installed from the hash-pinned lock.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest
# What needs more than Python has a target of its own.
APART  := cluster crash mutation roots system systemd terraform

.DEFAULT_GOAL := help
.PHONY: help setup demo picture check test test-cluster test-system test-crash test-mutants test-systemd test-roots test-terraform story bench hours lock generate clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## Make the virtual environment (Python 3.11 or newer)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Joinery needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

demo: $(STAMP)  ## The story of a queue that fills and empties, on this machine alone, in a minute and a half
	@$(BIN)/python -m agent demo

picture: $(STAMP)  ## Draw docs/images/demo.svg from what the demo prints
	CLICOLOR_FORCE=1 $(BIN)/python -m agent demo >docs/images/demo.ansi
	$(BIN)/python -m agent.sim.demo.picture <docs/images/demo.ansi >docs/images/demo.svg
	rm docs/images/demo.ansi

check: $(STAMP)  ## Formatting, lint, types, layers, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m agent.manifests --check
	$(BIN)/python -m agent.join.fixed --check

test: $(STAMP)  ## Everything that needs only Python
	$(PYTEST) -n 2 $(APART:%=--ignore=tests/%) tests

test-cluster: $(STAMP)  ## Against a real control plane (built once, about eight minutes)
	$(BIN)/python tests/cluster/build.py
	$(PYTEST) tests/cluster

test-system: $(STAMP)  ## Against sshd, shellcheck and systemd's tools
	$(PYTEST) tests/system

test-crash: $(STAMP)  ## The real daemon killed at each of its effects, on the sandbox (about ten minutes)
	$(PYTEST) -n 5 tests/crash

test-mutants: $(STAMP)  ## The engine without each of Karpenter's rules: whether the rule's tests notice
	$(PYTEST) -n 2 tests/mutation

test-systemd: $(STAMP)  ## The units, started by a systemd of their own in namespaces (needs root and cgroup v2)
	$(PYTEST) tests/systemd

test-roots: $(STAMP)  ## install.sh in clean roots of Debian and Ubuntu (needs root, debootstrap and their mirrors)
	$(PYTEST) tests/roots

test-terraform: $(STAMP)  ## Terraform's modules against the schema of the AWS provider (needs terraform 1.9 or newer)
	$(PYTEST) tests/terraform

story: $(STAMP)  ## The README's story on a real control plane, told as it happens
	$(BIN)/python tests/cluster/build.py
	$(PYTEST) -s -q tests/cluster/test_story.py

bench: $(STAMP)  ## Measure the budgets of docs/ against a real control plane
	$(BIN)/python tests/cluster/build.py
	$(BIN)/python -m benchmarks

hours: $(STAMP)  ## 10,000 hours of clusters in which things go wrong, in virtual time (about half an hour)
	$(BIN)/python -m benchmarks.hours

generate: $(STAMP)  ## Write the CRDs and their reference documentation from agent/manifests.py, and Terraform's scripts
	$(BIN)/python -m agent.manifests --write
	$(BIN)/python -m agent.join.fixed --write

UV_COMPILE := $(PYTHON) -m uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header

lock:  ## Compile both locks anew: of development, and of what a control-plane node installs
	$(PYTHON) -m pip install --quiet uv
	$(UV_COMPILE) --extra test --extra check pyproject.toml -o requirements.lock
	$(UV_COMPILE) --constraint requirements.lock pyproject.toml -o requirements-runtime.lock

clean:  ## Remove what the targets above made in this folder
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
