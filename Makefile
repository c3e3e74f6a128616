# make demo            everything on this machine: PostgreSQL, gateway, a tour; Ctrl-C ends it
# make demo ARGS=--check   the tour alone, checked
# make test            all tests in JOBS=3 processes (as root it installs what they need; ARGS go to pytest)
# make lint | fmt
# make bench           TenantGate (compiled), PgBouncer and a direct connection in one table
# make memory          what 10,000 idle clients and 100,000 tenants take of the gateway's memory
# make plans           what rewriting costs: cold and warm plans, and inside PostgreSQL beside native row-level security
# make audit-crash     kills a gateway under load 200 times: its log verifies and has all that clients were told
# make audit-tampering 10,000 random changes of a sealed log: all are found, and named by position
# make regression      PostgreSQL's own regression files through the gateway and directly (docs/regression.md)
# make compat          psycopg's own test suite through the gateway and directly (docs/compatibility.md)
# make audit-search    time of a search's first page over many audit events (ARGS="--events 1000000")
# make control-plane   a policy store of 10,000 tenants, changed a thousand times under load (docs/control-plane.md)
# make compiled        a copy with the hot path compiled, in .build/compiled

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
JOBS ?= 3

.DEFAULT_GOAL := help
.PHONY: audit-crash audit-tampering help demo test lint fmt bench compat memory plans regression statements compiled venv audit-search control-plane

help:
	@sed -n 's/^# //p' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.demo-installed
	@$(BIN)/tenantgate demo $(ARGS)

test: $(VENV)/.dev-installed
	@tests/bootstrap test
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(VENV)/.dev-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(VENV)/.dev-installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/tenantgate statements > docs/statements.md

bench: compiled
	@tests/bootstrap bench
	cd .build/compiled && $(CURDIR)/$(BIN)/python -m benchmarks.run --results $(CURDIR)/benchmarks/results $(ARGS)

memory: compiled
	cd .build/compiled && $(CURDIR)/$(BIN)/python -m benchmarks.memory && $(CURDIR)/$(BIN)/python -m benchmarks.tenants

plans: $(VENV)/.dev-installed
	$(BIN)/python -m benchmarks.plans $(ARGS)

control-plane: $(VENV)/.dev-installed
	$(BIN)/python -m benchmarks.control_plane $(ARGS)

audit-search: $(VENV)/.dev-installed
	$(BIN)/python -m benchmarks.audit_search $(ARGS)

audit-crash: $(VENV)/.dev-installed
	TENANTGATE_CRASHES=200 $(BIN)/python -m pytest -q tests/integration/test_audit_crash.py --timeout 3600 $(ARGS)

audit-tampering: $(VENV)/.dev-installed
	TENANTGATE_TAMPERINGS=10000 $(BIN)/python -m pytest -q tests/unit/audit/test_tampering.py --timeout 3600 $(ARGS)

regression: $(VENV)/.dev-installed
	$(BIN)/python -m tests.regression.run $(ARGS)

compat: $(VENV)/.dev-installed
	$(BIN)/python -m tests.compat.run $(ARGS)

statements: $(VENV)/.dev-installed
	$(BIN)/python -m tests.compat.statements

# A copy of the tree with the hot path compiled by mypyc (setup.py says what); made anew when a source has changed.
compiled: $(VENV)/.dev-installed
	@tests/bootstrap compile
	@tests/compile "$(CURDIR)/$(BIN)/python" .build/compiled

venv: $(VENV)/.dev-installed

# The development lock holds the demo's packages too, so either marker is enough for the demo.
$(VENV)/.demo-installed: requirements/demo.lock pyproject.toml
	@requirements/install "$(PYTHON)" $(VENV) demo

$(VENV)/.dev-installed: requirements/dev.lock pyproject.toml
	@requirements/install "$(PYTHON)" $(VENV) dev
