"""A whole ledger: checked, backed up, and copied into another database."""

import os
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.ledgers import T, dues_of, opened, run_batch
from tests.support.moments import PATIENCE_S
from tests.support.postgres import a_schema_of_its_own
from tminus.errors import UsageError
from tminus.ledger import history, outcomes
from tminus.ledger.copy import back_up, copy_rows, count_rows, integrity_faults
from tminus.ledger.engine import Ledger
from tminus.ledger.tables import attempts, metadata, occurrences
from tminus.outcome import Outcome


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """Another ledger, of each kind."""
    if request.param == "sqlite":
        with opened(f"sqlite:///{tmp_path}/other/ledger.db") as ledger:
            yield ledger
    else:
        with a_schema_of_its_own() as url, opened(url) as ledger:
            yield ledger


def contents(ledger: Ledger) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables."""
    with ledger.read() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(sa.select(table))), key=repr)
            for table in metadata.sorted_tables
        }


def test_a_copy_has_all_rows_and_counts_on(ledger: Ledger, empty: Ledger) -> None:
    run_batch(ledger, [1.0, 2.0])
    seen: list[int] = []
    copy_rows(ledger, empty, on_rows=seen.append)
    assert contents(empty) == contents(ledger)
    assert seen[-1] == count_rows(ledger) > 0
    (due,) = dues_of("later", fire_time_ns=T + 10**9)
    outcomes.record_unstarted(empty, [due.ends(Outcome.SKIPPED, "by the test")], now_ns=T)
    assert history.find(empty, jobs=["later"])


def test_a_copy_goes_into_an_empty_ledger_only(ledger: Ledger, empty: Ledger) -> None:
    run_batch(ledger, [1.0])
    run_batch(empty, [1.0])
    with pytest.raises(UsageError, match="is not empty"):
        copy_rows(ledger, empty, on_rows=lambda _rows: None)


def test_a_whole_ledger_has_no_faults(ledger: Ledger) -> None:
    run_batch(ledger, [1.0])
    assert integrity_faults(ledger) == []


def test_rows_that_refer_to_nothing_are_a_fault(sqlite_url: str) -> None:
    with opened(sqlite_url) as ledger:
        run_batch(ledger, [1.0])
        with ledger.own_connection() as connection:
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.execute(attempts.update().values(occurrence=77))
            connection.exec_driver_sql("PRAGMA foreign_keys=ON")
        assert integrity_faults(ledger) == [
            "1 rows of attempts refer to rows of occurrences that do not exist"
        ]


def test_a_backup_is_a_ledger_for_its_owner_only(sqlite_url: str, tmp_path: Path) -> None:
    with opened(sqlite_url) as ledger:
        run_batch(ledger, [1.0])
        back_up(ledger, tmp_path / "backup.db")
        assert stat.S_IMODE(os.stat(tmp_path / "backup.db").st_mode) == 0o600
        with opened(f"sqlite:///{tmp_path}/backup.db") as copy:
            assert contents(copy) == contents(ledger)


def test_a_backup_while_batches_are_written_has_only_whole_batches(sqlite_url: str, tmp_path: Path) -> None:
    written, stopping = threading.Semaphore(0), threading.Event()

    def write() -> None:
        number = 0
        while not stopping.is_set():
            run_batch(ledger, [1.0] * 10, planned_at_ns=T + number)
            number += 1
            written.release()

    with opened(sqlite_url) as ledger, ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        try:
            for number in range(3):
                written.acquire(timeout=PATIENCE_S)
                back_up(ledger, tmp_path / f"{number}.db")
        finally:
            stopping.set()
        writer.result()
    for number in range(3):
        with opened(f"sqlite:///{tmp_path}/{number}.db") as copy:
            assert integrity_faults(copy) == []
            per_batch = sa.select(sa.func.count(occurrences.c.id)).group_by(occurrences.c.release)
            with copy.read() as connection:
                assert set(connection.scalars(per_batch)) == {10}


def test_a_backup_overwrites_nothing(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "backup.db").write_text("somebody's")
    with opened(sqlite_url) as ledger, pytest.raises(UsageError, match="exists"):
        back_up(ledger, tmp_path / "backup.db")
    assert (tmp_path / "backup.db").read_text() == "somebody's"


def test_a_backup_of_postgresql_names_the_other_ways(postgresql: Ledger, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="SQLite"):
        back_up(postgresql, tmp_path / "backup.db")
