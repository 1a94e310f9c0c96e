# What a reader types. Every target sets up what it needs, once: a stamp below .venv says what is
# done, and is made again when the file it was made from changes.

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
READY := $(STAMPS)/package

# Name one to have it used: make demo PYTHON=/opt/python3.12/bin/python3
PYTHON ?=
CANDIDATES := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python)

# More arguments for pytest and the benchmark: make test ARGS="tests/kinds -x"
ARGS ?=

# Processes that share the whole suite. Chosen tests run in one: the start of more takes longer.
WORKERS ?= 2

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

.PHONY: help demo test chromium bench gates lint format schemas reference clean

help: ## Show this.
	@echo "make demo       set up, then show a commit on its way to a real control plane"
	@echo "make test       set up, check the code, run all tests"
	@echo "make bench      set up, then measure against a real API server"
	@echo "make gates      set up, then simulate how often gates err, for docs/gates.md"
	@echo "make lint       check style, types and the direction of imports"
	@echo "make format     put the code into its form"
	@echo "make schemas    generate schemas/ from the kinds"
	@echo "make reference  generate docs/kinds.md and docs/settings.md from the models"
	@echo "make clean      remove what was made here, but not the cached control plane"

demo: $(READY)
	@$(BIN)/fairlead demo $(ARGS)

test: lint chromium
	@$(BIN)/python -m pytest $(or $(ARGS),-n $(WORKERS))

# The tests of the status page drive one. Without, they are skipped and say how to get it.
chromium:
	@for name in "$$FAIRLEAD_CHROMIUM" chromium chromium-browser google-chrome-stable google-chrome; do \
	  if [ -n "$$name" ] && command -v "$$name" >/dev/null 2>&1; then exit 0; fi; \
	done; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then exit 0; fi; \
	export DEBIAN_FRONTEND=noninteractive; \
	echo "installing Chromium with apt-get, for the tests of the status page: about 1 minute"; \
	if apt-get -qq update >/dev/null 2>&1 && \
	  apt-get -qq install --no-install-recommends chromium >/dev/null 2>&1; then \
	  echo "  installed"; \
	else \
	  echo "  apt-get could not install it, so these tests will be skipped"; \
	fi

bench: $(READY)
	@$(BIN)/python -m bench $(ARGS)

gates: $(READY)
	@$(BIN)/python -m bench.gates $(ARGS)

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(READY)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

schemas: $(READY)
	@$(BIN)/python -m reconciler.surfaces.schema_files schemas

reference: $(READY)
	@$(BIN)/python -m scripts.write_reference

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf .coverage build dist
	find reconciler tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(STAMPS)/environment:
	@set -e; found=; \
	for python in $(CANDIDATES); do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    found=$$python; break; \
	  fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "no Python 3.11 or newer among: $(CANDIDATES)" >&2; \
	  echo "install one, or name one: make demo PYTHON=/path/to/python3.12" >&2; \
	  exit 1; \
	fi; \
	if ! "$$found" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
	  echo "$$found cannot make virtual environments: its module venv or ensurepip is missing" >&2; \
	  echo "on Debian and Ubuntu: apt install python3-venv" >&2; \
	  exit 1; \
	fi; \
	if ! command -v git >/dev/null 2>&1; then \
	  echo "there is no git command; install Git" >&2; \
	  exit 1; \
	fi; \
	echo "making $(VENV) with $$("$$found" --version)"; \
	"$$found" -m venv $(VENV); \
	mkdir -p $(STAMPS); touch $@

$(STAMPS)/requirements: requirements.lock $(STAMPS)/environment
	@$(BIN)/python scripts/install_locked.py requirements.lock
	@touch $@

$(READY): pyproject.toml $(STAMPS)/requirements
	@$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@
