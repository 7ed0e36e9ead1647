"""Next: the coming fire times of some jobs."""

import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from scheduler.instants import rfc3339
from scheduler.model.definitions import Definitions
from scheduler.schedule.fire_times import after, between


@dataclass(frozen=True, slots=True)
class Coming:
    """One fire time of one job."""

    job: str
    fire_time_ns: int
    zone: str

    def as_json(self) -> dict[str, str]:
        """The shape that the contract fixes."""
        local_time = rfc3339(self.fire_time_ns, ZoneInfo(self.zone))
        return {"job": self.job, "fire_time": rfc3339(self.fire_time_ns), "local_time": local_time, "zone": self.zone}


def coming(definitions: Definitions, names: Sequence[str], *, from_ns: int, to_ns: int | None, most: int | None) -> list[Coming]:
    """
    Fire times after one instant, up to another, in time order; suspended jobs left out.

    Args:
        definitions: Those in force.
        names: Of the jobs.
        from_ns: Not with it.
        to_ns: With it; None: without end.
        most: So many in all.
    """
    merged = heapq.merge(*(_of(definitions, name, from_ns, to_ns) for name in names), key=lambda one: one.fire_time_ns)
    return list(itertools.islice(merged, most))


def next_of(definitions: Definitions, name: str, now_ns: int) -> int | None:
    """The next fire time of one job; None where there is none, or it is suspended."""
    job = definitions.jobs[name]
    return None if job.suspended or not job.schedule else after(job.schedule, now_ns)


def _of(definitions: Definitions, name: str, from_ns: int, to_ns: int | None) -> Iterator[Coming]:
    job = definitions.jobs[name]
    if job.suspended:
        return
    if to_ns is not None:
        yield from (Coming(name, at, job.zone) for at in between(job.schedule, from_ns, to_ns))
        return
    at = after(job.schedule, from_ns) if job.schedule else None
    while at is not None:
        yield Coming(name, at, job.zone)
        at = after(job.schedule, at)
