"""
How many different instants several schedules have together.

Multiples of intervals are counted by arithmetic. Fire times of crons are the bits of one integer a day, so that ten years
of two crons, even of one every second, take a fraction of a second.
"""

from functools import lru_cache
from math import lcm

from scheduler.instants import SECOND
from scheduler.model.job import Cron, Every, Once, Schedule
from scheduler.schedule.cron import DAY_S, Pattern, parse
from scheduler.schedule.spans import spans


@lru_cache(maxsize=1_024)
def count_union(schedule: Schedule, start_ns: int, end_ns: int) -> int:
    """
    How many instants after `start_ns`, up to and with `end_ns`, at least one part of the schedule has.

    Raises:
        ValueError: the text of a cron is no cron.
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    Thread-safety:
        Safe.
    """
    intervals = {part.interval_ns for part in schedule if isinstance(part, Every)}
    crons = {part for part in schedule if isinstance(part, Cron)}
    points = {part.instant_ns for part in schedule if isinstance(part, Once) and start_ns < part.instant_ns <= end_ns}
    number = _count_multiples(intervals, start_ns, end_ns)
    number += sum(1 for at in points if not any(at % interval == 0 for interval in intervals) and not _any_fires(crons, at))
    # Crons fire at whole seconds: of an interval only those of its multiples matter.
    periods = {lcm(interval, SECOND) // SECOND for interval in intervals}
    if not crons or 1 in periods:
        return number
    end_s = end_ns // SECOND + 1
    for begin in range(start_ns // SECOND + 1, end_s, DAY_S):
        number += _count_day(crons, periods, begin, min(begin + DAY_S, end_s))
    return number


def _count_multiples(intervals: set[int], start_ns: int, end_ns: int) -> int:
    """How many instants are a multiple of at least one interval: inclusion and exclusion."""
    signed: dict[int, int] = {}
    for interval in intervals:
        added = {interval: 1}
        for common, sign in signed.items():
            multiple = lcm(common, interval)
            added[multiple] = added.get(multiple, 0) - sign
        for multiple, sign in added.items():
            if end_ns // multiple > start_ns // multiple:  # else no multiple of it counts either
                signed[multiple] = signed.get(multiple, 0) + sign
    return sum(sign * (end_ns // multiple - start_ns // multiple) for multiple, sign in signed.items())


def _any_fires(crons: set[Cron], at_ns: int) -> bool:
    second, rest = divmod(at_ns, SECOND)
    return rest == 0 and any(_fires(cron, second, second + 1) for cron in crons)


def _count_day(crons: set[Cron], periods: set[int], start_s: int, end_s: int) -> int:
    """How many seconds of at most a day are a fire time of a cron and no multiple of a period."""
    fires = 0
    for cron in crons:
        fires |= _fires(cron, start_s, end_s)
    for period in periods:
        fires &= ~(_every(period) << (-start_s % period))
    return fires.bit_count()


def _fires(cron: Cron, start_s: int, end_s: int) -> int:
    """The fire times of at most a day as bits, the lowest for `start_s`."""
    pattern = parse(cron.text)
    bits = 0
    for span in spans(pattern, cron.zone, start_s, end_s):
        bits |= span.catches_up << (span.start_s - start_s)
        first, end = span.local_start, span.local_end
        local = 0
        for day in pattern.days(first // DAY_S, end // DAY_S + 1):
            shift = day * DAY_S - first
            local |= _day(pattern) << shift if shift > 0 else _day(pattern) >> -shift
        bits |= (local & ((1 << (end - first)) - 1)) << (first - span.offset_s - start_s)
    return bits


@lru_cache(maxsize=256)
def _day(pattern: Pattern) -> int:
    """The times of a matching day as bits."""
    octets = bytearray(DAY_S // 8)
    for second in pattern.times:
        octets[second >> 3] |= 1 << (second & 7)
    return int.from_bytes(octets, "little")


@lru_cache(maxsize=256)
def _every(period: int) -> int:
    """The multiples of the period within a day as bits."""
    octets = bytearray(DAY_S // 8)
    for second in range(0, DAY_S, period):
        octets[second >> 3] |= 1 << (second & 7)
    return int.from_bytes(octets, "little")
