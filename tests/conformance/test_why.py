"""Why: what the ledger and the schedule say of a job at an instant."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from tests.support.ledgers import T, an_instance, claim, commit, dues_of, let_go
from tests.support.scheduling import definitions_of
from tests.support.values import a_due, a_job, an_attempt, an_ending
from tminus.daemon.schedule_recovery import active_schedules
from tminus.errors import JobNotFound
from tminus.instants import MS, SECOND
from tminus.ledger import instances, outcomes, pauses, schedules
from tminus.ledger.engine import Ledger
from tminus.ledger.tables import schedules as schedules_table
from tminus.model.definitions import Definitions
from tminus.model.job import Every
from tminus.operations.why import explain
from tminus.outcome import Outcome
from tminus.policies.pause import Pause, PauseKind

MINUTE = 60 * SECOND
DEFINITIONS = definitions_of(a_job("pay", schedule=(Every(MINUTE),)), a_job("pack", schedule=()))


def said(
    ledger: Ledger, job: str = "pay", *, at_ns: int = T, definitions: Definitions | None = DEFINITIONS
) -> list[str]:
    """The sentences."""
    found = explain(
        ledger,
        definitions,
        job,
        at_ns=at_ns,
        now_ns=T + 90 * SECOND,
        zone=ZoneInfo("UTC"),
        unreadable=lambda _row: None,
    )
    return list(found.sentences)


@pytest.fixture
def accountable(ledger: Ledger) -> Ledger:
    """A ledger whose job `pay` is due every minute since an hour before T."""
    schedules.replace_schedules(ledger, active_schedules(DEFINITIONS), now_ns=T - 60 * MINUTE)
    return ledger


def test_one_that_ran_says_when_it_started_and_how_it_ended(accountable: Ledger) -> None:
    (pay,) = let_go(accountable, "pay")
    outcomes.record(accountable, [an_ending(pay)])
    assert said(accountable) == [
        "pay@2025-11-20T11:30:00Z was planned for Thu 2025-11-20 11:30:00 UTC, origin schedule.",
        "It started 1 ms after that, armed, and ended as succeeded.",
    ]


def test_several_attempts_are_named_one_by_one(accountable: Ledger) -> None:
    (pay,) = let_go(accountable, "pay")
    attempts = (
        an_attempt(1, at_ns=T + MS, outcome=Outcome.FAILED, reason="status: 503 instead of 2xx"),
        an_attempt(2, at_ns=T + SECOND),
    )
    outcomes.record(accountable, [an_ending(pay, attempts=attempts)])
    assert said(accountable)[2:] == [
        "Attempt 1 started at Thu 2025-11-20 11:30:00.001 UTC, failed: status: 503 instead of 2xx.",
        "Attempt 2 started at Thu 2025-11-20 11:30:01 UTC, succeeded.",
    ]


def test_an_attempt_whose_start_is_not_known_may_have_started(accountable: Ledger) -> None:
    (pay,) = dues_of("pay")
    commit(accountable, claim(accountable, [pay]))
    lost = replace(an_attempt(at_ns=T, outcome=Outcome.UNKNOWN, reason="killed"), started_at_ns=None)
    outcomes.record(accountable, [an_ending(pay, attempts=(lost, an_attempt(2, at_ns=T + SECOND)))])
    assert "Attempt 1 may have started, unknown: killed." in said(accountable)


def test_a_missed_one_says_whether_a_daemon_ran(accountable: Ledger) -> None:
    stopped = an_instance(accountable, now_ns=T - 10 * MINUTE)
    instances.record_stop(accountable, stopped, T - MINUTE)
    an_instance(accountable, now_ns=T + MINUTE)
    (pay,) = dues_of("pay")
    outcomes.record_unstarted(accountable, [pay.ends(Outcome.MISSED, "not started in time")], now_ns=T)
    assert said(accountable)[1:] == [
        "It did not start: missed, not started in time.",
        "No daemon ran then: the last one ended at Thu 2025-11-20 11:29:00 UTC; "
        "the next one started at Thu 2025-11-20 11:31:00 UTC.",
    ]


def test_a_row_that_stands_for_many_fire_times_explains_each_of_them(accountable: Ledger) -> None:
    (pay,) = dues_of("pay", fire_time_ns=T - 5 * MINUTE)
    missed = pay.ends(Outcome.MISSED, "not started in time", count=10, covers_until_ns=T + 4 * MINUTE)
    outcomes.record_unstarted(accountable, [missed], now_ns=T)
    assert said(accountable)[0] == "pay@2025-11-20T11:25:00Z stands for 10 fire times in a row."


def test_one_that_is_claimed_has_no_outcome_yet(accountable: Ledger) -> None:
    commit(accountable, claim(accountable, dues_of("pay")))
    assert said(accountable)[1] == "It is running, and has no outcome yet."


def test_a_time_at_which_it_was_not_due_names_the_nearest(accountable: Ledger) -> None:
    assert said(accountable, at_ns=T + 30 * SECOND) == [
        "Its schedule was not due then.",
        "The fire time before is Thu 2025-11-20 11:30:00 UTC.",
        "The fire time after is Thu 2025-11-20 11:31:00 UTC.",
    ]


def test_a_time_to_come_says_in_how_long(accountable: Ledger) -> None:
    assert said(accountable, at_ns=T + 2 * MINUTE) == ["It is due then, in 30 s."]


def test_a_due_time_without_a_row_is_not_passed_over(accountable: Ledger) -> None:
    assert said(accountable) == [
        "It was due then, and the ledger has no row for it: no daemon has decided it yet."
    ]


def test_a_due_time_whose_row_was_deleted_says_so(accountable: Ledger) -> None:
    with accountable.write() as connection:
        connection.execute(schedules_table.update().values(deleted_until_ns=T))
    assert said(accountable) == ["It was due then. Its history was deleted (daemon.history)."]


def test_a_time_as_history_prints_it_finds_what_was_planned_within_that_second(accountable: Ledger) -> None:
    ran = a_due(a_job("pay"), fire_time_ns=T + 7 * SECOND + 345 * MS)
    commit(accountable, claim(accountable, [ran]))
    assert said(accountable, at_ns=T + 7 * SECOND)[0].startswith(f"{ran.id} was planned")
    assert said(accountable, at_ns=T + 8 * SECOND)[0] == "Its schedule was not due then."


def test_a_job_that_only_starts_by_hand_says_so(ledger: Ledger) -> None:
    assert said(ledger, "pack")[-1] == "It only starts by hand: schedule: manual."


def test_a_job_that_nobody_knows_is_not_found(ledger: Ledger) -> None:
    with pytest.raises(JobNotFound):
        said(ledger, "pai")


def test_a_pause_is_told_from_when_to_when_and_by_whom(accountable: Ledger) -> None:
    pause = Pause(since_ns=T - MINUTE, until_ns=None, reason="CRM is down", by="ann@desk")
    with accountable.write() as connection:
        pauses.begin(connection, ["pay"], pause)
    since = "The job is paused by ann@desk since Thu 2025-11-20 11:29:00 UTC"
    assert said(accountable)[-1] == f"{since}: CRM is down."
    with accountable.write() as connection:
        pauses.end(connection, ["pay"], by="bob@desk", now_ns=T + SECOND)
    assert said(accountable)[-1] == (
        "The job was paused by ann@desk since Thu 2025-11-20 11:29:00 UTC, "
        "until Thu 2025-11-20 11:30:01 UTC (ended by bob@desk): CRM is down."
    )
    assert not any("paused" in sentence for sentence in said(accountable, at_ns=T + MINUTE))


def test_a_suspension_is_told_like_a_pause(accountable: Ledger) -> None:
    suspension = Pause(
        kind=PauseKind.SUSPEND, since_ns=T - MINUTE, until_ns=None, reason="", by="configuration 0123456789ab"
    )
    with accountable.write() as connection:
        pauses.replace_suspensions(connection, (), {"pay": suspension}, by="", now_ns=T - MINUTE)
        pauses.replace_suspensions(
            connection, ["pay"], {}, by="configuration ba9876543210", now_ns=T + SECOND
        )
    assert said(accountable)[-1] == (
        "The job was suspended by configuration 0123456789ab since Thu 2025-11-20 11:29:00 UTC, "
        "until Thu 2025-11-20 11:30:01 UTC (ended by configuration ba9876543210)."
    )


@pytest.mark.parametrize("decided_s", [-2, 2])
def test_a_pause_is_told_of_one_that_it_skipped_before_or_after_its_fire_time(
    accountable: Ledger, decided_s: int
) -> None:
    (pay,) = dues_of("pay")
    decided_ns = T + decided_s * SECOND
    outcomes.record_unstarted(accountable, [pay.ends(Outcome.SKIPPED, "paused")], now_ns=decided_ns)
    with accountable.write() as connection:
        pause = Pause(since_ns=decided_ns - SECOND, until_ns=None, reason="", by="ann@desk")
        pauses.begin(connection, ["pay"], pause)
        pauses.end(connection, ["pay"], by="bob@desk", now_ns=decided_ns + SECOND)
    assert said(accountable)[-1].startswith("The job was paused by ann@desk since ")
