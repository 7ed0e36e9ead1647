"""What a daemon with a scripted executor starts with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_clock import FakeClock
from tests.support.ledgers import T
from tests.support.new_ledgers import new_ledger
from tminus.instants import SECOND
from tminus.ledger.engine import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    ledger = new_ledger(tmp_path)
    yield ledger
    ledger.close()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that shows two seconds before T."""
    return FakeClock(T - 2 * SECOND)
