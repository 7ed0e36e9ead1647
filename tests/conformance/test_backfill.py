"""Backfill: which past fire times run."""

from typing import Any

import pytest

from tests.support.ledgers import T, an_instance, claim, commit, dues_of, prune_all
from tests.support.scheduling import definitions_of
from tests.support.values import a_due, a_job, an_ending
from tminus.daemon.recovery import recover
from tminus.daemon.schedule_recovery import active_schedules
from tminus.errors import JobNotFound, UsageError
from tminus.instants import SECOND
from tminus.ledger import history, instances, outcomes, requests, schedules
from tminus.ledger.engine import Ledger
from tminus.ledger.requests import RequestKind
from tminus.model.job import Every
from tminus.operations.backfill import BackfillPlan, accept, plan, to_body
from tminus.outcome import OccurrenceState, Origin, Outcome

MINUTE = 60 * SECOND
DEFINITIONS = definitions_of(
    a_job("pay", schedule=(Every(MINUTE),)), a_job("often", schedule=(Every(SECOND),)), a_job("by_hand")
)
NOW = T + 3_600 * SECOND


def ended(ledger: Ledger, outcome: Outcome, *, at_ns: int) -> None:
    """Write an occurrence of `pay` with this outcome."""
    (pay,) = dues_of("pay", fire_time_ns=at_ns)
    if outcome in (Outcome.MISSED, Outcome.SKIPPED, Outcome.CANCELLED):
        outcomes.record_unstarted(ledger, [pay.ends(outcome, "by the test")], now_ns=at_ns)
    else:
        commit(ledger, claim(ledger, [pay]))
        outcomes.record(ledger, [an_ending(pay, outcome)])


def planned(ledger: Ledger, *names: str, **different: Any) -> BackfillPlan:
    """Plan the five fire times of `pay` from T on."""
    body = to_body(names or ("pay",), from_ns=T, to_ns=T + 4 * MINUTE) | different
    with ledger.read() as connection:
        return plan(connection, body, DEFINITIONS, now_ns=NOW)


def test_fire_times_that_nothing_has_run_are_run(ledger: Ledger) -> None:
    ended(ledger, Outcome.MISSED, at_ns=T)
    ended(ledger, Outcome.SUCCEEDED, at_ns=T + MINUTE)
    ended(ledger, Outcome.CANCELLED, at_ns=T + 2 * MINUTE)
    ended(ledger, Outcome.FAILED, at_ns=T + 3 * MINUTE)
    found = planned(ledger)
    assert [((due.id.fire_time_ns - T) // MINUTE, due.id.run) for due in found.due_occurrences] == [
        (0, 1),
        (2, 1),
        (4, 1),
    ]
    assert found.left_alone == {"pay": 2}
    assert {due.origin for due in found.due_occurrences} == {Origin.BACKFILL}


def test_a_second_backfill_runs_only_what_the_first_has_not_run(ledger: Ledger) -> None:
    first = a_due(DEFINITIONS.jobs["pay"], fire_time_ns=T, run=1)
    outcomes.record_unstarted(ledger, [first.ends(Outcome.CANCELLED, "by the test")], now_ns=T)
    commit(ledger, claim(ledger, [a_due(DEFINITIONS.jobs["pay"], fire_time_ns=T + MINUTE, run=1)]))
    found = planned(ledger)
    assert (found.due_occurrences[0].id.run, found.left_alone) == (2, {"pay": 1})


def test_a_fire_time_among_many_that_were_missed_runs_beside_their_row(ledger: Ledger) -> None:
    (pay,) = dues_of("pay", fire_time_ns=T - MINUTE)
    missed = pay.ends(Outcome.MISSED, "by the test", count=6, covers_until_ns=T + 4 * MINUTE)
    outcomes.record_unstarted(ledger, [missed], now_ns=T)
    assert [due.id.run for due in planned(ledger).due_occurrences] == [1] * 5


def test_what_is_accepted_is_queued_and_waits_for_room_after_a_restart(ledger: Ledger) -> None:
    request = requests.add_request(
        ledger, RequestKind.BACKFILL, to_body(["pay"], from_ns=T, to_ns=T + MINUTE), now_ns=NOW, by="eve@here"
    )
    with ledger.write() as connection:
        accept(connection, request, DEFINITIONS, now_ns=NOW)
    assert {one.state for one in history.find(ledger)} == {OccurrenceState.QUEUED}
    later_ns = NOW + 86_400 * SECOND
    found = recover(ledger, DEFINITIONS, since_ns=later_ns, now_ns=later_ns)
    assert [due.id.fire_time_ns for due in found.backlog if due.origin is Origin.BACKFILL] == [T, T + MINUTE]


@pytest.mark.parametrize(
    ("names", "different", "message"),
    [
        (["pay"], {"to_ns": T - 1}, "is before"),
        (["pay"], {"to_ns": NOW + 1}, "is not past"),
        (["by_hand"], {}, "has no schedule"),
        (["often"], {"from_ns": T - 20_000 * SECOND}, "more than 10000 fire times"),
        (["pay"], {"from_ns": "yesterday"}, "malformed"),
        ([], {"jobs": []}, "names no jobs"),
    ],
)
def test_what_cannot_be_backfilled_is_an_error(
    ledger: Ledger, names: list[str], different: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        planned(ledger, *names, **different)


def test_fire_times_whose_history_was_deleted_are_not_run_again(ledger: Ledger) -> None:
    schedules.replace_schedules(ledger, active_schedules(DEFINITIONS), now_ns=T - MINUTE)
    for minute in range(4):
        ended(ledger, Outcome.SUCCEEDED, at_ns=T + minute * MINUTE)
    instances.record_heartbeat(ledger, an_instance(ledger), T, decided_until_ns=NOW)
    prune_all(ledger, before_ns=T + 2 * MINUTE)
    with pytest.raises(UsageError, match="history of pay up to 2025-11-20T11:31:00Z was deleted"):
        planned(ledger)
    assert planned(ledger, from_ns=T + 2 * MINUTE).left_alone == {"pay": 2}


def test_a_job_that_does_not_exist_is_not_found(ledger: Ledger) -> None:
    with pytest.raises(JobNotFound):
        planned(ledger, "pai")
