# Kubernetes by Hand. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The first Python of 3.11 or newer that really starts; PYTHON=... decides otherwise.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
  $$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
NBVAL := $(PY) -m pytest --nbval --nbval-current-env --nbval-cell-timeout=240 --timeout=600 --nbval-sanitize-with=sanitize.cfg
CHAPTERS ?= book
export PYTHONHASHSEED = 0
export JUPYTER_PLATFORM_DIRS = 1

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# ---- set-up: one virtual environment, made by uv from the pins in constraints.txt
$(VENV)/.ready-%: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "This book needs Python 3.11 or newer. Install it, or name one: make PYTHON=/path/to/python3.12 …"; exit 1; }
	@test -x $(PY) || { echo "… a virtual environment in $(VENV), with $(PYTHON)"; $(PYTHON) -m venv $(VENV); }
	@test -x $(BIN)/uv || $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	@echo "… installing what '$*' needs"
	@$(BIN)/uv pip install --quiet --python $(PY) -c constraints.txt -e '.[$*]'
	@$(BIN)/bookkit guard >/dev/null
	@touch $@

# In a container one is often root, and Jupyter wants to be told that this is meant.
.PHONY: lab
lab: $(VENV)/.ready-lab ## set up, say what this machine can run, and open JupyterLab at the first chapter
	@$(BIN)/jupyter labextension disable --level=sys_prefix @jupyterlab/apputils-extension:announcements >/dev/null 2>&1
	@$(BIN)/bookkit doctor
	@echo; echo "JupyterLab opens at the first chapter. No browser here? Open the address that it prints. Ctrl-C ends it."
	@$(BIN)/jupyter lab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/book/00-start.ipynb \
	  $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB_FLAGS)

.PHONY: doctor
doctor: $(VENV)/.ready-lab ## what this machine can run, and what would make it run more
	@$(BIN)/bookkit doctor

# ---- tests
.PHONY: test
test: lint test-code test-chapters ## everything that decides whether a change is good

.PHONY: lint
lint: $(VENV)/.ready-test ## ruff and mypy over package, tests and chapters
	@echo "… ruff and mypy"
	@$(BIN)/bookkit lint

.PHONY: test-code
test-code: $(VENV)/.ready-test ## gates, unit, behavior, seat and fault tests
	@$(BIN)/bookkit doctor
	@$(PY) -m genuine session -- $(PY) -m pytest -n 2 --dist loadgroup -q -rs tests --ignore=tests/pages $(PYTEST_FLAGS) \
	  $(if $(SECOND_LOOK),|| $(PY) -m genuine session -- $(PY) -m tests.again code)

.PHONY: test-chapters
test-chapters: $(VENV)/.ready-test ## run every chapter and compare with the stored outputs (CHAPTERS=book/05-store.ipynb for one)
	@$(PY) -m genuine session -- $(NBVAL) -n 2 --dist loadfile -q -rs $(CHAPTERS) \
	  $(if $(SECOND_LOOK),|| $(PY) -m genuine session -- $(PY) -m tests.again chapters)

.PHONY: behaviour
behaviour: $(VENV)/.ready-test ## the behavior suite against TARGET=tiny|genuine|kind|kubeconfig:CONTEXT
	@$(PY) -m pytest tests/behaviour --target $(or $(TARGET),tiny) -q

.PHONY: storages
storages: $(VENV)/.ready-test ## the whole behavior suite with tiny's objects in a log, in our store over gRPC, and in a genuine etcd
	@$(PY) -m genuine session -- $(PY) -m pytest -n 2 --dist loadgroup -q -rs tests/behaviour \
	  --storage log --storage grpc --storage etcd

.PHONY: seats
seats: $(VENV)/.ready-test ## every seat tiny and genuine in turn, in all sixteen combinations of one living cluster (long)
	@VOYAGE=all $(PY) -m genuine session -- $(PY) -m pytest -q tests/seats/test_ship.py

.PHONY: soak
soak: $(VENV)/.ready-test ## the chapters ten times in a row with both cores busy (long)
	@$(BIN)/bookkit soak --times $(or $(TIMES),10)

.PHONY: faults
faults: $(VENV)/.ready-test ## kill the store under load a thousand times, and check what it remembers (ROUNDS=…)
	@$(PY) -m tests.faults.killed --rounds $(or $(ROUNDS),1000)

.PHONY: fuzz
fuzz: $(VENV)/.ready-test ## 100,000 generated requests, from our OpenAPI documents and by changing real ones (SEED=…)
	@$(PY) -m tests.faults.schemas --examples 10 --seed $(or $(SEED),1)
	@$(PY) -m tests.faults.generated --requests 95000 --seed $(or $(SEED),1)

.PHONY: day
day: $(VENV)/.ready-test ## a simulated day with 100 nodes and 1,000 pods, full of failures, from SEED=… (SIZE=hour SEEDS=200 for many shorter ones)
	@$(PY) -m bookkit.simulation --size $(or $(SIZE),day) --first $(or $(SEED),1) --seeds $(or $(SEEDS),1)

.PHONY: bench
bench: $(VENV)/.ready-test ## measure tiny beside genuine, and write the tables of the chapters
	@$(PY) -m tests.bench

# ---- the book
.PHONY: refresh
refresh: $(VENV)/.ready-test ## run chapters and store their outputs (CHAPTERS=… for some)
	@$(BIN)/bookkit weave $(CHAPTERS)
	@$(PY) -m genuine session -- $(BIN)/bookkit refresh $(CHAPTERS)

.PHONY: book
book: $(VENV)/.ready-book $(VENV)/.ready-test ## build the HTML pages into _build/html, warnings are errors
	@$(PY) -m bookkit vendor
	@$(BIN)/jupyter-book build . --warningiserror --keep-going --quiet
	@$(PY) -m bookkit pages _build/html
	@echo "The book: _build/html/index.html"

.PHONY: check-pages
check-pages: book ## open every page in headless Chromium: console, requests, width, accessibility
	@$(PY) -m pytest -q -n 2 tests/pages

.PHONY: look
look: book ## the same, and a picture of every page, wide and narrow, light and dark, in _build/look
	@$(PY) -m pytest -q tests/pages --pages-screenshots _build/look

# ---- housekeeping
.PHONY: lock
lock: $(VENV)/.ready-test ## pin every package anew in constraints.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11.0 --all-extras --upgrade \
	  --no-annotate --no-header --no-emit-index-url --no-emit-package kubernetes-by-hand pyproject.toml -o constraints.txt

.PHONY: clean
clean: ## leave the clone as it was
	@if [ -x $(PY) ]; then $(PY) -m genuine clean || true; fi
	@rm -rf $(VENV) _build .pytest_cache .mypy_cache .ruff_cache .coverage* *.egg-info book/_static/vendor
	@find . -name __pycache__ -o -name .ipynb_checkpoints | xargs rm -rf
