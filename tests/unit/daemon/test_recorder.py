"""The recorder: what is put into it is written, and one outcome that cannot be written is in nobody's way."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.clock import SystemClock
from scheduler.daemon.recorder import Recorder
from scheduler.ledger import claims, history, instances
from scheduler.ledger.engine import Ledger, open_ledger
from scheduler.model.batch import Ended
from scheduler.outcome import Outcome
from scheduler.release.gate import Gate
from tests.support.values import a_due, a_job

AT = 1_763_638_200_000_000_000
DUES = [a_due(a_job(f"job_{index}"), fire_time_ns=AT) for index in range(5)]


@pytest.fixture
def claimed(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger in which five occurrences are claimed."""
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    instance = instances.register(ledger, kind="daemon", config_version=None, now_ns=AT)
    claims.claim(ledger, DUES, planned_at_ns=AT, instance=instance, token="this")
    yield ledger
    ledger.close()


def outcome(index: int, reason: str | None = None) -> Ended:
    return Ended(id=DUES[index].id, outcome=Outcome.FAILED, reason=reason, finished_at_ns=AT)


def recorder_of(ledger: Ledger) -> Recorder:
    clock = SystemClock()
    return Recorder(ledger, gate=Gate(clock), clock=clock)


def test_what_was_put_before_the_end_is_written(claimed: Ledger) -> None:
    recorder = recorder_of(claimed)
    for index in range(5):
        recorder.put(outcome(index, f"reason {index}"))
    recorder.start()
    assert recorder.stop(30) is True
    assert [one.reason for one in history.of_batch(claimed, AT)] == [f"reason {index}" for index in range(5)]


def test_an_occurrence_keeps_its_first_outcome(claimed: Ledger) -> None:
    recorder = recorder_of(claimed)
    recorder.start()
    for reason in ("first", "second"):
        recorder.put(outcome(0, reason))
        assert recorder.flush(30)
    recorder.stop(30)
    assert history.of_batch(claimed, AT)[0].reason == "first"


def test_an_outcome_that_no_database_takes_costs_itself_alone(claimed: Ledger) -> None:
    recorder = recorder_of(claimed)
    for index in range(5):
        recorder.put(outcome(index, "half a character: \ud800" if index == 2 else "well"))
    recorder.start()
    assert recorder.stop(30) is True
    assert [one.reason for one in history.of_batch(claimed, AT) if one.id != DUES[2].id] == ["well"] * 4
