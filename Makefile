# `make help` lists the targets. Everything happens in the virtual environment $(VENV).

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
BENCH_ARGS ?=

# A hung test must end the run. All of them take a quarter of an hour on two cores, more where others share these.
TEST_SECONDS ?= 2400

# Where nvcc is found its failure is an error, not a build without CUDA.
ASAM_CUDA ?= $(if $(shell command -v nvcc 2>/dev/null),ON,AUTO)

BIN := $(VENV)/bin
# C++ and CUDA sources, and what says how they are built.
NATIVE := $(shell find csrc cmake -type f 2>/dev/null) CMakeLists.txt pyproject.toml asam_trt/_version.py
PACKAGES := $(shell find python asam_trt -type f -not -name '*.pyc' -not -name '_ops.pyi' 2>/dev/null)
CPP := $(shell find csrc tests benchmarks -type f \( -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' \) 2>/dev/null)

# An environment that has the editable installation does for the demo as well.
DEMO_INSTALL := $(if $(wildcard $(VENV)/.editable),$(VENV)/.editable,$(VENV)/.installed)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo build test gpu gpu-test gpu-bench gpu-install lint format clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(DEMO_INSTALL) ## install into $(VENV) and run the demo; writes to outputs/demo
	$(BIN)/asam demo

build: $(VENV)/.editable ## editable installation with all test and development tools

test: build lint ## what CI runs: formatters, linter, types, tests
	timeout $(TEST_SECONDS) $(BIN)/python -m pytest -n 2 --durations=10 $(PYTEST_ARGS)

# With what is there, nothing is fetched: nvcc, PyTorch, NumPy, SciPy, safetensors, scikit-build-core, pybind11,
# nanobind, cmake, ninja, pytest. tests/cuda also wants segment_anything and onnxruntime, and is left out without them.
gpu: gpu-install ## on a machine with a GPU, without network: gpu-test, then gpu-bench whatever failed
	@status=0; $(MAKE) -o gpu-install gpu-test || status=$$?; $(MAKE) -o gpu-install gpu-bench && exit $$status

gpu-test: gpu-install ## the tests marked gpu
	@status=0; $(PYTHON) -m pytest -m gpu tests/gpu $(PYTEST_ARGS) || status=$$?; \
	if $(PYTHON) -c 'import segment_anything, onnxruntime' 2>/dev/null; \
	then $(PYTHON) -m pytest -m gpu tests/cuda $(PYTEST_ARGS) || status=$$?; \
	else echo "tests/cuda left out: segment_anything or onnxruntime is missing"; fi; \
	exit $$status

gpu-bench: gpu-install ## the benchmarks on a GPU; writes to outputs/gpu
	@status=0; $(PYTHON) benchmarks/gpu.py --output outputs/gpu $(BENCH_ARGS) || status=$$?; \
	$(PYTHON) benchmarks/gpu_frames.py --output outputs/gpu $(BENCH_ARGS) || status=$$?; \
	exit $$status

gpu-install:
	$(PYTHON) -m pip install --no-build-isolation --no-deps --no-index -Ccmake.define.ASAM_CUDA=ON --editable .

lint: build ## formatters in check mode, linter, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/clang-format --dry-run -Werror $(CPP)
	$(BIN)/mypy

format: build ## put all sources into the one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/clang-format -i $(CPP)

clean: ## remove the environment, build products and caches
	rm -rf $(VENV) build dist asam_trt/_ops.pyi .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find asam_trt python tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@command -v "$(PYTHON)" >/dev/null || { echo "make: $(PYTHON) not found; name a Python 3.10+ with PYTHON=<path>" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "make: $(PYTHON) is $$("$(PYTHON)" --version 2>&1); Python 3.10+ is needed, name one with PYTHON=<path>" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

$(VENV)/.installed: $(VENV)/.created $(NATIVE) $(PACKAGES)
	$(BIN)/python -m pip install '.[demo]'
	@rm -f $(VENV)/.editable
	@touch $@

# Without build isolation, so that the build folder keeps pointing at tools that stay.
$(VENV)/.tools: $(VENV)/.created pyproject.toml
	$(BIN)/python -m pip install --quiet scikit-build-core pybind11 nanobind cmake ninja
	@touch $@

$(VENV)/.editable: $(VENV)/.tools $(NATIVE)
	$(BIN)/python -m pip install --no-build-isolation -Ccmake.define.ASAM_CUDA=$(ASAM_CUDA) --editable '.[test,dev,demo]'
	@rm -f $(VENV)/.installed
	@touch $@
