"""The start after a long downtime: bounded in rows and time, and it can be interrupted at any statement."""

import pytest
import sqlalchemy as sa

from tests.support.ledgers import T, claim, dues_of, let_go
from tests.support.scheduling import definitions_of
from tests.support.values import a_job
from tminus.daemon.recovery import recover
from tminus.instants import SECOND
from tminus.ledger import history, schedules
from tminus.ledger.engine import Ledger
from tminus.model.job import Every
from tminus.outcome import Outcome
from tminus.policies.pause import Pause
from tminus.policies.withheld import Withheld

MINUTE, DAY = 60 * SECOND, 86_400 * SECOND
FIRST = T // DAY * DAY


def stopped_for(
    ledger: Ledger, *, jobs: int, every_ns: int, grace_ns: int, gone_ns: int
) -> dict[Outcome, int]:
    """Recover, and return the number of rows of each outcome; those that run late have none."""
    many = [a_job(f"job_{n}", schedule=(Every(every_ns),), misfire_grace_ns=grace_ns) for n in range(jobs)]
    definitions = definitions_of(*many)
    recover(ledger, definitions, since_ns=FIRST, now_ns=FIRST)
    found = recover(ledger, definitions, since_ns=FIRST + gone_ns, now_ns=FIRST + gone_ns)
    assert len(found.due_occurrences) == jobs
    rows = history.find(ledger)
    assert sum(one.count for one in rows) == jobs * (gone_ns // every_ns - 1)
    return {
        outcome: sum(one.outcome is outcome for one in rows) for outcome in (Outcome.SKIPPED, Outcome.MISSED)
    }


def test_a_day_of_minutes_within_the_grace_is_one_skipped_row_per_job(ledger: Ledger) -> None:
    found = stopped_for(ledger, jobs=100, every_ns=MINUTE, grace_ns=DAY, gone_ns=DAY)
    assert found == {Outcome.SKIPPED: 100, Outcome.MISSED: 0}


def test_a_year_of_seconds_is_one_missed_and_one_skipped_row(ledger: Ledger) -> None:
    found = stopped_for(ledger, jobs=1, every_ns=SECOND, grace_ns=200 * DAY, gone_ns=366 * DAY)
    assert found == {Outcome.SKIPPED: 1, Outcome.MISSED: 1}


def test_an_hour_of_minutes_within_the_grace_has_a_row_per_fire_time(ledger: Ledger) -> None:
    found = stopped_for(ledger, jobs=2, every_ns=MINUTE, grace_ns=DAY, gone_ns=60 * MINUTE)
    assert found == {Outcome.SKIPPED: 2 * 59, Outcome.MISSED: 0}


class Ended(BaseException):
    """The process has ended here."""


def test_ended_at_any_statement_the_next_start_goes_on_and_decides_all_once(ledger: Ledger) -> None:
    """Each start gets one statement further than the one before; time passes between them."""
    names = ("pay", "pack")
    definitions = definitions_of(
        *(a_job(name, schedule=(Every(SECOND),), misfire_grace_ns=5 * SECOND) for name in names)
    )
    recover(ledger, definitions, since_ns=T - 20 * SECOND, now_ns=T - 20 * SECOND)
    claim(ledger, dues_of(*names, fire_time_ns=T - 8 * SECOND))
    let_go(ledger, *names, fire_time_ns=T - 4 * SECOND)
    left = 0

    def execute(*_: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Ended

    now_ns, further = T, 0
    sa.event.listen(ledger._reader, "before_cursor_execute", execute)
    while True:
        left = further
        try:
            found = recover(ledger, definitions, since_ns=now_ns, now_ns=now_ns)
            break
        except Ended:
            now_ns, further = now_ns + 300_000_000, further + 1
    sa.event.remove(ledger._reader, "before_cursor_execute", execute)
    assert further > 10
    assert sorted(due.id.job for due in found.due_occurrences) == sorted(names)
    claim(ledger, [due for due in found.due_occurrences if not due.is_written])
    for name in names:
        rows = sorted(history.find(ledger, jobs=[name]), key=lambda one: one.id.fire_time_ns)
        at_ns = T - 20 * SECOND
        for one in rows:
            assert one.id.fire_time_ns == at_ns + SECOND
            at_ns += one.count * SECOND
        assert at_ns == now_ns // SECOND * SECOND
        assert [one.id.fire_time_ns - T for one in rows if one.outcome is Outcome.UNKNOWN] == [-4 * SECOND]


def test_what_was_due_when_a_schedule_was_changed_is_said_and_not_run(ledger: Ledger) -> None:
    before = [a_job(name, schedule=(Every(SECOND),)) for name in ("changed", "deleted", "by_hand")]
    recover(ledger, definitions_of(*before), since_ns=T, now_ns=T)
    after = definitions_of(
        a_job("changed", schedule=(Every(60 * SECOND),)),
        a_job("by_hand"),
    )
    found = recover(ledger, after, since_ns=T + 3 * SECOND, now_ns=T + 3 * SECOND)
    assert found.due_occurrences == []
    said = {one.id.job: (one.outcome, one.reason) for one in history.find(ledger)}
    assert said == {
        "changed": (Outcome.MISSED, "not started in time, before the schedule was changed"),
        "deleted": (Outcome.CANCELLED, "the job was deleted from the jobs file"),
        "by_hand": (Outcome.CANCELLED, "the job has no schedule any more"),
    }
    assert {one.job for one in schedules.accounts(ledger) if one.until_ns is None} == {"changed"}


@pytest.mark.parametrize("names", [("pay",), ("pay", "pack")])
def test_of_a_claimed_and_an_unclaimed_late_fire_time_the_later_runs(
    ledger: Ledger, names: tuple[str, ...]
) -> None:
    definitions = definitions_of(*(a_job(name, schedule=(Every(SECOND),)) for name in names))
    recover(ledger, definitions, since_ns=T, now_ns=T)
    with ledger.write() as connection:
        connection.execute(sa.text("INSERT INTO configs VALUES ('0123456789ab', '{}', 0, 0)"))
    claim(ledger, dues_of(*names, fire_time_ns=T + 2 * SECOND))
    found = recover(ledger, definitions, since_ns=T + 2 * SECOND, now_ns=T + 2 * SECOND)
    assert [(due.id.fire_time_ns, due.is_written) for due in found.due_occurrences] == [
        (T + 2 * SECOND, True)
    ] * len(names)
    found = recover(ledger, definitions, since_ns=T + 3 * SECOND, now_ns=T + 3 * SECOND)
    assert [(due.id.fire_time_ns, due.is_written) for due in found.due_occurrences] == [
        (T + 3 * SECOND, False)
    ] * len(names)


def test_what_was_paused_or_skipped_before_a_stop_is_skipped_and_not_missed(ledger: Ledger) -> None:
    definitions = definitions_of(
        *(a_job(name, schedule=(Every(SECOND),), misfire_grace_ns=0) for name in ("paused", "later", "once"))
    )
    recover(ledger, definitions, since_ns=T, now_ns=T)
    pauses = {
        name: Pause(since_ns=since_ns, until_ns=None, reason="", by="ann@desk")
        for name, since_ns in (("paused", T), ("later", T + 2 * SECOND))
    }
    withheld = Withheld(pauses=pauses, skips={("once", T + SECOND): "bob@desk"})
    now_ns = T + 10 * SECOND + 1
    recover(ledger, definitions, since_ns=now_ns, now_ns=now_ns, withheld=withheld)
    said = {one.id.job: (one.count, one.outcome, one.reason) for one in history.find(ledger)}
    assert said["paused"][1:] == (Outcome.SKIPPED, "paused by ann@desk since 2025-11-20T11:30:00Z")
    assert said["later"][1] is Outcome.MISSED  # the row stands for times before the pause, too
    assert said["once"][1] is Outcome.MISSED  # and for times that nobody has skipped


def test_a_single_fire_time_that_was_skipped_before_a_stop_is_not_missed(ledger: Ledger) -> None:
    definitions = definitions_of(a_job("once", schedule=(Every(SECOND),), misfire_grace_ns=0))
    recover(ledger, definitions, since_ns=T, now_ns=T)
    withheld, now_ns = Withheld(skips={("once", T + SECOND): "bob@desk"}), T + SECOND + 1
    recover(ledger, definitions, since_ns=now_ns, now_ns=now_ns, withheld=withheld)
    (one,) = history.find(ledger)
    assert (one.outcome, one.reason) == (Outcome.SKIPPED, "skipped by bob@desk")
