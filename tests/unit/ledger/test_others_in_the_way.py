"""
Another writer, a full disk, a read-only one: waited for, or told in words, and good again when they are gone.
"""

import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.ledgers import T, an_instance, full_url, hold_writer, opened, run_batch
from tests.support.moments import PATIENCE_S
from tests.support.other_process import OtherProcess, another_process
from tests.support.postgres import a_schema_of_its_own
from tests.support.small_disk import remount_read_only, with_room
from tminus.errors import LedgerError
from tminus.instants import SECOND
from tminus.ledger import engine, history, instances
from tminus.ledger.engine import Ledger, open_ledger
from tminus.ledger.urls import parse_url


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a SQLite ledger that is there."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    open_ledger(url).close()
    return url


@pytest.mark.processes
def test_a_writer_waits_for_another_one(url: str) -> None:
    with opened(url) as ledger, another_process(hold_writer, url) as other:
        assert other.hears() == "writing"
        began = threading.Event()

        def write() -> None:
            began.set()
            an_instance(ledger)

        writer = threading.Thread(target=write, name="writer")
        writer.start()
        assert began.wait(PATIENCE_S)
        assert instances.latest(ledger) is None
        other.tell("that is all")
        writer.join(PATIENCE_S)
        assert instances.latest(ledger) is not None


@pytest.mark.processes
def test_a_writer_that_has_waited_too_long_says_so(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_BUSY_MS", 50)
    with opened(url) as ledger, another_process(hold_writer, url) as other:
        assert other.hears() == "writing"
        with pytest.raises(LedgerError) as failed:
            an_instance(ledger)
        assert (
            failed.value.message
            == f"the ledger {tmp_path}/ledger.db is held by another writer: database is locked"
        )
        assert failed.value.hint == "look for a long transaction, or a backup"
        other.tell("that is all")
        other.kill()
        an_instance(ledger)


@pytest.mark.processes
def test_who_reads_waits_for_no_writer(url: str) -> None:
    with another_process(hold_writer, url) as other:
        assert other.hears() == "writing"
        with opened(url) as ledger:
            assert history.find(ledger) == []


def test_a_reader_sees_nothing_of_what_is_not_committed(ledger: Ledger) -> None:
    run_batch(ledger, [0.5])
    with ledger.write() as connection:
        connection.execute(sa.text("UPDATE occurrences SET reason = 'half'"))
        assert [one.reason for one in history.find(ledger)] == [None]


@pytest.mark.processes
def test_a_postgresql_that_is_held_too_long_is_told_in_words() -> None:
    with a_schema_of_its_own() as url, opened(url) as ledger:
        impatient = f"{url}%20-clock_timeout%3D50ms"
        with opened(impatient) as other, ledger.write() as connection:
            connection.execute(sa.text("LOCK TABLE instances"))
            with pytest.raises(LedgerError) as failed:
                an_instance(other)
    assert (
        failed.value.message
        == f"the ledger {parse_url(impatient)!r} does not work: canceling statement due to lock timeout"
    )


def test_more_callers_than_connections_is_an_error_in_words(url: str) -> None:
    pool = sa.create_engine(url, pool_size=1, max_overflow=0, pool_timeout=0.01)
    ledger = Ledger(parse_url(url), pool, None)
    with ledger.read(), pytest.raises(LedgerError) as failed:
        history.find(ledger)
    assert failed.value.message == f"the ledger {url} is busy: no connection to it became free"
    ledger.close()


def test_an_instant_that_no_ledger_holds_is_an_error_in_words(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match=r"out of range|too large"):
        an_instance(ledger, now_ns=2**63)
    assert instances.latest(ledger) is None


def fill_the_disk(pipe: Connection, folder: str) -> None:
    """
    In another process, with a small disk of its own there: write until it is full, then make room and write
    again.
    """
    room = with_room(folder)
    if room is None:
        pipe.send(None)
        return
    ledger = open_ledger(f"sqlite:///{folder}/ledger.db")
    number = 0
    try:
        while True:
            run_batch(ledger, [0.5] * 50, planned_at_ns=T + number * SECOND)
            number += 1
    except LedgerError as error:
        pipe.send((error.message, error.hint))
    kept = history.find(ledger)
    pipe.send((number * 50 <= len(kept), sum(one.outcome is not None for one in kept) % 50))
    room.unlink()
    run_batch(ledger, [0.5], planned_at_ns=T - SECOND)
    pipe.send(len(history.find(ledger)) - len(kept))
    ledger.close()
    remount_read_only(folder)
    try:
        open_ledger(f"sqlite:///{folder}/ledger.db").close()
    except LedgerError as error:
        pipe.send((error.message, error.hint))


def _hears_or_skips(process: OtherProcess) -> tuple[str, str]:
    said = process.hears()
    if said is None:
        pytest.skip("this process may not mount a disk")
    return said  # type: ignore[no-any-return]


@pytest.mark.processes
def test_a_full_disk_is_reported_and_written_again_once_there_is_space(
    tmp_path: Path,
) -> None:
    with another_process(fill_the_disk, str(tmp_path)) as process:
        message, hint = _hears_or_skips(process)
        assert message == f"the disk of the ledger {tmp_path}/ledger.db is full"
        assert hint == "free some space; nothing starts until it can be stored"
        assert process.hears() == (True, 0), "all batches are there, each as a whole"
        assert process.hears() == 1


@pytest.mark.processes
def test_a_disk_that_is_mounted_read_only_is_named(tmp_path: Path) -> None:
    with another_process(fill_the_disk, str(tmp_path)) as process:
        _hears_or_skips(process)
        process.hears()
        process.hears()
        message, hint = process.hears()
    assert message == f"the file system of the ledger {tmp_path}/ledger.db is read-only"
    assert hint == "mount it for writing, or name another place"


def test_the_url_of_a_ledger_is_enough_to_open_it_elsewhere(ledger: Ledger) -> None:
    run_batch(ledger, [0.5])
    with opened(full_url(ledger.url)) as other:
        assert history.find(other) == history.find(ledger)
