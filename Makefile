# Two commands do it all on a fresh machine: `make demo` and `make test`. The rest is for developers.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo check test lint bench soak lock clean

setup:
	@$(PYTHON) tools/bootstrap.py

demo:
	@$(PYTHON) tools/bootstrap.py --run
	@$(BIN)/tminus demo

test: setup
	@$(BIN)/pytest

check: lint
	@$(BIN)/pytest tests/unit tests/test_architecture.py tests/test_docs.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	@$(BIN)/python -m bench

soak: setup
	@$(BIN)/python -m bench.soak

# Needs uv. Both locks are made in one go, so that running and developing never see different versions.
lock:
	uv pip compile --universal --generate-hashes --python-version 3.11 --extra daemon --extra postgresql -o requirements.lock pyproject.toml
	uv pip compile --universal --generate-hashes --python-version 3.11 --extra daemon --extra postgresql --group dev -c requirements.lock -o requirements-dev.lock pyproject.toml

clean:
	rm -rf .venv build dist .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
