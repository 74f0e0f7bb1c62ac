# Two commands do everything on a fresh machine: `make demo` runs the mesh, `make test` passes the tests.
# Arguments pass through: make demo ARGS="--duration 20", make test ARGS="-k retry".
PYTHON ?= python3
ARGS ?=
JOBS ?= auto
BIN := .venv/bin

.PHONY: help demo native test wheel test-native test-long check bench fuzz mutate test-compose docs format clean
help:
	@echo "make demo          run the mesh on this machine (ARGS=\"--duration 20\")"
	@echo "make test          run the tests               (ARGS=\"-k retry\", JOBS=4)"
	@echo "make native        compile the data plane: half the CPU time (needs a C compiler)"
	@echo "make test-native   the oracle and the fuzzer's corpus against the compiled data plane"
	@echo "make wheel         what pip installs, into dist/"
	@echo "make check         ruff, mypy --strict, import-linter"
	@echo "make bench         µs of CPU per request, beside Envoy's, in one run (ARGS=\"--case plain\")"
	@echo "make fuzz          throw bytes at the codecs    (ARGS=\"--seconds 60\")"
	@echo "make docs          write the reference pages from the code"
	@echo "make mutate        change the source a little, and see which changes no test notices (ARGS=\"--seed 7\")"
	@echo "make test-long     what takes minutes: game days, lessons, kills, a storm, a rollout"
	@echo "make test-compose  the compose stack on a real container engine"

# An environment in two stages, each remade whenever what it is made from changes: what runs, and what it is worked on with.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
.venv/.runs: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("$(PYTHON) is Python %d.%d, and 3.11 is needed: make PYTHON=python3.11 …" % \
	    sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(PIP) --editable .
	@# Fourteen processes that compile the same files at the demo's first start get in each other's way.
	$(BIN)/python -m compileall -q mesh control_plane sidecar examples
	touch $@

.venv/.made: .venv/.runs
	$(PIP) --editable '.[dev]'
	touch $@

demo: .venv/.runs
	$(BIN)/mesh demo $(ARGS)

# Files run side by side, in as many processes as JOBS says (tests/conftest.py has what belongs together); what failed among
# them runs once more by itself (tests/again.py).
test: .venv/.made
	$(BIN)/python -m tests.again --numprocesses $(JOBS) $(ARGS)

# What `pip install asyncmesh` would install: a wheel for this machine, with the data plane compiled if it can be.
wheel: .venv/.made
	$(BIN)/python -m build --outdir dist

# Optional: everything works without, and no old build is ever used for changed sources.
native: .venv/.made
	$(BIN)/python -m sidecar.process.native_build

# What shows from outside, of the compiled data plane.
test-native: native
	MESH_TEST_NATIVE=1 $(BIN)/python -m tests.again --numprocesses $(JOBS) tests/oracle tests/fuzz $(ARGS)

check: .venv/.made
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

mutate: .venv/.made
	$(BIN)/python -m tests.mutate $(ARGS)

bench: .venv/.made
	-@$(BIN)/python -m sidecar.process.native_build
	$(BIN)/python -m tests.bench $(ARGS)

fuzz: .venv/.made
	$(BIN)/python -m tests.fuzz $(ARGS)
	$(BIN)/python -m tests.fuzz.h2

# What takes minutes: game days, lessons, kills in experiments, a storm, a rollout under load.
test-long: .venv/.made
	$(BIN)/python -m pytest -m long $(ARGS)

test-compose: .venv/.made
	$(BIN)/python -m pytest -m compose $(ARGS)

docs: .venv/.made
	$(BIN)/python -m mesh.istio > docs/istio-api.md
	$(BIN)/python -m tests.simulation.field_page
	$(BIN)/python -m sidecar.config > docs/envoy-config.md

format: .venv/.made
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-envoy dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
