"""Late fire times, which have passed without a row: which one runs now, and how the others end."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from scheduler.instants import SECOND
from scheduler.model.batch import Decided, Due
from scheduler.model.job import Job
from scheduler.model.occurrence import OccurrenceId
from scheduler.outcome import Origin, Outcome
from scheduler.policies.coalesce import Coalesce
from scheduler.schedule.arrears import Stretch, arrears
from scheduler.schedule.fire_times import between, last_between

#: Up to this many coalesced fire times in a stretch have a row each; more of them share one row with a count.
MOST_ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """
    Attributes:
        runs: The fire time that runs late; None if none does.
        decided: The others.
    """

    runs: int | None
    decided: Sequence[Decided]


def scheduled(job: Job, fire_time_ns: int, *, version: str) -> Due:
    """Return the due occurrence of a job at a fire time of its schedule."""
    return Due(
        id=OccurrenceId(job=job.name, fire_time_ns=fire_time_ns),
        job=job,
        planned_at_ns=fire_time_ns,
        origin=Origin.SCHEDULE,
        config_version=version,
        params=job.params,
    )


def settle_late(
    job: Job,
    *,
    after_ns: int,
    now_ns: int,
    version: str,
    covered: Iterable[tuple[int, int]] = (),
    claimed_ns: int | None = None,
) -> Late:
    """
    Decide all fire times of a job after `after_ns`, up to and including `now_ns`, that have no row.

    Args:
        job: The definition in force.
        after_ns: All fire times up to here are decided.
        now_ns: Wall clock.
        version: The version of that definition.
        covered: The first and the last instant that each row after `after_ns` stands for.
        claimed_ns: The latest fire time that an earlier process has claimed and that may still run late.
    """
    owed = arrears(job.schedule, after_ns=after_ns, now_ns=now_ns, grace_ns=job.misfire_grace_ns, covered=covered)
    runs = _runs(job, owed.late)
    if runs is not None and claimed_ns is not None and claimed_ns > runs:
        runs = None
    into = runs if runs is not None else claimed_ns
    decided = [missed(scheduled(job, one.first_ns, version=version), one.count, until_ns=one.until_ns) for one in owed.missed]
    if into is not None:
        decided += [one for stretch in owed.late for one in _coalesced(job, stretch, into=into, version=version)]
    return Late(runs=runs, decided=decided)


def coalesced(due: Due, *, into: int, count: int = 1, until_ns: int | None = None) -> Decided:
    """Return the outcome `skipped`, because a later fire time of the job runs. Arguments as for `missed`."""
    reason = f"coalesced into {OccurrenceId(job=due.job.name, fire_time_ns=into)}"
    return due.ends(Outcome.SKIPPED, reason, count=count, covers_until_ns=until_ns if count > 1 else None)


def missed(due: Due, count: int = 1, *, until_ns: int | None = None) -> Decided:
    """
    Return the outcome `missed`, because the fire times are later than the grace.

    Args:
        due: The first of the fire times.
        count: The number of fire times that the row stands for.
        until_ns: The last of them, or an instant before the fire time that follows.
    """
    grace = f"{due.job.misfire_grace_ns / SECOND:g} s"
    reason = f"not started in time: later than its misfire_grace_time of {grace}"
    if count > 1:
        reason = f"{count} fire times were not started in time: later than the misfire_grace_time of {grace}"
    return due.ends(Outcome.MISSED, reason, count=count, covers_until_ns=until_ns if count > 1 else None)


def _runs(job: Job, late: Sequence[Stretch]) -> int | None:
    """Return the one late fire time that runs."""
    if not late:
        return None
    match job.coalesce:
        case Coalesce.LATEST:
            return last_between(job.schedule, late[-1].first_ns - 1, late[-1].until_ns)


def _coalesced(job: Job, stretch: Stretch, *, into: int, version: str) -> Iterator[Decided]:
    """Yield a row per fire time that does not run, or one row for all of them if they are many."""
    runs_here = stretch.first_ns <= into <= stretch.until_ns
    until_ns = into - 1 if runs_here else stretch.until_ns
    count = stretch.count - runs_here
    if count > MOST_ROWS:
        yield coalesced(scheduled(job, stretch.first_ns, version=version), into=into, count=count, until_ns=until_ns)
        return
    for fire_time_ns in between(job.schedule, stretch.first_ns - 1, until_ns):
        yield coalesced(scheduled(job, fire_time_ns, version=version), into=into)
