"""
The one place that computes the fire times of a schedule, for planner, recovery and `next`.

Instants are nanoseconds since the Unix epoch, between the years 2 and 9998. Cron expressions fire when
Debian's cron would run them (cron.c of 3.0pl1-162), with two differences. If a gap skips several fire times,
cron runs the job several times in a row after it; here that is one fire time. A cron expression with
seconds, which cron does not have, is a fixed-time job if its minute and hour have no star.

A limited part has no fire time outside its windows and where a calendar excepts it. Each search gives up
after MOST_STRETCHES stretches of such time, so it ends even if no fire time is left.

All functions are thread-safe.
"""

from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from heapq import merge
from itertools import chain, islice

from tminus.instants import LATEST_NS, SECOND
from tminus.model.job import Cron, Every, Limited, Once, Part, Schedule
from tminus.schedule.cron import DAY_S, HORIZON_DAYS, parse
from tminus.schedule.limits import stretch_at
from tminus.schedule.spans import spans

#: Where `count_between` stops for a schedule of several parts.
MOST_COUNTED = 100_000
#: More than five years of nights. A part that is due in none of the days between them is never due.
MOST_STRETCHES = 2_000
#: After the horizon of a cron, 50 years, this many are enough: even a part that is due once a year has then
#: been tried this often.
_FEW_STRETCHES = 50


def after(schedule: Schedule, instant_ns: int, *, until_ns: int | None = None) -> int | None:
    """
    Return the first fire time after the instant, up to and including `until_ns`; None if there is none.

    Raises:
        ValueError: the text of a cron is not a cron expression.
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    """
    firsts = (at for part in schedule if (at := _after(part, instant_ns, until_ns)) is not None)
    first = min(firsts, default=None)
    return None if first is None or (until_ns is not None and first > until_ns) else first


def between(schedule: Schedule, start_ns: int, end_ns: int) -> Iterator[int]:
    """
    Yield the fire times after `start_ns`, up to and including `end_ns`: ascending, each once, computed on
    demand.

    Raises:
        ValueError: the text of a cron is not a cron expression.
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    """
    last = None
    for at in merge(*(_between(part, start_ns, end_ns) for part in schedule)):
        if at != last:
            yield at
            last = at


def last_between(schedule: Schedule, start_ns: int, end_ns: int) -> int | None:
    """
    Return the last of the fire times that `between` yields, without computing the others; None if there is
    none.

    Raises:
        ValueError: the text of a cron is not a cron expression.
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    """
    # Step back by growing windows until one has a fire time, then halve it.
    window_ns = SECOND
    while start_ns < end_ns and after(schedule, end_ns - window_ns, until_ns=end_ns) is None:
        end_ns, window_ns = end_ns - window_ns, window_ns * 2
    begin_ns = max(start_ns, end_ns - window_ns)
    while end_ns - begin_ns > SECOND:
        middle_ns = (begin_ns + end_ns) // 2
        if after(schedule, middle_ns, until_ns=end_ns) is not None:
            begin_ns = middle_ns
        else:
            end_ns = middle_ns
    return max(between(schedule, begin_ns, end_ns), default=None)


def newest_between(schedule: Schedule, start_ns: int, end_ns: int, most: int) -> list[int]:
    """
    Return the last of the fire times that `between` yields, at most this many, without walking through the
    others.

    Raises:
        ValueError: the text of a cron is not a cron expression.
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    """
    if most == 1:
        last = last_between(schedule, start_ns, end_ns)
        return [] if last is None else [last]
    found = list(islice(between(schedule, start_ns, end_ns), most + 1))
    if len(found) <= most:
        return found
    # A window from `begin_ns` holds enough of them, one from `short_ns` does not.
    begin_ns, short_ns = start_ns, end_ns
    while short_ns - begin_ns > SECOND:
        middle_ns = (begin_ns + short_ns) // 2
        if len(list(islice(between(schedule, middle_ns, end_ns), most))) == most:
            begin_ns = middle_ns
        else:
            short_ns = middle_ns
    return list(deque(between(schedule, begin_ns, end_ns), maxlen=most))


def count_between(schedule: Schedule, start_ns: int, end_ns: int) -> int:
    """
    Return how many fire times `between` yields, quickly for any span.

    The number is exact for a schedule of one part. Several parts may share fire times, so theirs are counted
    one by one, up to MOST_COUNTED, which stands for "this many or more".

    Raises:
        ValueError: the text of a cron is not a cron expression.
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    """
    if start_ns >= end_ns:
        return 0
    if len(schedule) == 1:
        return _count(schedule[0], start_ns, end_ns)
    return sum(1 for _ in islice(between(schedule, start_ns, end_ns), MOST_COUNTED))


def _after(part: Part, instant_ns: int, until_ns: int | None) -> int | None:
    """As `after`; the result may be later than `until_ns`, which only ends a long search."""
    match part:
        case Cron():
            second = _cron_after(part, instant_ns // SECOND)
            return None if second is None else second * SECOND
        case Every(interval_ns):
            return (instant_ns // interval_ns + 1) * interval_ns
        case Once(at_ns):
            return at_ns if at_ns > instant_ns else None
        case Limited():
            return _limited_after(part, instant_ns, until_ns)


def _between(part: Part, start_ns: int, end_ns: int) -> Iterator[int]:
    match part:
        case Cron():
            return (second * SECOND for second in _cron_between(part, start_ns // SECOND, end_ns // SECOND))
        case Every(interval_ns):
            return iter(range((start_ns // interval_ns + 1) * interval_ns, end_ns + 1, interval_ns))
        case Once(at_ns):
            return iter((at_ns,) if start_ns < at_ns <= end_ns else ())
        case Limited(times):
            return chain.from_iterable(_between(times, *ends) for ends in _open(part, start_ns, end_ns))


def _count(part: Part, start_ns: int, end_ns: int) -> int:
    match part:
        case Cron():
            return _cron_count(part, start_ns // SECOND, end_ns // SECOND)
        case Every(interval_ns):
            return end_ns // interval_ns - start_ns // interval_ns
        case Once(at_ns):
            return int(start_ns < at_ns <= end_ns)
        case Limited(times):
            return sum(_count(times, *ends) for ends in _open(part, start_ns, end_ns))


@lru_cache(maxsize=4_096)
def _limited_after(limited: Limited, instant_ns: int, until_ns: int | None) -> int | None:
    horizon_ns = instant_ns + HORIZON_DAYS * DAY_S * SECOND
    for number in range(MOST_STRETCHES):
        at_ns = _after(limited.times, instant_ns, until_ns)
        if at_ns is None or (until_ns is not None and at_ns > until_ns):
            return None
        if at_ns > horizon_ns and number > _FEW_STRETCHES:
            return None
        counts, end_s = stretch_at(limited.limits, at_ns // SECOND)
        if counts:
            return at_ns
        if end_s >= LATEST_NS // SECOND:
            return None
        instant_ns = end_s * SECOND - 1
    return None


def _open(limited: Limited, start_ns: int, end_ns: int) -> Iterator[tuple[int, int]]:
    """
    Yield each stretch of time in which fire times count, and that has one, as a pair of instants: after the
    first, up to and including the second.
    """
    while (at_ns := _limited_after(limited, start_ns, end_ns)) is not None:
        start_ns = min(end_ns, stretch_at(limited.limits, at_ns // SECOND).end_s * SECOND - 1)
        yield at_ns - 1, start_ns


# Thousands of jobs that share a few schedules ask for the same answer at the same moment.
@lru_cache(maxsize=16_384)
def _cron_after(cron: Cron, second: int) -> int | None:
    pattern = parse(cron.text)
    for span in spans(pattern, cron.zone, second + 1, dst=cron.dst):
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
    for span in spans(pattern, cron.zone, start_s + 1, end_s + 1, dst=cron.dst):
        if span.catches_up:
            yield span.start_s
        for local in pattern.between(span.local_start, span.local_end):
            yield local - span.offset_s


def _cron_count(cron: Cron, start_s: int, end_s: int) -> int:
    pattern = parse(cron.text)
    return sum(
        span.catches_up + pattern.count(span.local_start, span.local_end)
        for span in spans(pattern, cron.zone, start_s + 1, end_s + 1, dst=cron.dst)
    )
