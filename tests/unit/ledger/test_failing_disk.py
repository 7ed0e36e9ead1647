"""A disk that fails under a SQLite ledger."""

import resource
from pathlib import Path

import pytest

from tests.support.ledgers import opened
from tminus.errors import LedgerError
from tminus.ledger import state


def test_after_a_disk_error_no_connection_is_used_again(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        with ledger.write() as connection:
            before = connection.connection.driver_connection
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = (tmp_path / "ledger.db-wal").stat().st_size
        resource.setrlimit(
            resource.RLIMIT_FSIZE, (size, hard)
        )  # Python ignores the signal, so that the write fails
        try:
            with pytest.raises(LedgerError):
                state.put(ledger, "shop", "large", "x" * (1 << 20))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        with ledger.write() as connection:
            assert connection.connection.driver_connection is not before
        state.put(ledger, "shop", "large", "x")
