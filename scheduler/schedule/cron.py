"""
A cron text as the local times that it names: no zone and no DST here.

A local time is a whole number of seconds since 1970-01-01T00:00 as the wall shows it. `cronsim` reads the text and says
which days match; its iterator is not used, since it loses fire times of jobs with a star around transitions of half an
hour, and invents some where midnight lies in a gap (tests/unit/schedule/test_debian_cron.py, "cronsim 2.8").
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import MAXYEAR, date, datetime
from functools import lru_cache
from itertools import product

from cronsim import CronSim, CronSimError

DAY_S = 86_400
#: The last year with fire times: `datetime` ends with the next one.
LAST_YEAR = MAXYEAR - 1
#: A cron that names no day in so many is taken to name none: 29 February on one weekday comes every 40 years at the latest.
HORIZON_DAYS = 50 * 366

_EPOCH_DAY = date(1970, 1, 1).toordinal()
# cronsim reads 5-5/10 as 5/10; cron stops at the end of the range.
_RANGE_OF_ONE = re.compile(r"\b(\w+)-\1/0*[1-9]\d*", re.ASCII)
#: By the field's name in cronsim's errors: its place in the text, and what it takes.
_LEGAL = {
    "second": (0, "0 to 59"),
    "minute": (-5, "0 to 59"),
    "hour": (-4, "0 to 23"),
    "day-of-month": (-3, "1 to 31, L or LW, and one that its months have"),
    "month": (-2, "1 to 12, or jan to dec"),
    "day-of-week": (-1, "0 to 7, or sun to sat; 5L is the last Friday, 5#2 the second"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """
    The local times of one cron text. Thread-safe: what it remembers about months is the same whoever computes it.

    Args:
        times: Seconds of the day, ascending, on each day that matches.
        is_fixed: Neither the minute nor the hour begins with a star. Only such jobs are moved by a gap and kept from
            running twice by an overlap (cron's `!(MIN_STAR|HR_STAR)`; seconds, which cron does not have, decide nothing).
    """

    times: "array[int]"
    is_fixed: bool
    _rule: CronSim
    _days: dict[tuple[int, int, int], tuple[int, ...]] = field(default_factory=dict)

    def days(self, first: int, end: int) -> Iterator[int]:
        """The matching days from `first` until before `end`, ascending, counted from 1970-01-01."""
        at = date.fromordinal(first + _EPOCH_DAY)
        year, month = at.year, at.month
        while year <= LAST_YEAR:
            last_month = date(year, month, 1).toordinal() - _EPOCH_DAY - 1
            if last_month + 1 >= end:
                return
            if month in self._rule.months:
                for day in self._days_of(year, month):
                    if first <= last_month + day < end:
                        yield last_month + day
            year, month = year + month // 12, month % 12 + 1

    def matches(self, day: int) -> bool:
        """True where the cron names that day."""
        return next(self.days(day, day + 1), None) is not None

    def first(self, local: int) -> int | None:
        """The first local time that is not before this one; None where there is none within the horizon."""
        day, second = divmod(local, DAY_S)
        for candidate in self.days(day, day + HORIZON_DAYS):
            index = bisect_left(self.times, second) if candidate == day else 0
            if index < len(self.times):
                return candidate * DAY_S + self.times[index]
        return None

    def between(self, start: int, end: int) -> Iterator[int]:
        """The local times from `start` until before `end`, ascending."""
        (first, second), (last, rest) = divmod(start, DAY_S), divmod(end, DAY_S)
        for day in self.days(first, last + 1):
            begin = bisect_left(self.times, second) if day == first else 0
            stop = bisect_left(self.times, rest) if day == last else len(self.times)
            base = day * DAY_S
            for index in range(begin, stop):
                yield base + self.times[index]

    def count(self, start: int, end: int) -> int:
        """How many `between` would yield; by arithmetic on each day."""
        if start >= end:
            return 0
        (first, second), (last, rest) = divmod(start, DAY_S), divmod(end, DAY_S)
        number = sum(1 for _ in self.days(first, last)) * len(self.times)
        if self.matches(first):
            number -= bisect_left(self.times, second)
        if self.matches(last):
            number += bisect_left(self.times, rest)
        return number

    def _days_of(self, year: int, month: int) -> tuple[int, ...]:
        """Days of the month that match. All months that begin on one weekday and are as long look alike to cron."""
        first = date(year, month, 1)
        length = (date(year, month + 1, 1) if month < 12 else date(year + 1, 1, 1)).toordinal() - first.toordinal()
        shape = (month, first.weekday(), length)
        days = self._days.get(shape)
        if days is None:
            days = tuple(day for day in range(1, length + 1) if self._rule.match_day(first.replace(day=day)))
            self._days[shape] = days
        return days


@lru_cache(maxsize=4_096)
def parse(text: str) -> Pattern:
    """
    The pattern of a cron text of 5 fields, or 6 with seconds first.

    Raises:
        ValueError: the text is no cron; the message names the field and what it takes.
    Thread-safety:
        Safe; the same text gives the same frozen pattern.
    Source:
        crontab(5) of Debian's cron 3.0pl1; beyond it cronsim reads `5/10`, `L`, `LW`, `5L` and `5#2`.
    """
    fields = text.split()
    if len(fields) not in (5, 6):
        raise ValueError(f"a cron has 5 fields, or 6 with seconds first; {text!r} has {len(fields)}")
    try:
        rule = CronSim(_RANGE_OF_ONE.sub(r"\1", text), datetime(2000, 1, 1))  # noqa: DTZ001 - only the text is read
    except CronSimError as error:
        name = str(error).removeprefix("Bad ")
        index, legal = _LEGAL[name]
        raise ValueError(f"{name} {fields[index]!r} in cron {text!r}: it takes {legal}") from None
    is_fixed = not fields[-5].startswith("*") and not fields[-4].startswith("*")
    return Pattern(_times_of_day(frozenset(rule.hours), frozenset(rule.minutes), frozenset(rule.seconds)), is_fixed, rule)


@lru_cache(maxsize=1_024)
def _times_of_day(hours: frozenset[int], minutes: frozenset[int], seconds: frozenset[int]) -> "array[int]":
    return array("i", (h * 3_600 + m * 60 + s for h, m, s in product(sorted(hours), sorted(minutes), sorted(seconds))))
