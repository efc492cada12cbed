# `make demo` and `make test` set up everything they need; the rest is for those who change the code.
PYTHON ?= python3
BIN := .venv/bin
RUN := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
WORKERS ?= 2

.PHONY: demo test check laws bench docs wheel setup clean

CODE := src tests benchmarks examples docs/conf.py docs/_extensions

demo: .venv/.demo
	$(BIN)/tolerate run digits

test: .venv/.test
	$(RUN) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: .venv/.test
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py tests/test_names.py

laws: .venv/.test
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[ray]'
	$(RUN) $(BIN)/python -m pytest -n $(WORKERS) -m law tests

bench: .venv/.test
	$(BIN)/python -m benchmarks

docs: .venv/.test
	$(BIN)/sphinx-build -E -W --keep-going docs build/docs

wheel:
	PYTHON=$(PYTHON) .ci/wheel

setup: .venv/.test

.venv/.demo: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tolerate needs Python 3.11 or later; try: make PYTHON=python3.12 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[models]'
	touch $@

.venv/.test: .venv/.demo
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[models,text,board,dev]'
	touch $@

clean:
	rm -rf .venv build dist src/*.egg-info
