"""Ledgers of one kind, where a test is about that kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.ledger.engine import Ledger, open_ledger
from tests.support.postgres import a_schema_of_its_own


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Of a ledger in a file that is not there yet."""
    return f"sqlite:///{tmp_path}/ledger/ledger.db"


@pytest.fixture
def postgresql() -> Iterator[Ledger]:
    """An empty ledger in PostgreSQL."""
    with a_schema_of_its_own() as url:
        ledger = open_ledger(url)
        yield ledger
        ledger.close()
