# What one does with this tree. `make` lists the targets.
#
# Everything is installed into a virtual environment of its own (VENV), with the versions of constraints.txt;
# nothing outside the tree is changed. A second run installs only when pyproject.toml or constraints.txt changed.
#
#   make run                     set up, then the demonstration
#   make test ARGS="-k session"  set up, then part of the tests
#   make PYTHON=python3.12 …     another interpreter (3.11 or later)

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=

CLIENTS      := .venv-clients
NODE_MODULES := tests/outside/node_modules

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt

# Install this tree, with the extras named in $(1). pip compiles one module after the other, compileall takes every core;
# tests of packages are not run here, and a module of torch that wants Python 3.12 does not compile with 3.11. PyTorch is
# most of the download: the first time takes minutes.
define install
	$(PIP) --no-compile --editable '.$(1)'
	@$(BIN)/python -W ignore -m compileall -qq -j 0 -x /tests/ $(VENV)/lib || true
endef

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

.PHONY: help run test clients check lint types layers units microphone faults bench edgebox clean

help: ## show this list
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

run: $(VENV)/.installed ## set up, then run recorded speech through a daemon in real time and watch the captions
	$(BIN)/streamer demo $(ARGS)

# A file is one process's, since what a file sets up is costly; tests/conftest.py says which files come first. Two more
# processes than there are cores, for many tests wait for speech to be over. A process has one core for its arithmetic:
# libraries that each start a thread for every core would wait for one another. Compiled code is kept, since daemons
# are started by the hundred. ARGS="-n0" runs everything in one process.
PROCESSES = $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 2 )))
test: $(VENV)/.installed-test ## set up, then run the tests, several at once
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest \
	  --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

# Environments of programs that are not ours, for tests/test_outside_clients.py. What cannot be had here, be it node, a
# release for this Python or the network, is said, and its tests skip.
clients: ## set up the clients people have (OpenAI, Deepgram, LiveKit, Pipecat; Python and JavaScript), for their tests
	@for one in $(CLIENTS)/.installed $(CLIENTS)-older/.installed $(NODE_MODULES)/.installed; do \
	  $(MAKE) --no-print-directory $$one || echo "clients: $${one%/*} could not be set up; its tests will skip" >&2; \
	done

check: lint types layers units ## style, types, layers and unit files

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-test
	$(BIN)/mypy

layers: $(VENV)/.installed-test
	$(BIN)/lint-imports

# `verify` wants the program of ExecStart to exist, so it is shown a copy that names this environment's.
units: $(VENV)/.installed-test
	@command -v systemd-analyze >/dev/null \
	  || { echo "units: not checked, systemd-analyze is missing (Debian and Ubuntu: apt install systemd)"; exit 0; }; \
	folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	cp systemd/streamer.socket systemd/streamer-wyoming.socket "$$folder"; \
	sed 's#/opt/streamer/.venv/bin/#$(abspath $(BIN))/#' systemd/streamer.service > "$$folder/streamer.service"; \
	systemd-analyze verify --man=no "$$folder/streamer.service" "$$folder/streamer.socket" "$$folder/streamer-wyoming.socket"; \
	systemd-analyze security --no-pager --offline=true --threshold=20 "$$folder/streamer.service" | tail -n 1; \
	cp -R systemd/streamer.service.d "$$folder"; \
	systemd-analyze verify --man=no "$$folder/streamer.service"; \
	echo "with a microphone:"; \
	systemd-analyze security --no-pager --offline=true --threshold=20 "$$folder/streamer.service" | tail -n 1

microphone: $(VENV)/.installed-test ## unplug, stall, kill and starve a microphone of PulseAudio under a real daemon
	$(BIN)/python -m pytest -s tests/microphone_faults.py $(ARGS)

faults: $(VENV)/.installed-test ## do to a daemon what docs/reliability.md says, half an hour; make faults ARGS="A B4 --seed 7" a part
	$(BIN)/python -m tests.faults $(ARGS)

bench: $(VENV)/.installed-bench ## measure delays, drafts, load, engines, whole recordings; writes benchmarks/results/
	$(BIN)/python -m benchmarks.streaming
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.drafts
	$(BIN)/python -m benchmarks.reuse
	$(BIN)/python -m benchmarks.load
	$(BIN)/python -m benchmarks.engines
	$(BIN)/python -m benchmarks.long_form
	$(BIN)/python -m benchmarks.soak

edgebox: $(VENV)/.installed-test ## run docs/edge-box.md in a fresh Debian in ROOT, as root; needs debootstrap and a network
	$(BIN)/python -m tests.edge_box --root $(or $(ROOT),runs/edge-box) $(ARGS)

clean: ## remove the environments and every cache
	rm -rf $(VENV) $(CLIENTS) $(CLIENTS)-older $(NODE_MODULES) *.egg-info build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The pip that comes with Python 3.11 takes half as long again.
$(VENV)/.created:
	@command -v $(PYTHON) >/dev/null \
	  || { echo "$(PYTHON) is missing: install Python 3.11 or later, or name one with make PYTHON=…" >&2; exit 1; }; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1): name another with make PYTHON=…" >&2; exit 1; }; \
	$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "$(PYTHON) cannot make virtual environments (Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }; \
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV); \
	$(PIP) --quiet --upgrade pip || echo "pip could not be upgraded: installing takes longer" >&2; \
	touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	$(call install,)
	@touch $@

$(VENV)/.installed-test: $(VENV)/.created pyproject.toml constraints.txt
	$(call install,[test])
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-bench: $(VENV)/.created pyproject.toml constraints.txt
	$(call install,[bench])
	@touch $@ $(VENV)/.installed

$(CLIENTS)/.installed: tests/outside/newer.txt
$(CLIENTS)-older/.installed: tests/outside/older.txt
$(CLIENTS)/.installed $(CLIENTS)-older/.installed:
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --disable-pip-version-check --quiet --no-compile --requirement $<
	@touch $@

$(NODE_MODULES)/.installed: tests/outside/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing (Debian and Ubuntu: apt install npm)" >&2; exit 1; }
	npm ci --prefix $(dir $<) --no-audit --no-fund --ignore-scripts --loglevel error
	@touch $@
