"""The audit: fire times that were due, against the rows of the ledger."""

import pytest

from tests.support.ledgers import T, an_instance, claim, commit, dues_of, prune_all
from tests.support.scheduling import definitions_of
from tests.support.values import a_job, an_ending
from tminus.daemon.recovery import recover
from tminus.daemon.schedule_recovery import active_schedules
from tminus.errors import UsageError
from tminus.instants import SECOND
from tminus.ledger import instances, outcomes, schedules
from tminus.ledger.engine import Ledger
from tminus.ledger.resolutions import set_resolution
from tminus.model.definitions import Definitions
from tminus.model.job import Every
from tminus.model.occurrence import OccurrenceId, Resolution
from tminus.operations.audit import Audit, audit
from tminus.outcome import Outcome, Resolved

MINUTE = 60 * SECOND
START = T - 10 * MINUTE


def every_minute(*names: str) -> Definitions:
    """Definitions of jobs that are due every minute."""
    return definitions_of(*(a_job(name, schedule=(Every(MINUTE),)) for name in names))


def run(ledger: Ledger, name: str, *fire_times_ns: int, outcome: Outcome = Outcome.SUCCEEDED) -> None:
    """Write occurrences of a job that have ended."""
    for fire_time_ns in fire_times_ns:
        due_occurrences = dues_of(name, fire_time_ns=fire_time_ns)
        commit(ledger, claim(ledger, due_occurrences))
        reason = None if outcome is Outcome.SUCCEEDED else "as the test says"
        outcomes.record(ledger, [an_ending(due, outcome, reason=reason) for due in due_occurrences])


def audited(ledger: Ledger, *, since_ns: int = START, until_ns: int = START + 5 * MINUTE) -> Audit:
    """Audit the first five minutes."""
    return audit(ledger, since_ns=since_ns, until_ns=until_ns, now_ns=T)


def accountable(ledger: Ledger, definitions: Definitions, *, now_ns: int = START) -> None:
    """Make the jobs accountable for their fire times from then on."""
    schedules.replace_schedules(ledger, active_schedules(definitions), now_ns=now_ns)


def stop(ledger: Ledger, definitions: Definitions) -> None:
    """Start a daemon, and the next one 5 minutes and 50 seconds later."""
    for now_ns in (START, START + 5 * MINUTE + 50 * SECOND):
        recover(ledger, definitions, since_ns=now_ns, now_ns=now_ns)


def minutes(first: int, last: int) -> list[int]:
    """Return fire times, as minutes after the start."""
    return [START + number * MINUTE for number in range(first, last + 1)]


def test_all_is_well_if_each_fire_time_has_a_row(ledger: Ledger) -> None:
    accountable(ledger, every_minute("pay"))
    run(ledger, "pay", *minutes(1, 5))
    found = audited(ledger)
    assert (found.checked, found.ok, found.is_well) == (5, 5, True)


def test_a_fire_time_without_a_row_is_missed(ledger: Ledger) -> None:
    accountable(ledger, every_minute("pay", "pack"))
    run(ledger, "pay", *minutes(1, 2), *minutes(4, 5))
    run(ledger, "pack", *minutes(1, 4))
    found = audited(ledger)
    assert (found.checked, found.ok) == (10, 8)
    assert [(one.id.job, one.id.fire_time_ns) for one in found.missed] == [
        ("pack", START + 5 * MINUTE),
        ("pay", START + 3 * MINUTE),
    ]


def test_deleted_history_is_left_out_and_not_missed(ledger: Ledger) -> None:
    accountable(ledger, every_minute("pay"))
    run(ledger, "pay", *minutes(1, 5))
    instances.record_heartbeat(ledger, an_instance(ledger), T, decided_until_ns=T)
    prune_all(ledger, before_ns=START + 3 * MINUTE)
    found = audited(ledger)
    assert (found.checked, found.is_well, found.shortened) == (3, True, {"pay"})


def test_what_a_stop_has_missed_is_one_finding_with_its_count(ledger: Ledger) -> None:
    stop(ledger, every_minute("pay"))
    found = audited(ledger)
    assert (found.checked, found.ok, len(found.missed)) == (5, 0, 1)
    assert found.missed[0].detail.startswith("5 fire times: ")


def test_a_row_that_began_before_the_stretch_stands_for_its_part_of_it(ledger: Ledger) -> None:
    stop(ledger, every_minute("pay"))
    assert audited(ledger, since_ns=START + 3 * MINUTE).checked == 2


def test_a_row_that_was_not_due_is_unexplained(ledger: Ledger) -> None:
    accountable(ledger, every_minute("pay"))
    run(ledger, "pay", *minutes(1, 5), START + 90 * SECOND)
    found = audited(ledger)
    assert (found.checked, found.ok) == (5, 5)
    assert [one.id.fire_time_ns for one in found.unexplained] == [START + 90 * SECOND]


def test_unknown_outcomes_are_named(ledger: Ledger) -> None:
    accountable(ledger, every_minute("pay"))
    run(ledger, "pay", *minutes(1, 4))
    run(ledger, "pay", START + 5 * MINUTE, outcome=Outcome.UNKNOWN)
    found = audited(ledger)
    assert (found.checked, found.ok, [one.detail for one in found.unknown]) == (5, 4, ["as the test says"])


def test_an_unknown_outcome_that_was_resolved_is_as_it_should_be(ledger: Ledger) -> None:
    accountable(ledger, every_minute("pay"))
    run(ledger, "pay", *minutes(1, 5), outcome=Outcome.UNKNOWN)
    resolution = Resolution(resolved=Resolved.NOT_RAN, by="eve@here", at_ns=T)
    with ledger.write() as connection:
        for at_ns in minutes(1, 5):
            set_resolution(connection, OccurrenceId(job="pay", fire_time_ns=at_ns), resolution)
    assert (audited(ledger).ok, audited(ledger).is_well) == (5, True)


def test_failed_and_skipped_occurrences_are_as_they_should_be(ledger: Ledger) -> None:
    accountable(ledger, every_minute("pay"))
    run(ledger, "pay", *minutes(1, 3), outcome=Outcome.FAILED)
    run(ledger, "pay", *minutes(4, 5), outcome=Outcome.SKIPPED)
    assert audited(ledger).is_well


def test_a_changed_schedule_is_judged_by_what_it_was(ledger: Ledger) -> None:
    accountable(ledger, every_minute("pay"))
    run(ledger, "pay", *minutes(1, 2))
    later = definitions_of(a_job("pay", schedule=(Every(2 * MINUTE),)))
    accountable(ledger, later, now_ns=START + 2 * MINUTE)
    run(ledger, "pay", START + 4 * MINUTE)
    found = audited(ledger)
    assert (found.checked, found.is_well) == (3, True)


def test_a_deleted_job_is_accountable_until_it_was_deleted(ledger: Ledger) -> None:
    accountable(ledger, every_minute("pay"))
    run(ledger, "pay", *minutes(1, 2))
    accountable(ledger, definitions_of(), now_ns=START + 2 * MINUTE)
    found = audited(ledger)
    assert (found.checked, found.is_well) == (2, True)


def test_an_empty_stretch_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="is not after"):
        audited(ledger, since_ns=T, until_ns=T)
