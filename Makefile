# The verbs of the repository. `make demo` and `make test` work from nothing but Python >= 3.11, make and pip.
PYTHON ?= python3
VENV ?= .venv
JOBS ?= auto
MODEL ?= smollm2
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-gpu check format wheels bench docs snapshots version sizes clean

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The members, as requirements/*.txt list them.
MEMBERS := $(sort $(shell sed -n 's|^-e ./||p' requirements/*.txt))
# What a member compiles when it is installed.
NATIVE := $(wildcard $(MEMBERS:%=%/setup.py) $(MEMBERS:%=%/native/*))
# What the tests on an accelerator use; engines of the models' kits run on the best platform that there is, with few rows,
# so that few steps are recorded.
GPU_MODELS := llama qwen gemma gpt2 gpt cohere glm olmo phi mamba deepseek gpt_oss
GPU_SCHEMES := compact gptq awq fp8 int4 int8 mxfp4 nvfp4 squeezellm compressed_tensors
GPU_MEMBERS := core platforms/torch platforms/cpu platforms/cuda $(addprefix attention_backends/,torch_sdpa triton_attn flash_attn flashinfer xformers) \
	plugins/testing plugins/testing_torch plugins/bench $(GPU_MODELS:%=plugins/%) $(GPU_SCHEMES:%=quantization/%)
GPU_JOBS ?= 6
GPU_PYTEST := -q -o filterwarnings=default -p no:cacheprovider --no-header
WHEEL_VENV := build/wheel_venv
# What building wheels leaves in a member: old files would enter the next wheel, old metadata be found beside the new.
LEFTOVERS := $(MEMBERS:%=%/build) $(MEMBERS:%=%/*.egg-info)

# What is installed is named after a sum of all that decides it, so a second run downloads and builds nothing.
SUM := $(shell cat requirements/*.txt $(MEMBERS:%=%/pyproject.toml) $(NATIVE) | cksum | cut -d ' ' -f 1)
DEMO_READY := $(VENV)/ready/demo-$(SUM)
DEV_READY := $(VENV)/ready/dev-$(SUM)

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 10

demo: $(DEMO_READY)  ## answer several prompts with a real model
	$(BIN)/python examples/demo.py

test: $(DEV_READY)  ## the tests that need no accelerator, on all cores; make test ARGS="--optional -k name"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --durations 10 $(ARGS)

test-gpu:  ## the tests that need an accelerator, with the packages that PYTHON has: nothing is downloaded
	rm -rf build/gpu && $(PYTHON) -m pip install -q --no-index --no-deps --no-build-isolation --no-compile --target build/gpu $(GPU_MEMBERS:%=./%)
	rm -rf $(GPU_MEMBERS:%=%/build) $(GPU_MEMBERS:%=%/*.egg-info)
	PYTHONPATH=build/gpu $(PYTHON) -m pytest --optional -m "gpu and not thorough" -n $(GPU_JOBS) $(GPU_PYTEST) tests/attention_backends tests/oracles tests/platforms tests/quantization/compact $(ARGS)
	JACKFIELD_SCHEDULER_MAX_ROWS=8 PYTHONPATH=build/gpu $(PYTHON) -m pytest -n $(GPU_JOBS) $(GPU_PYTEST) -k an_engine_chooses $(GPU_MODELS:%=tests/plugins/%) $(ARGS)

check: $(DEV_READY)  ## lint, format, types, import contracts: the hooks of pre-commit
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/pre-commit run --all-files --show-diff-on-failure

format: $(DEV_READY)  ## repair what ruff can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheels: $(DEV_READY)  ## build all wheels, install them into an empty environment, run the demo there
	rm -rf dist $(WHEEL_VENV) $(LEFTOVERS)
	$(PIP) wheel -q --no-deps --no-build-isolation -w dist $(MEMBERS:%=./%)
	rm -rf $(LEFTOVERS)
	$(BIN)/python -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/python -m pip install -q -c requirements/cpu.txt dist/*.whl
	$(WHEEL_VENV)/bin/python -m pip check
	cd $(WHEEL_VENV) && bin/python $(CURDIR)/tools/is_clean_install.py && bin/python $(CURDIR)/examples/demo.py

bench: $(DEV_READY)  ## measure; JSON goes to benchmarks/results
	mkdir -p benchmarks/results
	for kind in latency throughput startup; do $(BIN)/jackfield bench $$kind $(MODEL) --output benchmarks/results/$$kind.json; done
	$(BIN)/jackfield bench scheduler --output benchmarks/results/scheduler.json
	$(BIN)/python benchmarks/plugins_cost.py --output benchmarks/results/plugins_cost.json
	$(BIN)/python benchmarks/compare_transformers.py $(MODEL) --output benchmarks/results/compare_transformers.json

docs: $(DEV_READY)  ## check the generated pages (make docs WRITE=1 writes them) and build the site into build/site
	$(BIN)/python -m jackfield.config.document $(if $(WRITE),--write,--check) docs/configuration.md
	$(BIN)/python tools/models_table.py $(if $(WRITE),--write,--check) docs/models.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	$(BIN)/python tools/is_offline_site.py build/site

snapshots: $(DEV_READY)  ## write the snapshots of the public interfaces after an addition
	$(BIN)/python -m jackfield_testing.interfaces --write

version:  ## make version V=x.y.z writes the version into setup.cfg and every member
	$(PYTHON) tools/version.py $(V)

sizes:  ## the ten largest files and functions
	@$(PYTHON) tools/sizes.py

clean:  ## remove what make made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis $(LEFTOVERS)

$(DEMO_READY): | $(VENV)/base
	rm -rf $(VENV)/ready
	$(PIP) install -q --no-build-isolation -c requirements/cpu.txt -r requirements/demo.txt
	mkdir -p $(@D) && touch $@

$(DEV_READY): | $(VENV)/base
	rm -rf $(VENV)/ready
	$(PIP) install -q --no-build-isolation -c requirements/cpu.txt -r requirements/dev.txt
	$(PIP) install -q --no-deps -r requirements/no_deps.txt
	mkdir -p $(@D) && touch $(DEMO_READY) $@

# A fresh environment lacks what --no-build-isolation needs.
$(VENV)/base:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Jackfield needs Python 3.11 or later, this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 demo")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -U pip 'setuptools>=77' wheel
	touch $@
