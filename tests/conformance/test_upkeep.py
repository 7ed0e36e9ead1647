"""Retention: old history is deleted, but never what is open, not decided yet, or may still be asked for."""

from typing import Any

import sqlalchemy as sa

from tests.support.ledgers import T, an_instance, claim, commit, count, dues_of, let_go, prune_all, run_batch
from tests.support.values import an_ending
from tminus.instants import SECOND
from tminus.ledger import fire_time_rows, history, instances, outcomes, requests, schedules, upkeep
from tminus.ledger.claims import queue
from tminus.ledger.engine import Ledger
from tminus.ledger.requests import RequestKind, RequestRow
from tminus.ledger.resolutions import set_resolution
from tminus.ledger.tables import attempts, notices, occurrences, releases
from tminus.ledger.tables import requests as requests_table
from tminus.ledger.tables import schedules as schedules_table
from tminus.model.notification import OutcomeWatch
from tminus.model.occurrence import OccurrenceId, Resolution
from tminus.outcome import Outcome, Resolved

NEVER = T + 10**6 * SECOND
LATER = T + 1_000 * SECOND


def run_later(ledger: Ledger, *names: str) -> None:
    """Run these jobs once more, so that their earlier runs are not the last ones."""
    outcomes.record(ledger, [an_ending(due) for due in let_go(ledger, *names, fire_time_ns=LATER)])


def times(ledger: Ledger) -> list[int]:
    """Return the fire times in the ledger, in seconds after T."""
    return sorted((one.id.fire_time_ns - T) // SECOND for one in history.find(ledger))


def run_at(
    ledger: Ledger, second: int, outcome: Outcome = Outcome.SUCCEEDED, **different: Any
) -> OccurrenceId:
    """Run the job `pay` at this second after T, with this outcome."""
    (due,) = let_go(ledger, "pay", fire_time_ns=T + second * SECOND)
    outcomes.record(ledger, [an_ending(due, outcome, **different)])
    return due.id


def test_the_last_run_and_the_last_success_of_a_job_stay(ledger: Ledger) -> None:
    for second, outcome in enumerate((Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.FAILED, Outcome.FAILED)):
        run_at(ledger, second, outcome)
    prune_all(ledger, before_ns=NEVER)
    assert times(ledger) == [1, 3]


def test_what_is_unknown_or_missed_stays_until_it_is_resolved(ledger: Ledger) -> None:
    unknown = run_at(ledger, 0, Outcome.UNKNOWN, reason="killed")
    (missed,) = dues_of("pay", fire_time_ns=T + SECOND)
    outcomes.record_unstarted(ledger, [missed.ends(Outcome.MISSED, "late")], now_ns=T)
    run_later(ledger, "pay")
    prune_all(ledger, before_ns=LATER)
    assert times(ledger) == [0, 1, 1_000]
    for identity in (unknown, missed.id):
        resolve(ledger, identity)
    prune_all(ledger, before_ns=LATER)
    assert times(ledger) == [1_000]


def resolve(ledger: Ledger, identity: OccurrenceId) -> None:
    with ledger.write() as connection:
        set_resolution(connection, identity, Resolution(resolved=Resolved.RAN, by="ann@desk", at_ns=T))


def test_only_the_newest_of_each_job_stay_if_their_number_is_limited(ledger: Ledger) -> None:
    for second in range(30):
        run_at(ledger, second)
    run_batch(ledger, [0.5], planned_at_ns=T)
    pieces = prune_all(ledger, before_ns=0, keep_last=10)
    assert (sum(pieces), times(ledger)) == (20, [0, *range(20, 30)])
    assert count(ledger, releases) == 11


def test_what_nobody_has_been_told_of_yet_stays(ledger: Ledger) -> None:
    ledger.watch = OutcomeWatch(outcomes={"pay": frozenset({Outcome.FAILED})})
    run_at(ledger, 0, Outcome.FAILED)
    run_later(ledger, "pay")
    prune_all(ledger, before_ns=LATER)
    assert times(ledger) == [0, 1_000]
    with ledger.write() as connection:
        connection.execute(notices.delete())
    prune_all(ledger, before_ns=LATER)
    assert times(ledger) == [1_000]


def test_jobs_within_the_limit_are_looked_at_in_pieces_too(ledger: Ledger) -> None:
    run_later(ledger, *(f"job_{number:02}" for number in range(30)))
    without_limit = prune_all(ledger, before_ns=0)
    assert len(prune_all(ledger, before_ns=0, keep_last=5)) == len(without_limit) + 2


def test_what_stays_does_not_hide_older_history_behind_it(ledger: Ledger) -> None:
    stay = let_go(ledger, *(f"open_{number}" for number in range(150)))
    run_at(ledger, 1)
    run_later(ledger, "pay")
    prune_all(ledger, before_ns=LATER)
    assert len(history.find(ledger)) == len(stay) + 1


def test_a_later_run_stays_while_the_first_run_of_its_fire_time_does(ledger: Ledger) -> None:
    identity = run_at(ledger, 0, Outcome.UNKNOWN, reason="killed")
    (again,) = dues_of("pay", run=1)
    commit(ledger, claim(ledger, [again]))
    outcomes.record(ledger, [an_ending(again)])
    run_later(ledger, "pay")
    prune_all(ledger, before_ns=LATER)
    assert times(ledger) == [0, 0, 1_000]
    resolve(ledger, identity)
    prune_all(ledger, before_ns=LATER)
    prune_all(ledger, before_ns=LATER)
    assert times(ledger) == [1_000]


def test_the_ledger_knows_up_to_where_history_was_deleted(ledger: Ledger) -> None:
    schedules.replace_schedules(ledger, {"pay": "[]", "pack": "[]"}, now_ns=T - SECOND)
    instances.record_heartbeat(ledger, an_instance(ledger), T, decided_until_ns=NEVER)
    for second in range(3):
        run_at(ledger, second)
    prune_all(ledger, before_ns=NEVER)
    found = fire_time_rows.schedules_between(ledger, since_ns=T, until_ns=NEVER)
    assert {one.job: one.deleted_until_ns for one in found} == {"pay": T + SECOND, "pack": None}


def test_what_ended_before_goes_with_its_attempts_and_the_rest_stays(ledger: Ledger) -> None:
    run_batch(ledger, [0.5, 0.7], planned_at_ns=T)
    kept = run_batch(ledger, [0.5, 0.7], planned_at_ns=T + SECOND)
    prune_all(ledger, before_ns=T + SECOND)
    assert {one.id for one in history.find(ledger)} == set(kept)
    assert (count(ledger, attempts), count(ledger, releases)) == (2, 1)


def test_what_has_no_outcome_stays_however_old_it_is(ledger: Ledger) -> None:
    request = requests.add_request(ledger, RequestKind.RUN_NOW, {}, now_ns=T)
    with ledger.write() as connection:
        queue(connection, dues_of("queued"), request=request.id)
    claim(ledger, dues_of("claimed"))
    let_go(ledger, "running")
    before = {one.id for one in history.unfinished(ledger)}
    prune_all(ledger, before_ns=NEVER)
    assert {one.id for one in history.unfinished(ledger)} == before
    assert len(before) == 3
    assert outcomes.unknown_after_crash(ledger, now_ns=T, reason="its release is still there") == 1


def test_a_request_that_nobody_has_taken_stays(ledger: Ledger) -> None:
    pending = requests.add_request(ledger, RequestKind.RUN_NOW, {}, now_ns=T)
    withdrawn = requests.add_request(ledger, RequestKind.RUN_NOW, {}, now_ns=T)
    requests.withdraw(ledger, withdrawn, now_ns=T)
    prune_all(ledger, before_ns=NEVER)
    assert requests.pending(ledger) == [pending]
    assert count(ledger, requests_table) == 1


def taken(ledger: Ledger, *names: str) -> RequestRow:
    request = requests.add_request(ledger, RequestKind.RUN_NOW, {}, now_ns=T)
    requests.take(
        ledger,
        request,
        instance=an_instance(ledger),
        execute=lambda connection: {"queued": queue(connection, dues_of(*names), request=request.id)},
    )
    return request


def test_a_request_stays_as_long_as_something_that_it_made(ledger: Ledger) -> None:
    taken(ledger, "pay", "pack")
    pay, pack = dues_of("pay", "pack")
    outcomes.record(ledger, [an_ending(pay)])
    prune_all(ledger, before_ns=NEVER)
    assert count(ledger, requests_table) == 1
    outcomes.record(ledger, [an_ending(pack)])
    run_later(ledger, "pay", "pack")
    prune_all(ledger, before_ns=LATER)
    assert (count(ledger, requests_table), count(ledger, occurrences)) == (0, 2)


def test_much_goes_in_pieces_so_that_nobody_waits_long(ledger: Ledger) -> None:
    due_occurrences = let_go(ledger, *(f"job_{number}" for number in range(1_200)))
    outcomes.record(ledger, [an_ending(due) for due in due_occurrences])
    run_later(ledger, *(f"job_{number}" for number in range(1_200)))
    assert max(prune_all(ledger, before_ns=LATER)) == 25
    assert (count(ledger, occurrences), count(ledger, releases)) == (1_200, 1)


def test_a_row_that_says_that_a_fire_time_was_decided_stays_until_a_mark_says_so(ledger: Ledger) -> None:
    schedules.replace_schedules(ledger, {"pay": "every 1y", "pack": "every 1y"}, now_ns=T - SECOND)
    for second in (0, 1, 1_000):
        run_at(ledger, second)
    prune_all(ledger, before_ns=LATER)
    assert times(ledger) == [0, 1, 1_000]
    instances.record_heartbeat(ledger, an_instance(ledger), T, decided_until_ns=T)
    prune_all(ledger, before_ns=LATER)
    assert times(ledger) == [1, 1_000]
    owed = schedules.replace_schedules(ledger, {"pay": "every 1y", "pack": "every 1y"}, now_ns=NEVER)
    assert owed == {"pay": T, "pack": T}


def test_a_row_with_a_count_stays_until_all_that_it_stands_for_is_before_the_mark(ledger: Ledger) -> None:
    schedules.replace_schedules(ledger, {"pay": "every 1y"}, now_ns=T - SECOND)
    (due,) = dues_of("pay", fire_time_ns=T)
    outcomes.record_unstarted(
        ledger, [due.ends(Outcome.SKIPPED, "late", count=3, covers_until_ns=T + 3 * SECOND)], now_ns=T
    )
    instances.record_heartbeat(ledger, an_instance(ledger), T, decided_until_ns=T + SECOND)
    prune_all(ledger, before_ns=NEVER)
    (account,) = schedules.accounts(ledger)
    assert (account.decided_until_ns, account.covered) == (T - SECOND, [(T, T + 3 * SECOND)])
    instances.record_heartbeat(ledger, an_instance(ledger), T, decided_until_ns=T + 3 * SECOND)
    prune_all(ledger, before_ns=NEVER)
    assert history.find(ledger) == []


def test_an_empty_ledger_has_nothing_to_let_go_of(ledger: Ledger) -> None:
    assert not any(prune_all(ledger, before_ns=NEVER))


def test_the_text_of_a_version_goes_when_nothing_refers_to_it_and_it_is_not_in_force(ledger: Ledger) -> None:
    for number, version in enumerate(("unused", "used", "back", "last", "new")):
        upkeep.keep_config(ledger, version, "{}", now_ns=T + number * SECOND)
    upkeep.keep_config(ledger, "back", "{}", now_ns=T + 3 * SECOND + 1)
    claim(ledger, dues_of("pay", config_version="used"))
    prune_all(ledger, before_ns=T + 4 * SECOND)
    kept = {
        version
        for version in ("unused", "used", "back", "last", "new")
        if history.config_text(ledger, version)
    }
    assert kept == {"used", "back", "new"}


def test_a_schedule_that_has_ended_goes_once_all_its_fire_times_are_decided(ledger: Ledger) -> None:
    def names() -> list[str]:
        with ledger.read() as connection:
            return list(connection.scalars(sa.select(schedules_table.c.job).order_by(schedules_table.c.job)))

    identity = an_instance(ledger)
    schedules.replace_schedules(ledger, {"ended": "[]", "kept": "[]"}, now_ns=T)
    schedules.replace_schedules(ledger, {"kept": "[]"}, now_ns=T + 10 * SECOND)
    instances.record_heartbeat(ledger, identity, T, decided_until_ns=T + 9 * SECOND)
    prune_all(ledger, before_ns=NEVER)
    assert names() == ["ended", "kept"]
    instances.record_heartbeat(ledger, identity, T, decided_until_ns=T + 10 * SECOND)
    prune_all(ledger, before_ns=T + 10 * SECOND)
    assert names() == ["ended", "kept"]
    prune_all(ledger, before_ns=NEVER)
    assert names() == ["kept"]
