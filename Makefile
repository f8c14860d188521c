# make demo   train on the bundled digits and draw what was learned (about a minute, plus installation)
# make test   prove everything against torch.nn
# make test-slow   the same with many more random cases
# make lint   style and types
# make bench  measure training beside torch.nn, torch.compile and JAX (half an hour)
# make chapters    run every chapter of the tutorials as a script
# make notebooks   write the chapters as notebooks with blanks
# make site   build the site of the tutorials in build/site;   make serve   show it

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

DOCS := $(VENV)/.docs

.PHONY: demo test test-slow lint bench chapters notebooks site serve clean

demo: $(INSTALLED)
	$(BIN)/scratchae train fc

test: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal -m "not slow"

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal -m slow

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(INSTALLED)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[test,course,bench]"
	$(BIN)/python -m reference.benchmark

chapters: $(INSTALLED)
	$(BIN)/python -m tutorials.tools.run

notebooks: $(INSTALLED)
	$(BIN)/python -m tutorials.tools.notebooks

site: $(DOCS)
	$(BIN)/python -m tutorials.tools.site

serve: site
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory build/site 8000

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt "torch==$$(sed -n 's/^torch==//p' constraints.txt)"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[test,course]"
	touch $@

$(DOCS): $(INSTALLED)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[test,course,docs]"
	touch $@
