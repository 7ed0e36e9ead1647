"""The recorder: what is put into it is written, and one outcome that cannot be written is in nobody's way."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pysqlite3 import dbapi2

from tests.support.daemon import eventually
from tests.support.new_ledgers import new_ledger
from tests.support.values import a_due, a_job
from tminus.clock import SystemClock
from tminus.daemon.attempts.recorder import Recorder
from tminus.ledger import claims, history, instances
from tminus.ledger.engine import Ledger
from tminus.ledger.journal import Journal, JournalPlace, read
from tminus.model.batch import OccurrenceResult
from tminus.outcome import Outcome
from tminus.release.gate import Gate

AT = 1_763_638_200_000_000_000
DUES = [a_due(a_job(f"job_{index}"), fire_time_ns=AT) for index in range(5)]


@pytest.fixture
def claimed(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger in which five occurrences are claimed."""
    ledger = new_ledger(tmp_path)
    instance = instances.register(ledger, kind="daemon", config_version=None, now_ns=AT)
    claims.claim(ledger, DUES, planned_at_ns=AT, instance=instance, token="this")
    yield ledger
    ledger.close()


def outcome(index: int, reason: str | None = None) -> OccurrenceResult:
    return OccurrenceResult(id=DUES[index].id, outcome=Outcome.FAILED, reason=reason, finished_at_ns=AT)


def recorder_of(ledger: Ledger, journal: Journal | None = None) -> Recorder:
    clock = SystemClock()
    return Recorder(ledger, gate=Gate(clock), clock=clock, journal=journal)


@contextmanager
def locked(ledger: Ledger) -> Iterator[None]:
    """Nobody else writes to the ledger within the block."""
    connection = dbapi2.connect(ledger.path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def test_what_was_put_before_the_end_is_written(claimed: Ledger) -> None:
    recorder = recorder_of(claimed)
    for index in range(5):
        recorder.put(outcome(index, f"reason {index}"))
    recorder.start()
    assert recorder.stop(30) is True
    assert [one.reason for one in history.find_batch(claimed, AT)] == [
        f"reason {index}" for index in range(5)
    ]


def test_an_occurrence_keeps_its_first_outcome(claimed: Ledger) -> None:
    recorder = recorder_of(claimed)
    recorder.start()
    for reason in ("first", "second"):
        recorder.put(outcome(0, reason))
        assert recorder.flush(30)
    recorder.stop(30)
    assert history.find_batch(claimed, AT)[0].reason == "first"


def test_an_outcome_that_no_database_takes_costs_itself_alone(claimed: Ledger) -> None:
    recorder = recorder_of(claimed)
    for index in range(5):
        recorder.put(outcome(index, "half a character: \ud800" if index == 2 else "well"))
    recorder.start()
    assert recorder.stop(30) is True
    assert [one.reason for one in history.find_batch(claimed, AT) if one.id != DUES[2].id] == ["well"] * 4


def test_what_the_ledger_did_not_take_is_in_the_journal_at_the_end(claimed: Ledger, tmp_path: Path) -> None:
    recorder = recorder_of(claimed, journal := Journal(JournalPlace(tmp_path, "journal-"), "me"))
    recorder.start()
    with locked(claimed):
        for index in range(3):
            recorder.put(outcome(index))
        assert recorder.stop(0) is True
        assert len(read(journal.file).records) == 3


def test_outcomes_that_wait_go_into_the_journal_and_leave_it_when_written(
    claimed: Ledger, tmp_path: Path
) -> None:
    recorder = recorder_of(claimed, journal := Journal(JournalPlace(tmp_path, "journal-"), "me"))
    recorder.start()
    with locked(claimed):
        recorder.put(outcome(0))
        eventually(lambda: read(journal.file).records, what="the journal has it")
    assert recorder.flush(30)
    eventually(lambda: not read(journal.file).records, what="the journal is empty")
    assert recorder.stop(30) is True
    assert not journal.file.exists()


def test_what_a_journal_had_that_somebody_has_removed_is_written_again(
    claimed: Ledger, tmp_path: Path
) -> None:
    recorder = recorder_of(claimed, journal := Journal(JournalPlace(tmp_path, "journal-"), "me"))
    recorder.start()
    with locked(claimed):
        recorder.put(outcome(0))
        eventually(lambda: read(journal.file).records, what="the journal has it")
        journal.file.unlink()
        assert recorder.stop(0) is True
        assert len(read(journal.file).records) == 1


def test_an_outcome_that_is_in_neither_is_lost_and_the_recorder_says_so(
    claimed: Ledger, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    recorder = recorder_of(claimed, Journal(JournalPlace(tmp_path / "file", "journal-"), "me"))
    recorder.start()
    with locked(claimed):
        recorder.put(outcome(0))
        assert recorder.stop(0) is False
