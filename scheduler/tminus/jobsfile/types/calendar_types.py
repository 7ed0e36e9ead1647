"""Calendars and windows in the jobs file: days, ranges of time, and ranges within the day."""

import re
from dataclasses import dataclass, replace
from typing import Any

from tminus.instants import SECOND
from tminus.jobsfile.text.faults import Fault, InvalidValue, wrong_type
from tminus.jobsfile.types.at_times import LocalTime, TimeOfDay, parse_time, resolve
from tminus.jobsfile.types.maps import key, list_of, map_of
from tminus.jobsfile.types.values import TEXT, ValueType
from tminus.schedule.cron import DAY_S
from tminus.schedule.limits import merged

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DAY_HINT = "write a day, such as 2026-12-24"
_MOMENT_HINT = "a day such as 2026-12-24, or a date and time such as 2026-12-24T18:00"
_WINDOW_HINT = 'such as "08:00-18:00", or "22:00-06:00" past midnight'
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class TimeRange:
    """
    From a first to a last time. Both belong to it.

    Args:
        first: The first one.
        last: The last one.
        precision_s: How many seconds of the clock the last one stands for: 60 if it names a minute.
    """

    first: LocalTime
    last: LocalTime
    precision_s: int

    def seconds(self, zone: str) -> tuple[int, int]:
        """
        Return the range in seconds since the Unix epoch: its first one, and the one after its last. If the
        clock in the zone skips the whole range, both are equal.
        """
        last = resolve(self.last, zone)
        end_ns = last.last_ns if last.in_gap else last.last_ns + self.precision_s * SECOND
        return resolve(self.first, zone).first_ns // SECOND, end_ns // SECOND


def day(text: str) -> TimeRange:
    """
    Return the range of one day.

    Raises:
        InvalidValue: there is no such day.
    """
    return TimeRange(_local(f"{text}T00:00"), _local(f"{text}T23:59"), 60)


def _day(value: Any) -> TimeRange:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise InvalidValue(Fault(message="must be a day", joint=" ", hint=_DAY_HINT, shows_value=True))
    try:
        return day(value)
    except InvalidValue as error:
        raise InvalidValue(*(replace(fault, hint=_DAY_HINT) for fault in error.faults)) from None


def _moment(value: Any) -> TimeRange:
    if isinstance(value, str) and _DAY.fullmatch(value):
        return _day(value)
    if not isinstance(value, str):
        raise wrong_type("a time", value, hint=_MOMENT_HINT)
    found = parse_time(value)
    if isinstance(found, TimeOfDay):
        raise InvalidValue(Fault(message="must have a date", joint=" ", hint=_MOMENT_HINT, shows_value=True))
    return TimeRange(found, found, _precision_s(value))


def _windows(value: Any) -> tuple[tuple[int, int], ...]:
    texts = value if isinstance(value, list) else [value]
    faults: list[Fault] = []
    found: list[tuple[int, int]] = []
    for index, text in enumerate(texts):
        try:
            found += _window(text)
        except InvalidValue as error:
            faults += (fault.under(index) if isinstance(value, list) else fault for fault in error.faults)
    if not texts:
        faults.append(Fault(message="an empty list never fires", hint=_WINDOW_HINT))
    if faults:
        raise InvalidValue(*faults)
    return merged(found)


def _window(text: Any) -> list[tuple[int, int]]:
    """Return the seconds of the day: two ranges if the window goes past midnight."""
    if not isinstance(text, str):
        raise wrong_type("a window of the day", text, hint=_WINDOW_HINT)
    first, dash, last = text.partition("-")
    times = []
    for part, offset in ((first, 0), (last, len(first) + 1)):
        try:
            times.append(parse_time(part))
        except InvalidValue as error:
            fault = error.faults[0]
            if not dash or fault.offset is None:
                break
            raise InvalidValue(replace(fault, offset=fault.offset + offset, hint=_WINDOW_HINT)) from None
    start, stop = times if len(times) == 2 else (None, None)
    if not isinstance(start, TimeOfDay) or not isinstance(stop, TimeOfDay):
        message = "must be a window of the day"
        raise InvalidValue(Fault(message=message, joint=" ", hint=_WINDOW_HINT, shows_value=True))
    start_s, end_s = start.second_of_day, stop.second_of_day + _precision_s(last)
    return [(start_s, end_s)] if start_s < end_s else [(0, end_s), (start_s, DAY_S)]


def _local(text: str) -> LocalTime:
    found = parse_time(text)
    if isinstance(found, TimeOfDay):
        raise TypeError(f"{text} has no date")
    return found


def _precision_s(text: str) -> int:
    return 1 if re.search(r"\d\d:\d\d:\d\d", text) else 60


DAY = ValueType(_day, {"type": "string", "examples": ["2026-12-24"]})
MOMENT = ValueType(_moment, {"type": "string", "examples": ["2026-12-24", "2026-12-24T18:00"]})
_WINDOW = {"type": "string", "examples": ["08:00-18:00"]}
WINDOWS = ValueType(_windows, {"anyOf": [_WINDOW, {"type": "array", "items": _WINDOW, "minItems": 1}]})


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeSpec:
    """A range of time. Both ends belong to it."""

    from_: TimeRange | None = key(MOMENT, "A day, or a date and time: the first one.")
    to: TimeRange | None = key(MOMENT, "A day, or a date and time: the last one.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarSpec:
    """Days and ranges of time at which jobs are not due, from all of its sources together."""

    country: str | None = key(TEXT, "Public holidays: ISO 3166 code, such as DE.")
    subdivision: str | None = key(TEXT, "A part of that country, such as BE.")
    dates: list[TimeRange] | None = key(list_of(DAY), "Days.")
    ranges: list[RangeSpec] | None = key(list_of(map_of(RangeSpec)), "Ranges of time.")
    ics: str | None = key(TEXT, "An iCalendar file; relative to the jobs file.")
