# Every command starts from nothing but Python 3.11 and pip: it makes the virtual environment first.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin
export PREFECT_SERVER_ANALYTICS_ENABLED = false
export DO_NOT_TRACK = 1

.PHONY: setup demo test system browser week lint bench clean

setup: $(STAMP)

# Hashes are checked, nothing is resolved, bytecode is compiled: a flow run is a new process, and importing costs.
$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	if command -v uv >/dev/null 2>&1; then \
		uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements.lock && \
		uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	$(BIN)/python -m pip check
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q -j 0 -x '/ccxt/' $(VENV)/lib || true
	touch $(STAMP)

demo: setup
	$(BIN)/python -m flows.demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

system: setup  # all that `fillhouse up` runs, trouble in it, and a browser at it: minutes in which it mostly waits
	$(BIN)/python -m pytest -m whole_system

browser: setup  # a person at the UI of Prefect; without a chromium that is skipped
	$(BIN)/python -m pytest -m whole_system tests/flows/test_browser.py

week: setup  # of the schedules, in the better part of an hour; without pytest's logging, which would keep each line
	$(BIN)/python -m pytest -m week -p no:logging

bench: setup
	$(BIN)/python -m tests.benchmarks.bench_ibkr_flex
	$(BIN)/python -m tests.benchmarks.bench_kraken
	$(BIN)/python -m tests.benchmarks.bench_backfill
	$(BIN)/python -m tests.benchmarks.bench_scale

clean:
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
