# Two commands matter: `make up` runs everything on this machine, `make test` runs all tests.
# All is installed into .venv, from the hashes in requirements-dev.lock; nothing else is touched.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Each has a Kafka and a PostgreSQL of its own; much of the time a test waits for processes to start.
TEST_PROCESSES ?= 2
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; \
	done)
UV = $(shell command -v uv || echo $(BIN)/uv)

.DEFAULT_GOAL := help
.PHONY: help up test abuse faults check sbom format bench bench-full install lock kafka-jars

help: ## Show what there is to make.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile

up: $(INSTALLED) ## Run everything here; Ctrl-C stops it.
	@$(BIN)/device-ledger up

test: $(INSTALLED) ## Run all tests (PYTEST_ARGS adds options, TEST_PROCESSES says how many at once).
	$(BIN)/pytest --numprocesses $(TEST_PROCESSES) --dist loadfile $(PYTEST_ARGS)

abuse: $(INSTALLED) ## Send what the OpenAPI document allows and forbids (CASES=10000, ABUSE_SEED=1).
	ABUSE_CASES=$(or $(CASES),10000) $(BIN)/pytest -s tests/abuse/test_document.py tests/contract/http/test_state_machine.py

faults: $(INSTALLED) ## Fail everything at every step (HOURS=n, fractions too); writes docs/reliability.md.
	$(BIN)/python -m tests.faults $(if $(HOURS),--hours $(HOURS)) $(FAULT_ARGS)

check: $(INSTALLED) ## Check style, types, the rooms' imports, licences and advisories.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.support.supply_chain

sbom: $(INSTALLED) ## Write the bill of materials of what runs, as CycloneDX.
	$(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible --no-validate --of JSON -o sbom.cdx.json

format: $(INSTALLED) ## Lay the code out.
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: $(INSTALLED) ## Measure; writes bench/results.json and docs/benchmarks.md.
	$(BIN)/python -m bench

bench-full: $(INSTALLED) ## Measure with peers and large sizes (docs/benchmarks.md says what it needs).
	$(BIN)/python -m bench --full

install: $(INSTALLED) ## Install the locked environment.

$(INSTALLED): requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "device-ledger needs Python 3.11 or newer: install one, or set PYTHON" >&2; exit 2; }
	@test -x $(BIN)/python || { command -v uv >/dev/null && uv venv --quiet --python "$(PYTHON)" $(VENV); } || $(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "no virtual environment can be made: install Python's venv module, or uv" >&2; exit 2; }
	@command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	VIRTUAL_ENV=$(VENV) $(UV) pip sync --quiet --require-hashes --compile-bytecode requirements-dev.lock
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q src api projections streams
	@$(BIN)/device-ledger broker --prepare || echo "going on: only the local broker needs it"
	@touch $@

LOCK = $(UV) pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 pyproject.toml

lock: ## Lock the newest allowed versions (UPGRADE=--upgrade) with their hashes.
	$(LOCK) $(UPGRADE) -o requirements.lock
	$(LOCK) $(UPGRADE) --group dev -o requirements-dev.lock

kafka-jars: $(INSTALLED) ## Lock Kafka's jars with their hashes.
	$(BIN)/python -m device_ledger.kafka_jars > $(VENV)/kafka-jars.sha256
	mv $(VENV)/kafka-jars.sha256 src/device_ledger/kafka-jars.sha256
