# Each target sets up its own virtual environment the first time; nothing but Python and make is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# More than there are cores: the tests of real processes mostly wait for sessions to end.
WORKERS ?= 6

# Where it is set (many container images do), each of a thousand processes would compile its modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check bench proof mutants interop manual format clean

demo: $(VENV)/demo.ready
	@$(BIN)/assumed demo $(ARGS)

test: $(VENV)/dev.ready
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not slow" $(ARGS)

check: $(VENV)/dev.ready
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pytest -q tests/test_architecture.py

bench: $(VENV)/dev.ready
	@$(BIN)/python -m bench $(ARGS)

proof: $(VENV)/dev.ready
	@$(BIN)/python -m proof $(ARGS)

# Black-box tests against broken copies of the program: which of them does nobody notice?
mutants: $(VENV)/dev.ready
	@$(BIN)/python -m proof.mutants $(ARGS)

interop: $(VENV)/dev.ready
	@$(BIN)/pytest -n 6 --dist worksteal -m interop -rs $(ARGS)

# Manual pages are committed: a packager needs no Python of ours to have them. A test says when they are behind.
manual: $(VENV)/demo.ready
	@$(BIN)/python docs/manual.py

format: $(VENV)/dev.ready
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist

# pip before 25.1 knows no dependency groups, so it is brought up to date first.
$(VENV)/pip.ready:
	@echo "Setting up $(VENV) (once; about half a minute)…" >&2
	@$(PYTHON) -c 'import sys; sys.exit("assumed needs Python 3.11 or newer; try: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/demo.ready: $(VENV)/pip.ready pyproject.toml
	@echo "Installing assumed and the embedded AWS of the demo…" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/dev.ready: $(VENV)/pip.ready pyproject.toml
	@echo "Installing assumed with its tests' and checks' tools…" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev --editable .
	@touch $@
