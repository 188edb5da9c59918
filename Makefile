# Recompra. `make demo` and `make test` set everything up by themselves: Python 3.11 to 3.13 and make are enough.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test check serve bench lock clean
.DEFAULT_GOAL := demo

demo: $(READY) ## the whole way on the demo shop: ingest, train, evaluate, score, serve
	$(BIN)/recompra demo

test: $(READY) ## every test, the README's own commands among them
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

check: $(READY) ## lint, format, types, and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

serve: $(READY) ## the service and the watcher beside it, on what was scored last
	$(BIN)/recompra serve

bench: $(filter-out bench-lists,$(patsubst tests/benchmarks/bench_%.py,bench-%,$(wildcard tests/benchmarks/bench_*.py))) ## benchmarks: tables on the terminal

bench-%: $(READY) ## one of them; bench-lists, beside tuned peers, takes an hour and is not part of bench
	$(BIN)/python tests/benchmarks/bench_$*.py

lock: $(READY) ## choose dependency versions anew, with hashes
	$(BIN)/uv pip compile pyproject.toml --extra otel --extra postgres --group dev --universal --upgrade --generate-hashes \
	  --no-emit-index-url --no-header --quiet --output-file requirements.lock

clean: ## delete the environment; data and models stay in .recompra
	rm -rf .venv

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@
