"""Ledgers on one kind of database, for tests about that kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.new_ledgers import ledger_on_postgresql
from tminus.ledger.engine import Ledger


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Of a ledger in a file that is not there yet."""
    return f"sqlite:///{tmp_path}/ledger/ledger.db"


@pytest.fixture
def postgresql() -> Iterator[Ledger]:
    """An empty ledger in PostgreSQL."""
    with ledger_on_postgresql() as ledger:
        yield ledger
