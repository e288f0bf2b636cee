# Two commands are enough on a fresh machine: `make demo` and `make test`. `make` alone lists the others.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Override on the command line, for instance: make test PYTHON=python3.12 WORKERS=4
# By default the first of these that is new enough; with none, python3, to say what is wrong with it.
PYTHONS := python3 python3.11 python3.12 python3.13 python3.14
PYTHON ?= $(or $(shell for each in $(PYTHONS); do \
  "$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$each" && break; done),python3)
# Tests wait for servers and processes more than they compute.
WORKERS ?= 4
ARGS ?=

BIN := .venv/bin
STAMP := .venv/.installed
CHECKED := $(wildcard docstore upgraders tests benchmarks)

# Relative on purpose: pip splits this variable at spaces, and the folder's own path may hold some.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The tests start hundreds of processes; each would compile everything that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install lint format types layers mongod test test-thorough browser demo drill bench clean

help: ## Show the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: $(STAMP) ## Make .venv with everything in it (again only when the dependencies changed)

$(STAMP): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "docstore needs Python 3.11 or later; '$(PYTHON)' is not on PATH. Try: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "docstore needs Python 3.11 or later; '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1). Try: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments. Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@"$(BIN)/python" -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear .venv
	@echo "Installing into .venv; this takes about half a minute."
	@"$(BIN)/python" -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch "$@"

lint: install ## Check style and format (ruff)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: install ## Bring the format and the import order in line
	@$(BIN)/ruff check --select I --fix .
	@$(BIN)/ruff format .

types: install ## Check the types (mypy --strict, and pyright on tests/typing)
	@$(BIN)/mypy --strict $(CHECKED)

	@test ! -d tests/typing || $(BIN)/pyright --warnings

layers: install ## Check who imports whom (import-linter)
	@$(BIN)/lint-imports

mongod: install ## Check that a private mongod can run here
	@$(BIN)/python -m docstore.embedded

test: lint types layers mongod ## Run every check and the whole test suite
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)

test-thorough: lint types layers mongod ## The same, with the long version of the property tests
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal --thorough $(ARGS)

# What no pip can install, the system's package manager does.
browser: install ## Look at the HTML report in a real browser; pictures in build/browser
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,browser]'
	@$(BIN)/python tests/browser/browsers.py
	@$(BIN)/pytest tests/browser/report_in_a_browser.py $(ARGS)

demo: install ## The whole story on real documents, on a private mongod
	@$(BIN)/docstore demo $(ARGS)

drill: install ## Two releases, a flip and the way back, before each release
	@$(BIN)/docstore drill city $(ARGS)

bench: install ## Print what reading, writing and backfilling cost
	@for benchmark in benchmarks/*.py; do echo "== $$benchmark"; $(BIN)/python "$$benchmark" $(ARGS) || exit 1; done

clean: ## Remove .venv and every cache
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
