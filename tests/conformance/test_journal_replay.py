"""The replay of a journal: each outcome is written once, and none that the ledger has overtaken."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.ledgers import T, claim, commit
from tests.support.values import a_due, a_job, an_attempt, an_ending
from tminus.daemon.journal_recovery import replay_journals
from tminus.instants import SECOND
from tminus.ledger import chains, history, instances, outcomes
from tminus.ledger.engine import Ledger
from tminus.ledger.journal import Journal, JournalPlace
from tminus.ledger.journal_records import Recordable, to_record
from tminus.model.batch import DueOccurrence, RetryRecord
from tminus.model.chain import Function, Link, ReturnValue
from tminus.outcome import OccurrenceState, Outcome

THEN = (Link(callback=Function(ref="hooks:done")),)
REFUSED = an_attempt(1, at_ns=T, outcome=Outcome.FAILED, reason="status: 503", http_status=503)
LATER = T + 60 * SECOND


@pytest.fixture
def place(tmp_path: Path) -> JournalPlace:
    return JournalPlace(tmp_path / "journals", "outcomes-")


def process(ledger: Ledger) -> str:
    """Another process that runs jobs on the ledger; return its id."""
    return instances.register(ledger, kind="daemon", config_version=None, now_ns=T)


def released(ledger: Ledger, *dues: DueOccurrence, by: str) -> None:
    commit(ledger, claim(ledger, list(dues), instance=by))


def left(place: JournalPlace, instance: str, *items: Recordable) -> Path:
    """The journal that a process has left with these outcomes."""
    journal = Journal(place, instance)
    journal.append([to_record(item) for item in items])
    journal.close()
    return journal.file


def replayed(ledger: Ledger, place: JournalPlace) -> list[tuple[str, Outcome | None]]:
    """Replay as the next process does; return what became of each occurrence."""
    replay_journals(ledger, place, instance=process(ledger), now_ns=LATER)
    return [(one.id.job, one.outcome) for one in history.find_batch(ledger, T)]


def pay(**different: Any) -> DueOccurrence:
    return a_due(a_job("pay", **different), fire_time_ns=T)


def test_an_outcome_of_the_journal_is_that_of_the_occurrence(ledger: Ledger, place: JournalPlace) -> None:
    due, killed = pay(), process(ledger)
    released(ledger, due, by=killed)
    file = left(place, killed, an_ending(due))
    assert replayed(ledger, place) == [("pay", Outcome.SUCCEEDED)]
    assert history.find_attempts(ledger, due.id) == list(an_ending(due).attempts)
    assert not file.exists()


def test_a_replay_that_is_repeated_changes_nothing(ledger: Ledger, place: JournalPlace) -> None:
    due, killed = pay(), process(ledger)
    released(ledger, due, by=killed)
    left(place, killed, an_ending(due))
    replayed(ledger, place)
    before = history.find(ledger)
    left(place, killed, an_ending(due, Outcome.FAILED, reason="again"))
    replayed(ledger, place)
    assert history.find(ledger) == before


def test_the_chain_begins_with_the_outcome(ledger: Ledger, place: JournalPlace) -> None:
    due, killed = pay(then=THEN), process(ledger)
    released(ledger, due, by=killed)
    left(place, killed, an_ending(due, chain=due.chain(ReturnValue(text="1"))))
    replayed(ledger, place)
    (chain,) = chains.find(ledger)
    assert chain.has(THEN)
    assert list(chains.next_inputs(ledger, [chain.occurrence]).values()) == ['{"result": 1}']


def test_a_failed_attempt_of_the_journal_is_followed_by_the_next(ledger: Ledger, place: JournalPlace) -> None:
    due, killed = pay(), process(ledger)
    released(ledger, due, by=killed)
    left(place, killed, RetryRecord(id=due.id, attempt=REFUSED, due_ns=LATER, executor="http-1@here"))
    replayed(ledger, place)
    (one,) = history.find(ledger)
    assert (one.state, one.attempts, one.next_attempt_ns) == (OccurrenceState.RUNNING, 1, LATER)


def test_an_attempt_that_the_ledger_has_is_left_out(ledger: Ledger, place: JournalPlace) -> None:
    due, killed = pay(), process(ledger)
    released(ledger, due, by=killed)
    failed = RetryRecord(id=due.id, attempt=REFUSED, due_ns=LATER, executor="http-1@here")
    outcomes.record_retries(ledger, [failed])
    again = replace(due, is_written=True, previous=REFUSED, retry_at_ns=LATER)
    released(ledger, again, by=killed)  # its second attempt may have been sent
    left(place, killed, failed)
    replayed(ledger, place)
    assert history.find(ledger)[0].next_attempt_ns is None


def test_what_another_process_has_released_since_is_left_out(ledger: Ledger, place: JournalPlace) -> None:
    due, killed, other = pay(), process(ledger), process(ledger)
    claim(ledger, [due], instance=killed)
    released(ledger, replace(due, is_written=True), by=other)
    left(place, killed, due.ends(Outcome.MISSED, "too late"))
    assert replayed(ledger, place) == [("pay", None)]


def test_a_missed_occurrence_without_a_row_gets_one(ledger: Ledger, place: JournalPlace) -> None:
    left(place, process(ledger), pay().ends(Outcome.MISSED, "the ledger could not be written in time"))
    assert replayed(ledger, place) == [("pay", Outcome.MISSED)]
    assert history.find(ledger)[0].reason == "the ledger could not be written in time"


def test_a_fire_time_that_a_row_with_a_count_covers_is_left_out(ledger: Ledger, place: JournalPlace) -> None:
    first = a_due(a_job("pay"), fire_time_ns=T - 5 * SECOND)
    missed = first.ends(Outcome.MISSED, "a long stop", count=10, covers_until_ns=T + 5 * SECOND)
    outcomes.record_unstarted(ledger, [missed], now_ns=T)
    left(place, process(ledger), pay().ends(Outcome.MISSED, "late"))
    assert replayed(ledger, place) == []


def test_one_outcome_that_no_database_takes_costs_itself_alone(ledger: Ledger, place: JournalPlace) -> None:
    dues, killed = [a_due(a_job(f"job_{n}"), fire_time_ns=T) for n in range(3)], process(ledger)
    released(ledger, *dues, by=killed)
    endings = [an_ending(due) for due in dues]
    endings[1] = replace(endings[1], finished_at_ns=2**70)
    file = left(place, killed, *endings)
    assert [outcome for _, outcome in replayed(ledger, place)] == [Outcome.SUCCEEDED, None, Outcome.SUCCEEDED]
    assert [one.name for one in place.folder.iterdir()] == [f"{file.name}.unreadable"]


def test_a_journal_of_another_ledger_stays_as_it_is(ledger: Ledger, place: JournalPlace) -> None:
    due = pay()
    released(ledger, due, by=process(ledger))
    file = left(place, "f" * 32, an_ending(due))
    assert replayed(ledger, place) == [("pay", None)]
    assert file.exists()


def test_a_journal_that_cannot_be_read_is_set_aside_and_no_other(ledger: Ledger, place: JournalPlace) -> None:
    due, killed = pay(), process(ledger)
    released(ledger, due, by=killed)
    file = left(place, killed, an_ending(due))
    place.file("text").write_text("these are my notes\n")
    place.file("link").symlink_to(file)
    assert replayed(ledger, place) == [("pay", Outcome.SUCCEEDED)]
    assert {one.name for one in place.folder.iterdir()} == {
        "outcomes-text.unreadable",
        "outcomes-link.unreadable",
    }


def test_a_record_that_is_no_outcome_costs_itself_alone(ledger: Ledger, place: JournalPlace) -> None:
    due, killed = pay(), process(ledger)
    released(ledger, due, by=killed)
    journal = Journal(place, killed)
    journal.append([{"kind": "ended"}, {"kind": "what"}, to_record(an_ending(due))])
    journal.close()
    assert replayed(ledger, place) == [("pay", Outcome.SUCCEEDED)]


def test_an_unknown_that_was_decided_before_stays(ledger: Ledger, place: JournalPlace) -> None:
    due, killed = pay(), process(ledger)
    released(ledger, due, by=killed)
    outcomes.unknown_after_crash(ledger, now_ns=T, reason="killed")
    left(place, killed, an_ending(due))
    assert replayed(ledger, place) == [("pay", Outcome.UNKNOWN)]
