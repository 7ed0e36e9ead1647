"""
The one place that says which instants a schedule has: planner, `next`, `plan`, audit and backfill ask here.

Instants are integers of nanoseconds since the Unix epoch, between the years 2 and 9998. Crons fire when Debian's cron
would run them (cron.c of 3.0pl1-162), with two differences: what it would run several times in a row after a gap, for
several fire times within the gap, is one fire time here; and a cron with seconds, which it does not have, is a fixed-time
job like any other where its minute and hour have no star. All functions are thread-safe.
"""

from collections.abc import Iterator
from functools import lru_cache
from heapq import merge

from scheduler.instants import SECOND
from scheduler.model.job import Cron, Every, Once, Schedule
from scheduler.schedule.cron import parse
from scheduler.schedule.spans import spans
from scheduler.schedule.union import count_union


def after(schedule: Schedule, instant_ns: int) -> int | None:
    """
    The first fire time strictly after the instant; None where there is none.

    Raises:
        ValueError: the text of a cron is no cron.
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    """
    return min((at for part in schedule if (at := _after(part, instant_ns)) is not None), default=None)


def between(schedule: Schedule, start_ns: int, end_ns: int) -> Iterator[int]:
    """
    The fire times after `start_ns`, up to and with `end_ns`: ascending, each once, computed as they are asked for.

    Raises:
        ValueError: the text of a cron is no cron.
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    """
    last = None
    for at in merge(*(_between(part, start_ns, end_ns) for part in schedule)):
        if at != last:
            yield at
            last = at


def last_between(schedule: Schedule, start_ns: int, end_ns: int) -> int | None:
    """
    Return the last of the fire times that `between` yields, without walking through all of them; None if there is none.

    Raises:
        ValueError: the text of a cron is no cron.
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    """
    window_ns = SECOND
    while start_ns < end_ns and not count_between(schedule, end_ns - window_ns, end_ns):
        end_ns, window_ns = end_ns - window_ns, window_ns * 2
    begin_ns = max(start_ns, end_ns - window_ns)
    while end_ns - begin_ns > SECOND:
        middle_ns = (begin_ns + end_ns) // 2
        if count_between(schedule, middle_ns, end_ns):
            begin_ns = middle_ns
        else:
            end_ns = middle_ns
    return max(between(schedule, begin_ns, end_ns), default=None)


def count_between(schedule: Schedule, start_ns: int, end_ns: int) -> int:
    """
    How many fire times `between` yields, without walking through them: exact, and quick for any span.

    Raises:
        ValueError: the text of a cron is no cron.
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    """
    if start_ns >= end_ns:
        return 0
    return _count(schedule[0], start_ns, end_ns) if len(schedule) == 1 else count_union(schedule, start_ns, end_ns)


def _after(part: Cron | Every | Once, instant_ns: int) -> int | None:
    match part:
        case Cron():
            second = _cron_after(part, instant_ns // SECOND)
            return None if second is None else second * SECOND
        case Every(interval_ns):
            return (instant_ns // interval_ns + 1) * interval_ns
        case Once(at_ns):
            return at_ns if at_ns > instant_ns else None


def _between(part: Cron | Every | Once, start_ns: int, end_ns: int) -> Iterator[int]:
    match part:
        case Cron():
            return (second * SECOND for second in _cron_between(part, start_ns // SECOND, end_ns // SECOND))
        case Every(interval_ns):
            return iter(range((start_ns // interval_ns + 1) * interval_ns, end_ns + 1, interval_ns))
        case Once(at_ns):
            return iter((at_ns,) if start_ns < at_ns <= end_ns else ())


def _count(part: Cron | Every | Once, start_ns: int, end_ns: int) -> int:
    match part:
        case Cron():
            return _cron_count(part, start_ns // SECOND, end_ns // SECOND)
        case Every(interval_ns):
            return end_ns // interval_ns - start_ns // interval_ns
        case Once(at_ns):
            return int(start_ns < at_ns <= end_ns)


# Thousands of jobs that share a few schedules ask for the same answer at the same moment.
@lru_cache(maxsize=16_384)
def _cron_after(cron: Cron, second: int) -> int | None:
    pattern = parse(cron.text)
    for span in spans(pattern, cron.zone, second + 1):
        if span.catches_up:
            return span.start_s
        local = pattern.first(span.local_start)
        if local is None:
            return None
        if local < span.local_end:
            return local - span.offset_s
    return None


def _cron_between(cron: Cron, start_s: int, end_s: int) -> Iterator[int]:
    pattern = parse(cron.text)
    for span in spans(pattern, cron.zone, start_s + 1, end_s + 1):
        if span.catches_up:
            yield span.start_s
        for local in pattern.between(span.local_start, span.local_end):
            yield local - span.offset_s


def _cron_count(cron: Cron, start_s: int, end_s: int) -> int:
    pattern = parse(cron.text)
    return sum(
        span.catches_up + pattern.count(span.local_start, span.local_end)
        for span in spans(pattern, cron.zone, start_s + 1, end_s + 1)
    )
