# From a fresh checkout to a painted movie (`make demo`) and to every test (`make test`); `make help` lists the rest.
#
# torch comes from the package index that pip is configured with. On Linux, PyPI serves the CUDA build, which also
# runs without a GPU but weighs some gigabytes; where there is no GPU, the CPU build saves the download:
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
# The pin in constraints.txt, torch==X.Y.Z, accepts either build.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV ?= .venv
INPUT ?= tests/media/harbour.mp4
STYLE ?= wheatfield
OUTPUT ?=
TORCH_INDEX ?=
PYTEST_ARGS ?=
QUICK := --quiet --no-header -p no:cacheprovider -m 'not slow and not blender'

# Blender as a Python module, for the tests of its extension: one environment for each file of pins, 0.9 GB each. They
# exist for Python 3.11 alone; elsewhere, and with `make test BLENDERS=`, those tests skip and say why.
BLENDER_PINS := tests/hosts/blender/environments
BLENDERS ?= $(basename $(notdir $(wildcard $(BLENDER_PINS)/*.txt)))
IMPASTO_BLENDER ?= build/blender

BIN := $(VENV)/bin
LINKS := build/typing/impasto
export INPUT STYLE OUTPUT
export IMPASTO_BLENDER := $(abspath $(IMPASTO_BLENDER))
INSIDE_BLENDER := $(patsubst %,$(IMPASTO_BLENDER)/%/.made,$(BLENDERS) $(if $(BLENDERS),client))
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The first of these that is 3.11 or newer and can make an environment; evaluated only when one must be made.
PYTHON ?= $(shell for candidate in python3.11 python3.12 python3.13 python3; do \
	"$$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& echo "$$candidate" && break; done)
INSTALL = $(BIN)/python -m pip install --quiet --constraint constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

# The compiler that builds the OpenFX plug-in for every system; 0.4 GB, so only `make ofx` installs it.
ZIG := ziglang==0.17.1

.PHONY: help demo test test-fast quick-server quick-others lint bench sbom ofx ofx-host clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 11

demo: $(VENV)/.server ## paint the sample clip, or your own: make demo [INPUT=my.mov] [STYLE=name] [OUTPUT=painted.mp4]
	@name=$$(basename -- "$$INPUT"); name=$${name%.*}; name=$${name//[^A-Za-z0-9._-]/_}; \
	output=$${OUTPUT:-build/demo/$$name.mp4}; sheet=$${output%.*}.sheet.png; \
	mkdir -p "$$(dirname -- "$$output")"; \
	"$(BIN)/impasto" render "$$INPUT" "$$output" --style "$$STYLE" --overwrite; \
	"$(BIN)/impasto" sheet "$$INPUT" "$$output" "$$sheet" --overwrite; \
	echo; echo "painted movie: $$output"; echo "contact sheet: $$sheet (plate above, result below)"

test: $(VENV)/.dev $(INSIDE_BLENDER) ## install what the tests need and run them all; PYTEST_ARGS='-k frame' narrows
	$(BIN)/pytest $(PYTEST_ARGS)

test-fast: $(VENV)/.dev ## the quick tests, without Blender, in two processes: under three minutes on two cores
	@$(MAKE) --no-print-directory --jobs 2 --keep-going quick-server quick-others

# Two halves of about the same length. They share no port, folder or file.
quick-server:
	$(BIN)/pytest $(QUICK) tests/server tests/compat

quick-others:
	$(BIN)/pytest $(QUICK) tests --ignore tests/server --ignore tests/compat

lint: $(VENV)/.dev $(LINKS) ## style, types (strict) and the contracts between the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=build/typing $(BIN)/lint-imports --no-logo --cache-dir build/import-linter

bench: $(VENV)/.dev $(INSIDE_BLENDER) ## measure this machine: the network alone, whole shots, and training
	$(BIN)/python -m tests.bench

sbom: $(VENV)/.server build/cyclonedx/.made ## list every part of the environment, with licences, in build/sbom.cdx.json (CycloneDX)
	build/cyclonedx/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		--output-file build/sbom.cdx.json $(VENV)

ofx: $(VENV)/.server ## build the OpenFX plug-in for Linux and macOS, as wheels carry it
	$(BIN)/python -m pip install --quiet $(ZIG)
	$(BIN)/python -m impasto.hosts.ofx.build

ofx-host: $(VENV)/.server ## try the OpenFX plug-in in MLT, fetched from Debian sid (root; 1 GB)
	BIN=$(BIN) tests/hosts/ofx/in_melt.sh

clean: ## remove the environment and everything built
	rm -rf $(VENV) build dist hosts/ofx/built *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find core hosts server tests training -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "expected Python 3.11 or newer with venv and ensurepip, found none;" \
		"install it (Debian, Ubuntu: apt install python3-venv) or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.server: $(VENV)/.made pyproject.toml constraints.txt
	$(INSTALL) --editable '.[server]'
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml constraints.txt
	$(INSTALL) --editable '.[server,training,dev]'
	@touch $(VENV)/.server $@

# What the extension carries as wheels: its tests find these two beside Blender, and not in its environment.
$(IMPASTO_BLENDER)/client/.made: $(VENV)/.made constraints.txt
	$(BIN)/python -m pip install --quiet --upgrade --no-deps --constraint constraints.txt --target $(@D) pyzmq msgpack
	@touch $@

$(IMPASTO_BLENDER)/%/.made: $(BLENDER_PINS)/%.txt $(VENV)/.made
	@mkdir -p $(@D)
	@if $(BIN)/python -c 'import platform, sys; sys.exit(sys.version_info[:2] != (3, 11) or platform.machine() == "aarch64")'; \
	then \
		echo "installing Blender $* as a Python module"; \
		$(BIN)/python -m venv --clear $(@D); \
		$(@D)/bin/python -m pip install --quiet --requirement $<; \
	else \
		echo "no Blender $* for this Python and machine: its tests will be skipped"; \
	fi
	@touch $@

# In an environment of its own, so that the list holds nothing of the tool that makes it.
build/cyclonedx/.made: $(VENV)/.made
	$(BIN)/python -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet cyclonedx-bom==7.5.0
	@touch $@

# mypy and import-linter look for `impasto/core`, which an editable install promises and no folder bears.
$(LINKS): Makefile
	@mkdir -p $@
	@for room in core hosts server training; do ln -sfn "../../../$$room" "$@/$$room"; done
	@touch $@
