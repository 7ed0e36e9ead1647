"""
Filters for `fire_time` and `planned_at`: other days, and instants as text.

Days are those of the job's zone, and a moved instant keeps its local time of day.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, time, timedelta
from operator import itemgetter
from typing import Any

from tminus.errors import quoted
from tminus.instants import LATEST_NS, SECOND, duration_ns, to_datetime, to_ns
from tminus.templates.values import Instant, TextFault

#: The argument of a filter if its value is only known when the job is armed.
UNKNOWN = object()

_DAY_NS = 86_400 * SECOND
_DIRECTIVES = "aAbBdfGHIjmMpSuUVwWyYzZ%"
_LONGEST_FORMAT = 200
_MOST_WORKDAYS = 1_000
#: About as far as calendars are known.
_MOST_DAYS = 4_000
_SATURDAY = 5
_SHIFT_HINT = 'such as shift("-1d") or shift("90m")'
_FORMAT_HINT = 'such as strftime("%Y%m%d"); there are: ' + " ".join(f"%{one}" for one in _DIRECTIVES)
_WORKDAY_HINT = 'such as workday(-1) or workday(-1, "holidays"), with a name under calendars:'


def iso(moment: Any) -> str:
    """Return an instant as RFC 3339."""
    return str(_instant(moment, "iso"))


def date(moment: Any) -> str:
    """Return the day of an instant, such as `2026-11-27`."""
    return str(_instant(moment, "date"))[:10]


def strftime(moment: Any, form: Any, /) -> str:
    """Return an instant as the format says."""
    instant = _instant(moment, "strftime")
    _raise(_format_fault((form,)))
    return to_datetime(instant.instant_ns, instant.zone).strftime(form)


def shift(moment: Any, by: Any, /) -> Instant:
    """Return an instant moved by a duration. Whole days keep the time of day if the clocks change."""
    instant = _instant(moment, "shift")
    _raise(_shift_fault((by,)))
    sign = -1 if by.startswith("-") else 1
    length_ns = duration_ns(by.lstrip("+-")) or 0
    days, rest_ns = divmod(length_ns, _DAY_NS) if by.endswith("d") else (0, length_ns)
    return _at(_days_later(instant, sign * days), sign * rest_ns) if days else _at(instant, sign * rest_ns)


def first_day_of_month(moment: Any) -> Instant:
    """Return an instant moved to the first day of its month."""
    instant = _instant(moment, "first_day_of_month")
    return _days_later(instant, 1 - _local(instant).day)


def last_day_of_month(moment: Any) -> Instant:
    """Return an instant moved to the last day of its month."""
    instant = _instant(moment, "last_day_of_month")
    local = _local(instant)
    next_month = (local.replace(day=1, hour=0) + timedelta(days=31)).replace(day=1)
    return _days_later(instant, (next_month - timedelta(days=1)).day - local.day)


def workday(moment: Any, number: Any, /, *calendars: Any) -> Instant:
    """
    Return an instant moved to a working day: Monday to Friday, and no whole day of one of the calendars.

    Args:
        moment: The instant.
        number: How many working days later; negative for earlier. 0 is the same day, or the next working day.
        calendars: Names under `calendars:`.
    """
    instant = _instant(moment, "workday")
    _raise(_workday_fault((number, *calendars)))
    for name in calendars:
        if name not in instant.calendars:
            raise ValueError(f"no calendar {quoted(name)}; its name must stand in the template")
    excepted = [instant.calendars[name] for name in calendars]
    step, left = (-1 if number < 0 else 1), abs(number)
    if number == 0:
        instant, left = _days_later(instant, -1), 1
    for days in range(1, _MOST_DAYS):
        found = _days_later(instant, step * days)
        left -= _is_workday(found, excepted)
        if left == 0:
            return found
    raise ValueError("no such working day within ten years")


#: The filters, by name.
FILTERS: Mapping[str, Callable[..., Any]] = {
    filter_.__name__: filter_
    for filter_ in (iso, date, strftime, shift, first_day_of_month, last_day_of_month, workday)
}


def argument_fault(name: str, arguments: Sequence[Any]) -> TextFault | None:
    """
    Return what is wrong with the arguments of a filter, without a place; None if no error is known.

    Args:
        name: The name of the filter.
        arguments: Its arguments as written; `UNKNOWN` for each that is not a constant.
    """
    check = _CHECKS.get(name)
    return check(arguments) if check else None


def _shift_fault(arguments: Sequence[Any]) -> TextFault | None:
    match arguments:
        case [by] if by is UNKNOWN:
            return None
        case [str(by)] if re.match(r"[+-]?\d", by) and duration_ns(re.sub(r"^[+-]", "", by)) is not None:
            return None
        case _:
            return TextFault(0, 0, "shift needs a duration", _SHIFT_HINT)


def _format_fault(arguments: Sequence[Any]) -> TextFault | None:
    match arguments:
        case [form] if form is UNKNOWN:
            return None
        case [str(form)] if len(form) <= _LONGEST_FORMAT:
            wrong = re.search(rf"%(?![{_DIRECTIVES}]).?", re.sub(r"%%", "", form), re.DOTALL)
            return TextFault(0, 0, f"strftime has no {quoted(wrong[0])}", _FORMAT_HINT) if wrong else None
        case _:
            return TextFault(
                0, 0, f"strftime needs a format of at most {_LONGEST_FORMAT} characters", _FORMAT_HINT
            )


def _workday_fault(arguments: Sequence[Any]) -> TextFault | None:
    number, *calendars = arguments or (None,)
    if number is not UNKNOWN and (type(number) is not int or abs(number) > _MOST_WORKDAYS):
        return TextFault(
            0, 0, f"workday needs a number from -{_MOST_WORKDAYS} to {_MOST_WORKDAYS}", _WORKDAY_HINT
        )
    if not all(isinstance(name, str) for name in calendars):
        return TextFault(0, 0, "workday needs the names of calendars as texts in quotes", _WORKDAY_HINT)
    return None


_CHECKS: Mapping[str, Callable[[Sequence[Any]], TextFault | None]] = {
    "shift": _shift_fault,
    "strftime": _format_fault,
    "workday": _workday_fault,
}


def _raise(fault: TextFault | None) -> None:
    if fault:
        raise ValueError(f"{fault.message}, {fault.hint}")


def _instant(moment: Any, name: str) -> Instant:
    if not isinstance(moment, Instant):
        raise TypeError(f"{name} is for fire_time and planned_at")
    return moment


def _local(instant: Instant) -> datetime:
    return to_datetime(instant.instant_ns, instant.zone)


def _at(instant: Instant, later_ns: int) -> Instant:
    at_ns = instant.instant_ns + later_ns
    if not 0 <= at_ns <= LATEST_NS:
        raise ValueError("a time before 1970 or after 2262")
    return Instant(at_ns, instant.zone, instant.calendars)


def _days_later(instant: Instant, days: int) -> Instant:
    local = _local(instant)
    moved = datetime.combine(local.date() + timedelta(days=days), local.timetz())
    return _at(instant, to_ns(moved) - to_ns(local))


def _is_workday(instant: Instant, excepted: Sequence[Sequence[tuple[int, int]]]) -> bool:
    local = _local(instant)
    if local.weekday() >= _SATURDAY:
        return False
    first_s, end_s = (
        to_ns(datetime.combine(local.date() + timedelta(days=days), time(), instant.zone)) // SECOND
        for days in (0, 1)
    )
    for ranges in excepted:
        index = bisect_right(ranges, first_s, key=itemgetter(0))
        if index and end_s <= ranges[index - 1][1]:
            return False
    return True
