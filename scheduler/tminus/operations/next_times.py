"""Next: the upcoming fire times of jobs."""

import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from tminus.instants import rfc3339
from tminus.model.definitions import Definitions
from tminus.model.job import Job
from tminus.policies.jitter import jittered
from tminus.policies.withheld import Withheld
from tminus.schedule.fire_times import after, between


@dataclass(frozen=True, slots=True)
class UpcomingFireTime:
    """One fire time of one job."""

    job: str
    fire_time_ns: int
    zone: str

    def as_json(self) -> dict[str, str]:
        """Return the JSON that `tminus next --json` prints."""
        local_time = rfc3339(self.fire_time_ns, ZoneInfo(self.zone))
        return {
            "job": self.job,
            "fire_time": rfc3339(self.fire_time_ns),
            "local_time": local_time,
            "zone": self.zone,
        }


def upcoming(
    definitions: Definitions,
    names: Sequence[str],
    *,
    from_ns: int,
    to_ns: int | None,
    most: int | None,
    withheld: Withheld,
) -> list[UpcomingFireTime]:
    """
    Return fire times in time order, without those of suspended jobs, those within a pause, and skipped ones.

    Args:
        definitions: The definitions in force.
        names: The jobs.
        from_ns: Only fire times after this one.
        to_ns: Only fire times up to this one, included; None for no end.
        most: At most this many in total; None for all.
        withheld: What is paused and skipped.
    """
    merged = heapq.merge(
        *(_of(definitions.jobs[name], from_ns, to_ns, withheld) for name in names),
        key=lambda one: one.fire_time_ns,
    )
    return list(itertools.islice(merged, most))


def next_of(job: Job, now_ns: int, withheld: Withheld) -> int | None:
    """
    Return the next fire time of a job that is neither within a pause nor skipped; None if there is none, or
    if the job is suspended.
    """
    first = next(_of(job, now_ns, None, withheld), None)
    return None if first is None else first.fire_time_ns


def next_start(job: Job, after_ns: int, withheld: Withheld) -> int | None:
    """
    Return the first planned start after an instant that is neither within a pause nor skipped; None if there
    is none, or if the job is suspended.
    """
    planned_at = jittered(job.name, job.jitter_ns)
    first: int | None = None
    for one in _of(job, after_ns - job.jitter_ns, None, withheld):
        # A start is never before its fire time, so this fire time and later ones start after `first`.
        if first is not None and one.fire_time_ns > first:
            break
        if (start_ns := planned_at(one.fire_time_ns)) > after_ns:
            first = start_ns if first is None else min(first, start_ns)
    return first


def _of(job: Job, from_ns: int, to_ns: int | None, withheld: Withheld) -> Iterator[UpcomingFireTime]:
    if job.suspended or not job.schedule:
        return
    pause, planned_at = withheld.pauses.get(job.name), jittered(job.name, job.jitter_ns)
    if pause is not None:
        if pause.until_ns is None:
            return
        # `until_ns` is a planned start. Its fire time may be earlier, by less than the jitter.
        from_ns = max(from_ns, pause.until_ns - 1 - job.jitter_ns)
    fire_times = _after(job, from_ns) if to_ns is None else between(job.schedule, from_ns, to_ns)
    for at in fire_times:
        is_paused = pause is not None and pause.covers(planned_at(at))
        if not is_paused and (job.name, at) not in withheld.skips:
            yield UpcomingFireTime(job.name, at, job.zone)


def _after(job: Job, instant_ns: int) -> Iterator[int]:
    at = after(job.schedule, instant_ns)
    while at is not None:
        yield at
        at = after(job.schedule, at)
