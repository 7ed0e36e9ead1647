"""Fixtures for tests of an application: `pytest_plugins = ["tminus.flask.pytest_plugin"]` in conftest.py."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tminus.flask.in_process import CollectedRun


@pytest.fixture
def tminus_runs() -> "Iterator[list[CollectedRun]]":
    """The background runs that the test submits. They are collected, and neither stored nor called."""
    from tminus.flask.in_process import collect

    with collect() as runs:
        yield runs


@pytest.fixture(autouse=True)
def tminus_forgets_runs() -> Iterator[None]:
    """
    After each test, the runs that it has called at once are forgotten. Most tests have a database of their
    own, so the next one may use the same ids.
    """
    from tminus.flask.in_process import forget_runs

    with forget_runs():
        yield
