# Each target makes its own virtual environment from the locks when there is none. No other set-up is needed.
VENV ?= .venv
PYTHON_IN_VENV = $(VENV)/bin/python
# Tests wait more than they compute, so there are more workers than cores.
WORKERS ?= 4
PYTEST_ARGS ?=

# Where it is set, each of the hundreds of processes that the tests start would compile the package and its libraries again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo picture duet test unit hostile check bench format lock clean venv-sandbox venv-dev

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 16

demo: venv-sandbox ## gate two builds of the embedded service: one unchanged, one with a slower step (4 minutes)
	@$(VENV)/bin/velro-gate demo

picture: venv-sandbox ## draw the picture and the comment that README shows, from a run of the demonstration (4 minutes)
	@$(PYTHON_IN_VENV) -m scripts.picture

duet: venv-sandbox ## measure two builds of the embedded service side by side: the head build's authorization step is slower (8 minutes)
	@VENV=$(VENV) scripts/duet-on-sandbox.sh $(DUET_ARGS)

test: venv-dev ## run the tests; installs the servers that they need if it may
	@scripts/test-services.sh
	@$(PYTHON_IN_VENV) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

hostile: venv-dev ## run the tests of attacks and careless mistakes, and count them by group: the table of docs/security.md
	@scripts/test-services.sh
	@$(PYTHON_IN_VENV) -m pytest -n $(WORKERS) -m hostile $(PYTEST_ARGS)

unit: venv-dev ## run the tests that start nothing: within a minute
	@HYPOTHESIS_PROFILE=quick $(PYTHON_IN_VENV) -m pytest -n 2 --dist worksteal -m "not real and not act and not slow" $(PYTEST_ARGS)

check: venv-dev ## lint, types, import contracts, shell scripts, workflows, schema files
	@VENV=$(VENV) scripts/check.sh

bench: venv-dev ## measure speed and memory, print each figure next to its target
	@$(PYTHON_IN_VENV) -m benchmarks $(BENCH_ARGS)

format: venv-dev ## format the Python files
	@$(VENV)/bin/ruff check --fix --quiet .
	@$(VENV)/bin/ruff format .

lock: ## write requirements/*.txt from pyproject.toml; 'make lock LOCK_ARGS=--upgrade' takes the newest
	@scripts/lock.sh $(LOCK_ARGS)

clean: ## remove everything that was made here, virtual environments and results included
	@rm -rf $(VENV) .venv-lock .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache velro-results build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv-sandbox:
	@VENV=$(abspath $(VENV)) scripts/setup-venv.sh sandbox

venv-dev:
	@VENV=$(abspath $(VENV)) scripts/setup-venv.sh dev
