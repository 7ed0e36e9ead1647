"""Catch-up after a stop: what runs, what is missed, and what a further stop in the middle leaves."""

from tests.support.ledgers import T, claim, commit
from tests.support.scheduling import SteppedDaemon, definitions_of
from tests.support.values import a_job
from tminus.daemon.recovery import recover
from tminus.instants import SECOND
from tminus.ledger import claims, history
from tminus.ledger.engine import Ledger
from tminus.model.batch import DueOccurrence
from tminus.model.definitions import Definitions
from tminus.model.job import Every
from tminus.outcome import OccurrenceState, Origin, Outcome
from tminus.policies.catch_up import CatchUp
from tminus.policies.coalesce import Coalesce

HOUR = 3600 * SECOND
FIRST = T // HOUR * HOUR


def hourly(coalesce: Coalesce = Coalesce.ALL, *, window_ns: int = 5 * HOUR, most: int = 100) -> Definitions:
    catch_up = CatchUp(window_ns=window_ns, most=most)
    return definitions_of(a_job(schedule=(Every(HOUR),), coalesce=coalesce, catch_up=catch_up))


def backlog(ledger: Ledger, definitions: Definitions, now_ns: int) -> list[DueOccurrence]:
    """What waits for room after a start."""
    return list(recover(ledger, definitions, since_ns=now_ns, now_ns=now_ns).backlog)


def hours(due_occurrences: list[DueOccurrence]) -> list[int]:
    return [(due.id.fire_time_ns - FIRST) // HOUR for due in due_occurrences]


def test_what_is_within_the_window_runs_as_a_catch_up_and_the_rest_is_one_missed_row(ledger: Ledger) -> None:
    recover(ledger, hourly(), since_ns=FIRST, now_ns=FIRST)
    found = backlog(ledger, hourly(), FIRST + 10 * HOUR + 60 * SECOND)
    assert hours(found) == [6, 7, 8, 9, 10]
    assert {(due.origin, due.planned_at_ns) for due in found} == {
        (Origin.CATCH_UP, FIRST + 10 * HOUR + 60 * SECOND)
    }
    (row,) = history.find(ledger)
    assert (row.outcome, row.count, row.id.fire_time_ns) == (Outcome.MISSED, 5, FIRST + HOUR)


def test_the_latest_is_a_catch_up_and_the_others_are_coalesced_into_it(ledger: Ledger) -> None:
    recover(ledger, hourly(Coalesce.LATEST), since_ns=FIRST, now_ns=FIRST)
    found = backlog(ledger, hourly(Coalesce.LATEST), FIRST + 3 * HOUR + 60 * SECOND)
    assert hours(found) == [3]
    assert {(row.outcome, row.reason) for row in history.find(ledger)} == {
        (Outcome.SKIPPED, f"coalesced into {found[0].id}")
    }


def test_a_stop_in_the_middle_leaves_those_that_have_not_run_in_their_order(ledger: Ledger) -> None:
    """One has run, one is claimed, the others are queued; the next start comes after the window is over."""
    definitions, now_ns = hourly(), FIRST + 5 * HOUR + 60 * SECOND
    recover(ledger, definitions, since_ns=FIRST, now_ns=FIRST)
    daemon = SteppedDaemon(ledger, definitions, since_ns=now_ns, now_ns=now_ns)
    daemon.put_off(4)
    (first, second, *_) = daemon.agenda.waiting[now_ns]
    daemon.agenda.waiting.clear()
    for due in (first, second):
        daemon.agenda.add(due)
        daemon.close(now_ns)
    for batch in daemon.batches:
        daemon.claim(batch)
    daemon.run(daemon.batches[0])
    later_ns = now_ns + 10 * 60 * SECOND
    found = backlog(ledger, definitions, later_ns)
    assert hours(found) == [2, 3, 4, 5]
    assert [due.is_written for due in found] == [True, True, True, False]


def test_a_catch_up_that_has_waited_longer_than_the_window_is_missed(ledger: Ledger) -> None:
    definitions, now_ns = hourly(), FIRST + HOUR + 60 * SECOND
    recover(ledger, definitions, since_ns=FIRST, now_ns=FIRST)
    claims.put_off(ledger, backlog(ledger, definitions, now_ns))
    assert hours(backlog(ledger, definitions, now_ns + 5 * HOUR)) == [1, 2, 3, 4, 5, 6]
    assert hours(backlog(ledger, definitions, now_ns + 6 * HOUR)) == [3, 4, 5, 6, 7]
    missed = {row.id.fire_time_ns for row in history.find(ledger) if row.outcome is Outcome.MISSED}
    assert FIRST + HOUR in missed


def test_a_claim_past_its_grace_becomes_a_catch_up_and_its_row_says_so(ledger: Ledger) -> None:
    definitions = hourly(Coalesce.LATEST)
    recover(ledger, definitions, since_ns=FIRST, now_ns=FIRST)
    daemon = SteppedDaemon(ledger, definitions, since_ns=FIRST, now_ns=FIRST + 1)
    daemon.wake("pay", FIRST + HOUR - SECOND)
    daemon.close(FIRST + HOUR)
    daemon.claim(daemon.batches[0])
    (due,) = backlog(ledger, definitions, FIRST + HOUR + 60 * SECOND)
    claims.put_off(ledger, [due])
    (row,) = history.find(ledger)
    assert (row.id, row.state, row.origin) == (due.id, OccurrenceState.QUEUED, Origin.CATCH_UP)
    release = claim(ledger, [due])
    assert release.claimed == {due.id}
    (row,) = history.find(ledger)
    assert row.planned_at_ns == release.planned_at_ns


def test_what_a_commit_holds_back_is_queued_again_since_then(ledger: Ledger) -> None:
    definitions = hourly()
    recover(ledger, definitions, since_ns=FIRST, now_ns=FIRST)
    found = backlog(ledger, definitions, FIRST + HOUR + 60 * SECOND)
    claims.put_off(ledger, found)
    release = claim(ledger, backlog(ledger, definitions, FIRST + HOUR + 61 * SECOND))
    started = claims.commit(
        ledger, release, withdrawn=[], held_back=[due.id for due in found], now_ns=FIRST + 2 * HOUR
    )
    assert started == frozenset()
    (row,) = history.find(ledger)
    assert (row.state, row.outcome, row.buffered_ns) == (OccurrenceState.QUEUED, None, found[0].room_at_ns)
    assert commit(ledger, claim(ledger, backlog(ledger, definitions, FIRST + HOUR + 62 * SECOND)))
