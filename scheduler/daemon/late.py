"""Late: what has gone by while nobody looked, as dues that run now and as rows that say why others do not."""

from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.instants import SECOND
from scheduler.model.batch import Decided, Due
from scheduler.model.job import Job
from scheduler.model.occurrence import OccurrenceId
from scheduler.outcome import Origin, Outcome
from scheduler.schedule.arrears import arrears


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """
    Attributes:
        runs: The fire time that runs late; None where none does.
        decided: The others.
    """

    runs: int | None
    decided: Sequence[Decided]


def scheduled(job: Job, fire_time_ns: int, *, version: str) -> Due:
    """An occurrence of a job by its schedule."""
    return Due(
        id=OccurrenceId(job=job.name, fire_time_ns=fire_time_ns),
        job=job,
        planned_at_ns=fire_time_ns,
        origin=Origin.SCHEDULE,
        config_version=version,
        params=job.params,
    )


def settle_late(job: Job, *, after_ns: int, now_ns: int, version: str) -> Late:
    """
    Decide all fire times of a job after `after_ns`, up to and with `now_ns`.

    Args:
        job: By the definition in force.
        after_ns: Up to here all is decided.
        now_ns: Wall clock.
        version: Of the definition.
    """
    owed = arrears(job.schedule, after_ns=after_ns, now_ns=now_ns, grace_ns=job.misfire_grace_ns, policy=job.coalesce)
    decided = [coalesced(scheduled(job, at, version=version), into=owed.runs) for at in owed.coalesced if owed.runs is not None]
    if owed.missed is not None:
        decided.append(missed(scheduled(job, owed.missed, version=version), owed.missed_count, until_ns=now_ns))
    return Late(runs=owed.runs, decided=decided)


def coalesced(due: Due, *, into: int) -> Decided:
    """Skipped, for a later fire time of the same job runs."""
    return due.ends(Outcome.SKIPPED, f"coalesced into {OccurrenceId(job=due.job.name, fire_time_ns=into)}")


def missed(due: Due, count: int = 1, *, until_ns: int | None = None) -> Decided:
    """
    Later than its grace.

    Args:
        due: The first of them.
        count: How many fire times there were.
        until_ns: After the last of them.
    """
    grace = f"{due.job.misfire_grace_ns / SECOND:g} s"
    reason = f"not started in time: later than its misfire_grace_time of {grace}"
    if count > 1:
        reason = f"{count} fire times were not started in time: later than the misfire_grace_time of {grace}"
    covers = until_ns - due.job.misfire_grace_ns - 1 if until_ns is not None else None
    return due.ends(Outcome.MISSED, reason, count=count, covers_until_ns=covers)
