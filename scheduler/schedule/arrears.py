"""Arrears: what becomes of fire times that have gone by undecided: after a stop, a pause, a step of the clock."""

from dataclasses import dataclass

from scheduler.model.job import Schedule
from scheduler.policies import coalesce
from scheduler.policies.coalesce import Coalesce
from scheduler.schedule.fire_times import after, between, count_between


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrears:
    """
    Fire times of one job, each decided one way.

    Attributes:
        runs: The one that runs, late; None where none does.
        coalesced: Those that are skipped, coalesced into that one.
        missed: The first of those that are too late.
        missed_count: How many those are.
    """

    runs: int | None
    coalesced: tuple[int, ...]
    missed: int | None
    missed_count: int


def arrears(schedule: Schedule, *, after_ns: int, now_ns: int, grace_ns: int, policy: Coalesce) -> Arrears:
    """
    Decide the fire times after `after_ns`, up to and with `now_ns`. Takes no longer for a year than for a day.

    Args:
        schedule: The job's.
        after_ns: Up to here all is decided.
        now_ns: Wall clock.
        grace_ns: The job's misfire grace: what is later than that is missed.
        policy: Which of several late ones runs.
    """
    too_late_ns = max(after_ns, now_ns - grace_ns - 1)
    missed_count = count_between(schedule, after_ns, too_late_ns)
    late = list(between(schedule, too_late_ns, now_ns))
    runs = coalesce.runs(late, policy) if late else None
    return Arrears(
        runs=runs,
        coalesced=tuple(instant for instant in late if instant != runs),
        missed=after(schedule, after_ns) if missed_count else None,
        missed_count=missed_count,
    )
