# Everything happens in .venv, made here from a Python of at least 3.12 and pip; nothing else is needed.
.PHONY: demo quick test test-slow format clean
.DELETE_ON_ERROR:

BIN := .venv/bin
# -e: the code that runs is the code beside this file
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e
# every annotation of the package is checked at run time
PYTEST := $(BIN)/python -m pytest --jaxtyping-packages=glacierbayes,beartype.beartype

demo: .venv/.installed
	$(BIN)/glacierbayes demo

# no run of a glacier or a sampler, no process, annotations not checked: under 90 s on 2 cores
quick: .venv/.installed-dev
	$(BIN)/python -m pytest -n 2 -m "not run and not slow and not network" --durations 20

test: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(PYTEST) -n 2 -m "not slow and not network" --durations 20

test-slow: .venv/.installed-dev
	$(PYTEST) -n 2 -m "slow and not network" --timeout 3600 --durations 20

format: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist demo

.venv/.installed: .venv/.made pyproject.toml constraints.txt
	$(PIP_INSTALL) .
	@touch $@

.venv/.installed-dev: .venv/.made pyproject.toml constraints.txt
	$(PIP_INSTALL) '.[oggm,dev]'
	@touch $@ .venv/.installed

# a python3 may be a shim that fails: the first that runs and is new enough is taken (PYTHON=... to choose);
# some systems ship venv without its pip, then the pip outside puts one in
.venv/.made:
	@for python in $(PYTHON) python3 python3.13 python3.12; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then \
	    echo "making .venv with $$($$python --version)"; \
	    $$python -m venv --clear .venv >/dev/null 2>&1 || { \
	      $$python -m venv --clear --without-pip .venv && \
	      $$python -m pip --python .venv/bin/python install --quiet --disable-pip-version-check pip; \
	    } && touch $@; \
	    exit; \
	  fi; \
	done; \
	echo "no Python of at least 3.12 found as python3, python3.13 or python3.12: install one, or name yours with make PYTHON=..." >&2; \
	exit 1
