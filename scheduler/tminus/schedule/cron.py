"""
A cron text as the local times that it names, without zone and DST.

A local time is a number of seconds since 1970-01-01T00:00 as a clock on the wall shows it. `cronsim` reads
the text and says which days match. Its iterator is not used. It loses fire times of jobs with a star around
transitions of half an hour, and invents some if midnight is in a gap
(tests/unit/schedule/test_debian_cron.py, "cronsim 2.8").
"""

import re
from array import array
from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import MAXYEAR, date, datetime
from functools import lru_cache
from itertools import product

from cronsim import CronSim, CronSimError

from tminus.schedule.cron_text import check_fields, is_nearest_weekday, no_such_day

DAY_S = 86_400
#: The last year with fire times: `datetime` ends with the next one.
LAST_YEAR = MAXYEAR - 1
#: A cron without a day in this many days has none: 29 February on one weekday comes at least every 40 years.
HORIZON_DAYS = 50 * 366

_EPOCH_DAY = date(1970, 1, 1).toordinal()
# cronsim reads 5-5/10 as 5/10, but cron stops at the end of the range.
_RANGE_OF_ONE = re.compile(r"\b(\w+)-\1/0*[1-9]\d*", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """
    The local times of one cron text. Thread-safe: the months in its cache are the same, whichever thread
    computes them.

    Args:
        times: Seconds of the day, ascending, on each day that matches.
        is_fixed: Whether neither the minute nor the hour begins with a star. Only such jobs are moved by a
            gap and run once in an overlap (cron's `!(MIN_STAR|HR_STAR)`). Seconds, which cron does not have,
            do not matter.
    """

    times: "array[int]"
    is_fixed: bool
    _rule: "_Rule"
    _days: dict[tuple[int, int, int], tuple[int, ...]] = field(default_factory=dict)

    def days(self, first: int, end: int) -> Iterator[int]:
        """Yield the matching days from `first` until before `end`, ascending, counted from 1970-01-01."""
        at = date.fromordinal(first + _EPOCH_DAY)
        year, month = at.year, at.month
        while year <= LAST_YEAR:
            before_month = date(year, month, 1).toordinal() - _EPOCH_DAY - 1
            if before_month + 1 >= end:
                return
            if month in self._rule.months:
                for day in self._days_of(year, month):
                    if first <= before_month + day < end:
                        yield before_month + day
            year, month = year + month // 12, month % 12 + 1

    def matches(self, day: int) -> bool:
        """Return whether a day matches."""
        return next(self.days(day, day + 1), None) is not None

    def first(self, local: int) -> int | None:
        """
        Return the first local time that is not before this one; None if there is none within the horizon.
        """
        day, second = divmod(local, DAY_S)
        for candidate in self.days(day, day + HORIZON_DAYS):
            index = bisect_left(self.times, second) if candidate == day else 0
            if index < len(self.times):
                return candidate * DAY_S + self.times[index]
        return None

    def between(self, start: int, end: int) -> Iterator[int]:
        """Yield the local times from `start` until before `end`, ascending."""
        (first, second), (last, rest) = divmod(start, DAY_S), divmod(end, DAY_S)
        for day in self.days(first, last + 1):
            begin = bisect_left(self.times, second) if day == first else 0
            stop = bisect_left(self.times, rest) if day == last else len(self.times)
            base = day * DAY_S
            for index in range(begin, stop):
                yield base + self.times[index]

    def count(self, start: int, end: int) -> int:
        """Return how many local times `between` yields, without computing each of them."""
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
        """
        Return the days of the month that match. Months of the same length that begin on the same weekday
        match alike.
        """
        first = date(year, month, 1)
        length = (
            date(year, month + 1, 1) if month < 12 else date(year + 1, 1, 1)
        ).toordinal() - first.toordinal()
        shape = (month, first.weekday(), length)
        days = self._days.get(shape)
        if days is None:
            days = tuple(day for day in range(1, length + 1) if self._rule.match_day(first.replace(day=day)))
            self._days[shape] = days
        return days


class _Rule(CronSim):
    """The rule that cronsim reads, with `15W`: the weekday nearest to the 15th, in the same month."""

    def __init__(self, text: str) -> None:
        *times, days, months, weekdays = text.upper().split()
        terms = days.split(",")
        self._near = [int(term[:-1]) for term in terms if is_nearest_weekday(term)]
        others = [term for term in terms if not is_nearest_weekday(term)]
        fields = [*times, ",".join(others) or "1", months, weekdays]
        super().__init__(" ".join(fields), datetime(2000, 1, 1))  # noqa: DTZ001 - only the text is read
        if not others:
            self.days = set()

    def match_dom(self, d: date) -> bool:
        return super().match_dom(d) or any(_nearest_weekday(d, day) == d.day for day in self._near)


def _nearest_weekday(month: date, day: int) -> int | None:
    """Return the day, Monday to Friday, nearest to this day of a month; None if the month has no such day."""
    last = monthrange(month.year, month.month)[1]
    if day > last:
        return None
    match month.replace(day=day).weekday():
        case 5:
            return day - 1 if day > 1 else day + 2
        case 6:
            return day + 1 if day < last else day - 2
    return day


@lru_cache(maxsize=4_096)
def parse(text: str) -> Pattern:
    """
    Return the pattern of a cron text of 5 fields, or 6 with seconds first.

    Raises:
        InvalidCron: the text is not a cron expression, or names a day that its months do not have.

    Thread-safety:
        Safe; the same text gives the same frozen pattern.

    Source:
        crontab(5) of Debian's cron 3.0pl1; beyond it cronsim reads `5/10`, `L`, `LW`, `5L` and `5#2`, and
        this module `15W`, as Quartz does.
    """
    check_fields(text)
    try:
        rule = _Rule(_RANGE_OF_ONE.sub(r"\1", text))
    except CronSimError:
        raise no_such_day(text) from None
    fields = text.split()
    is_fixed = not fields[-5].startswith("*") and not fields[-4].startswith("*")
    return Pattern(
        _times_of_day(frozenset(rule.hours), frozenset(rule.minutes), frozenset(rule.seconds)), is_fixed, rule
    )


@lru_cache(maxsize=1_024)
def _times_of_day(hours: frozenset[int], minutes: frozenset[int], seconds: frozenset[int]) -> "array[int]":
    return array(
        "i", (h * 3_600 + m * 60 + s for h, m, s in product(sorted(hours), sorted(minutes), sorted(seconds)))
    )
