# Two commands do everything on a fresh machine: `make refresh` and `make test`. Python 3.11 or later, pip, venv, make and git suffice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SPARK := .venv-spark
PIP := -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-compile
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup refresh test dev lint docs bench spark test-spark clean

setup: $(READY)

# The lock file pins every version by hash. Bytecode is compiled once here: without it every start would compile it again.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Rollin needs Python 3.11 or later: make PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) --require-hashes -r requirements.lock
	$(BIN)/python $(PIP) --no-build-isolation --editable .
	-$(BIN)/python -m compileall -q -j 0 $(VENV)/lib
	$(BIN)/python -m compileall -q -j 0 ingest dbt_project expectations orchestration
	touch $@

refresh: $(READY)
	$(BIN)/rollin refresh --sample

test: $(READY)
	$(BIN)/python -m pytest

dev: $(READY)
	$(BIN)/rollin dev --sample

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy & types=$$!; $(BIN)/sqlfluff lint dbt_project/models dbt_project/tests && wait $$types

docs: $(READY)
	$(BIN)/python -m dbt_project.metrics_page

# S the sample, M and L all of Germany: make bench SIZE=M
SIZE ?= S
bench: $(READY)
	$(BIN)/python -m benchmarks.speed --size $(SIZE)

# Spark's own environment (docs/spark.md). pyspark comes as sources of 450 MB that are jars already: packing them again would double the time.
spark: $(SPARK)/.ready
$(SPARK)/.ready: requirements-spark.lock
	test -x $(SPARK)/bin/python || $(PYTHON) -m venv $(SPARK)
	sed -n '/^setuptools==/,/[^\\]$$/p' requirements-spark.lock > $(SPARK)/setuptools.lock
	$(SPARK)/bin/python $(PIP) --require-hashes -r $(SPARK)/setuptools.lock
	$(SPARK)/bin/python $(PIP) --require-hashes --no-build-isolation --config-settings=--build-option=--compression=stored \
		-r requirements-spark.lock
	touch $@

test-spark: $(READY) spark
	$(BIN)/python -m pytest -n 0 tests/test_spark.py

clean:
	rm -rf $(VENV) $(SPARK) var dbt_project/target dbt_project/logs
