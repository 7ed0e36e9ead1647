"""The recovery of schedules: decides fire times that passed without a row while no process planned."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import structlog

from tminus.daemon.batches.admission import DELETED, NOT_SCHEDULED
from tminus.daemon.batches.overdue_occurrences import decide_overdue
from tminus.ledger.schedules import Account
from tminus.model.batch import DueOccurrence, UnstartedResult
from tminus.model.definitions import Definitions
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import Origin, Outcome
from tminus.schedule import canonical
from tminus.schedule.overdue_fire_times import classify_overdue

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RecoveryDecisions:
    """
    The decisions on fire times without a row, and on occurrences that an earlier process has left open.

    Attributes:
        due_occurrences: The occurrences that run, on time or late.
        unstarted: The occurrences that end without a start.
    """

    due_occurrences: list[DueOccurrence] = field(default_factory=list)
    unstarted: list[UnstartedResult] = field(default_factory=list)


def active_schedules(definitions: Definitions) -> dict[str, str]:
    """
    Return the schedules of the jobs, as canonical texts, by job. A suspended job is accountable for its fire
    times, too: they are skipped.
    """
    jobs = {name: job.schedule for name, job in definitions.jobs.items() if job.schedule}
    return {name: canonical.to_text(schedule) for name, schedule in jobs.items()}


def decide_account(
    account: Account, left: Sequence[DueOccurrence], definitions: Definitions, *, now_ns: int
) -> RecoveryDecisions:
    """
    Decide the fire times of one schedule that have passed.

    Args:
        account: The schedule, and the rows that its fire times have.
        left: Its overdue occurrences that an earlier process never released, and that are not too late.
        definitions: The definitions in force.
        now_ns: Wall clock.
    """
    try:
        if account.until_ns is not None:
            return RecoveryDecisions(unstarted=list(_close_schedule(account, account.until_ns, definitions)))
        return _decide_in_force(account, left, definitions, now_ns=now_ns)
    except Exception:
        log.exception("the fire times of a schedule cannot be decided", job=account.job)
        return RecoveryDecisions(list(left) if account.until_ns is None else [])


def _decide_in_force(
    account: Account, left: Sequence[DueOccurrence], definitions: Definitions, *, now_ns: int
) -> RecoveryDecisions:
    """
    Decide the overdue fire times of a job, those that an earlier process has written and those without a row.
    """
    overdue = decide_overdue(
        definitions.jobs[account.job],
        after_ns=account.decided_until_ns,
        now_ns=now_ns,
        version=definitions.version,
        covered=account.covered,
        left=left,
    )
    return RecoveryDecisions(list(overdue.runs), list(overdue.decided))


def _close_schedule(account: Account, until_ns: int, definitions: Definitions) -> Iterator[UnstartedResult]:
    """
    Decide the remaining fire times of a schedule that has ended: its job was changed or deleted.
    """
    overdue = classify_overdue(
        canonical.from_text(account.schedule),
        after_ns=account.decided_until_ns,
        now_ns=until_ns,
        back_ns=-1,  # all are missed, also a fire time at `until_ns` itself
        covered=account.covered,
    )
    job = definitions.jobs.get(account.job)
    if job is None:
        outcome, reason = Outcome.CANCELLED, DELETED
    elif not job.schedule:
        outcome, reason = Outcome.CANCELLED, NOT_SCHEDULED
    else:
        outcome, reason = Outcome.MISSED, "not started in time, before the schedule was changed"
    for stretch in overdue.missed:
        yield UnstartedResult(
            id=OccurrenceId(job=account.job, fire_time_ns=stretch.first_ns),
            planned_at_ns=stretch.first_ns,
            origin=Origin.SCHEDULE,
            config_version=definitions.version,
            outcome=outcome,
            reason=reason,
            count=stretch.count,
            covers_until_ns=stretch.until_ns if stretch.count > 1 else None,
        )
