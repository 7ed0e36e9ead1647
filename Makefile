# On a new machine, `make demo` shows tminus and `make test` tests it. Both install what they need into .venv/.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo check coverage test test-long lint bench soak lock clean

# The tests that start no process: `tests/conftest.py` keeps them so.
CHECKED := -m "not processes and not long" tests/unit tests/conformance tests/test_architecture.py tests/test_docs.py

setup:
	@$(PYTHON) tools/bootstrap.py

demo:
	@$(PYTHON) tools/bootstrap.py --run
	@$(BIN)/tminus demo

test: setup
	@$(BIN)/pytest -m "not long"

# The tests with the marker `long`: examples, pages, environments of their own, commands of the bench. Then the
# property tests again, with many more examples.
test-long: setup
	@$(BIN)/pytest -m long
	@$(BIN)/pytest -m "hypothesis and not processes" --hypothesis-profile=thorough

check: lint
	@$(BIN)/pytest $(CHECKED)

coverage: setup
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(CHECKED)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	@$(BIN)/python -m bench

soak: setup
	@$(BIN)/python -m bench.soak

# Needs uv. One run writes both locks, so that users and developers have the same versions.
lock:
	uv pip compile --universal --generate-hashes --python-version 3.11 --extra calendars --extra daemon --extra notify --extra postgresql -o requirements.lock pyproject.toml
	uv pip compile --universal --generate-hashes --python-version 3.11 --extra calendars --extra daemon --extra notify --extra postgresql --group dev -c requirements.lock -o requirements-dev.lock pyproject.toml

clean:
	rm -rf .venv .coverage* build dist .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
