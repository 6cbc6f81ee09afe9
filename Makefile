# make demo and make test each work alone from a clean clone; both are safe to repeat.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

export HF_HUB_DISABLE_TELEMETRY = 1
export DO_NOT_TRACK = 1

.PHONY: demo test check slow bench clean

demo: $(VENV)/.installed
	$(BIN)/embedkit demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto -m "not slow"

slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow

check: $(VENV)/.installed-dev
	$(BIN)/ruff check embedkit tests benchmarks
	$(BIN)/ruff format --check embedkit tests benchmarks
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	for script in $(filter-out benchmarks/measure.py,$(wildcard benchmarks/*.py)); do $(BIN)/python $$script; done
	$(BIN)/python benchmarks/encode.py --whole-process

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("embedkit needs Python 3.10 or newer") if sys.version_info < (3, 10) else 0'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) -e '.[offline]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e '.[offline,dev]'
	touch $@
