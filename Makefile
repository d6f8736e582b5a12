# make demo     two networks on two chips, with tables
# make test     the normal suite, then lint, types and layers
# make verify   full worlds and random suites
# make bench    beside the peers
# make mutants  small mistakes on purpose in cost/ and mapper/: which ones no test sees (docs/mutation.md)
# make matrix   every network on every chip
# Say which Python and where: make test PYTHON=python3.12 VENV=/tmp/weft

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.weft-ready

.PHONY: demo test verify lint types bench mutants matrix docs clean

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "weft needs Python 3.11 or later, and $(PYTHON) is not: make PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(READY)
	$(BIN)/weft run resnet18 --chip tpu_like_quad
	$(BIN)/weft run resnet8 --chip diana

test: $(READY)
	$(BIN)/python -m pytest -n 2
	$(MAKE) --no-print-directory lint types

verify: $(READY)
	$(BIN)/python -m pytest -n 2 -m verify

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(READY)
	$(BIN)/mypy

mutants: $(READY)
	$(BIN)/python -m tests.mutation.hunt

# Peers live in an environment of their own, so that what they ask for does not change ours.
PEERS = $(VENV)-peers/bin/python

$(PEERS):
	$(PYTHON) -m venv $(VENV)-peers
	$@ -m pip install --quiet --disable-pip-version-check zigzag-dse six

bench: $(READY) $(PEERS)
	$(BIN)/python benchmarks/zigzag_differences.py
	$(BIN)/python benchmarks/mapper_against_zigzag.py --zigzag $(PEERS)
	$(BIN)/python -m benchmarks.zigzag_mappings
	$(BIN)/python benchmarks/imports.py
	$(BIN)/python benchmarks/million_tiles.py
	$(BIN)/python benchmarks/mapper_scaling.py

# Every network on every chip, for an hour or so.
matrix: $(READY)
	$(BIN)/python benchmarks/matrix.py --budget 20 --write docs/matrix.md

# Pages and tables that are made from the code; the rest of docs/ is written by hand.
docs: $(READY)
	$(BIN)/python -m weft.cli.zoo_sizes
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/conformance.py
	$(BIN)/python docs/numerics.py

clean:
	rm -rf .venv .venv-peers build dist weft-runs .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .benchmarks
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
