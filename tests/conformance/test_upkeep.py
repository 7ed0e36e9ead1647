"""Old history is let go; what is open, or owed, never is."""

import sqlalchemy as sa

from scheduler.instants import SECOND
from scheduler.ledger import history, instances, outcomes, requests, schedules, upkeep
from scheduler.ledger.claims import queue
from scheduler.ledger.engine import Ledger
from scheduler.ledger.requests import Kind, Request
from scheduler.ledger.tables import attempts, occurrences, releases
from scheduler.ledger.tables import requests as requests_table
from scheduler.ledger.tables import schedules as schedules_table
from scheduler.outcome import Outcome
from tests.support.ledgers import T, an_instance, claim, count, dues_of, let_go, run_batch
from tests.support.values import an_ending

NEVER = T + 10**6 * SECOND


def prune_all(ledger: Ledger, *, before_ns: int) -> int:
    """How many times it was called until there was nothing more to do."""
    calls = 1
    while upkeep.prune(ledger, before_ns=before_ns):
        calls += 1
    return calls


def test_what_ended_before_goes_with_its_attempts_and_the_rest_stays(ledger: Ledger) -> None:
    run_batch(ledger, [0.5, 0.7], planned_at_ns=T)
    kept = run_batch(ledger, [0.5], planned_at_ns=T + SECOND)
    prune_all(ledger, before_ns=T + SECOND)
    assert [one.id for one in history.find(ledger)] == kept
    assert (count(ledger, attempts), count(ledger, releases)) == (1, 1)


def test_what_has_no_outcome_stays_however_old_it_is(ledger: Ledger) -> None:
    request = requests.ask(ledger, Kind.RUN_NOW, {}, now_ns=T)
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
    pending = requests.ask(ledger, Kind.RUN_NOW, {}, now_ns=T)
    withdrawn = requests.ask(ledger, Kind.RUN_NOW, {}, now_ns=T)
    requests.withdraw(ledger, withdrawn, now_ns=T)
    prune_all(ledger, before_ns=NEVER)
    assert requests.pending(ledger) == [pending]
    assert count(ledger, requests_table) == 1


def taken(ledger: Ledger, *names: str) -> Request:
    request = requests.ask(ledger, Kind.RUN_NOW, {}, now_ns=T)
    requests.take(
        ledger,
        request,
        instance=an_instance(ledger),
        answer=lambda connection: {"queued": queue(connection, dues_of(*names), request=request.id)},
    )
    return request


def test_a_request_stays_as_long_as_something_that_it_made(ledger: Ledger) -> None:
    taken(ledger, "pay", "pack")
    pay, pack = dues_of("pay", "pack")
    outcomes.record(ledger, [an_ending(pay)])
    prune_all(ledger, before_ns=NEVER)
    assert count(ledger, requests_table) == 1
    outcomes.record(ledger, [an_ending(pack)])
    prune_all(ledger, before_ns=NEVER)
    assert (count(ledger, requests_table), count(ledger, occurrences)) == (0, 0)


def test_much_goes_in_pieces_so_that_nobody_waits_long(ledger: Ledger) -> None:
    dues = let_go(ledger, *(f"job_{number}" for number in range(1_200)))
    outcomes.record(ledger, [an_ending(due) for due in dues])
    assert prune_all(ledger, before_ns=NEVER) == 13
    assert (count(ledger, occurrences), count(ledger, releases)) == (0, 0)


def test_a_row_that_says_that_a_fire_time_was_decided_stays_until_a_mark_says_so(ledger: Ledger) -> None:
    schedules.adopt(ledger, {"pay": "every 1y", "pack": "every 1y"}, now_ns=T - SECOND)
    for due in (*let_go(ledger, "pay", fire_time_ns=T), *let_go(ledger, "pay", fire_time_ns=T + SECOND)):
        outcomes.record(ledger, [an_ending(due)])
    prune_all(ledger, before_ns=NEVER)
    assert len(history.find(ledger)) == 2
    instances.beat(ledger, an_instance(ledger), T, decided_until_ns=T)
    prune_all(ledger, before_ns=NEVER)
    assert [one.id.fire_time_ns for one in history.find(ledger)] == [T + SECOND]
    owed = schedules.adopt(ledger, {"pay": "every 1y", "pack": "every 1y"}, now_ns=NEVER)
    assert owed == {"pay": T, "pack": T}


def test_a_row_with_a_count_stays_until_all_that_it_stands_for_is_before_the_mark(ledger: Ledger) -> None:
    schedules.adopt(ledger, {"pay": "every 1y"}, now_ns=T - SECOND)
    (due,) = dues_of("pay", fire_time_ns=T)
    outcomes.decide(ledger, [due.ends(Outcome.MISSED, "late", count=3, covers_until_ns=T + 3 * SECOND)], now_ns=T)
    instances.beat(ledger, an_instance(ledger), T, decided_until_ns=T + SECOND)
    prune_all(ledger, before_ns=NEVER)
    (account,) = schedules.accounts(ledger)
    assert (account.decided_until_ns, account.covered) == (T - SECOND, [(T, T + 3 * SECOND)])
    instances.beat(ledger, an_instance(ledger), T, decided_until_ns=T + 3 * SECOND)
    prune_all(ledger, before_ns=NEVER)
    assert history.find(ledger) == []


def test_an_empty_ledger_has_nothing_to_let_go_of(ledger: Ledger) -> None:
    assert not upkeep.prune(ledger, before_ns=NEVER)


def test_the_text_of_a_version_goes_when_nothing_refers_to_it_and_it_is_not_in_force(ledger: Ledger) -> None:
    for number, version in enumerate(("unused", "used", "back", "last", "new")):
        upkeep.keep_config(ledger, version, "{}", now_ns=T + number * SECOND)
    upkeep.keep_config(ledger, "back", "{}", now_ns=T + 3 * SECOND + 1)
    claim(ledger, dues_of("pay", config_version="used"))
    prune_all(ledger, before_ns=T + 4 * SECOND)
    kept = {version for version in ("unused", "used", "back", "last", "new") if history.config_text(ledger, version)}
    assert kept == {"used", "back", "new"}


def test_a_schedule_that_has_ended_goes_once_all_its_fire_times_are_decided(ledger: Ledger) -> None:
    def names() -> list[str]:
        with ledger.read() as connection:
            return list(connection.scalars(sa.select(schedules_table.c.job).order_by(schedules_table.c.job)))

    identity = an_instance(ledger)
    schedules.adopt(ledger, {"ended": "[]", "kept": "[]"}, now_ns=T)
    schedules.adopt(ledger, {"kept": "[]"}, now_ns=T + 10 * SECOND)
    instances.beat(ledger, identity, T, decided_until_ns=T + 9 * SECOND)
    prune_all(ledger, before_ns=NEVER)
    assert names() == ["ended", "kept"]
    instances.beat(ledger, identity, T, decided_until_ns=T + 10 * SECOND)
    prune_all(ledger, before_ns=T + 10 * SECOND)
    assert names() == ["ended", "kept"]
    prune_all(ledger, before_ns=NEVER)
    assert names() == ["kept"]
