"""
The sources of calendars: the public holidays of the library `holidays`, and the events of iCalendar files.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import chain, takewhile
from typing import Any

from tminus.instants import to_ns
from tminus.jobsfile.types.at_times import LocalTime
from tminus.jobsfile.types.calendar_types import TimeRange, day
from tminus.suggestions import suggest

#: Holidays and events are computed for at least this many years to come.
YEARS_AHEAD = 10
_MOST_EVENTS = 20_000
#: Frequencies that are refused: a rule can then give millions of events.
_TOO_OFTEN = frozenset({"SECONDLY", "MINUTELY", "HOURLY"})
_INSTALL = "in the folder of tminus: pip install '.[calendars]'"


class CalendarError(Exception):
    """
    A source that gives no days.

    Args:
        key: The calendar's key that names the source.
        message: What is wrong, lower case, no full stop.
        hint: What would be right.
    """

    def __init__(self, key: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.key = key
        self.message = message
        self.hint = hint


@lru_cache(maxsize=256)
def holidays(country: str, subdivision: str | None, years: range) -> Sequence[TimeRange]:
    """
    Return the public holidays of a country.

    Raises:
        CalendarError: there is no such country or part of it, or the library is not installed.

    Thread-safety:
        Safe.
    """
    try:
        import holidays as library
    except ImportError:
        raise CalendarError("country", "needs the library holidays", _INSTALL) from None
    known = library.list_supported_countries(include_aliases=True)
    if country not in known:
        raise _unknown("country", country, list(known), "an ISO 3166 code, such as DE")
    if subdivision is not None and subdivision not in known[country]:
        hint = f"there are: {', '.join(known[country])}" if known[country] else "leave it out"
        raise _unknown("subdivision", subdivision, known[country], hint)
    found = library.country_holidays(country, subdiv=subdivision, years=years)
    return tuple(day(one.isoformat()) for one in sorted(found))


def events(text: bytes, years: range) -> Sequence[TimeRange]:
    """
    Return the events of an iCalendar file, also those that recur (RRULE, RDATE, EXDATE, RECURRENCE-ID).

    Raises:
        CalendarError: it is not such a file, or has too many events; or the library is not installed.

    Source:
        RFC 5545.
    """
    try:
        import recurring_ical_events
        from icalendar import Calendar
    except ImportError:
        raise CalendarError("ics", "needs the library recurring-ical-events", _INSTALL) from None
    start, end = date(years.start, 1, 1), date(years.stop, 1, 1)
    found: list[TimeRange] = []
    try:
        calendars = Calendar.from_ical(text, multiple=True)
        rules = (event.get("RRULE", {}) for calendar in calendars for event in calendar.walk("VEVENT"))
        if any(_TOO_OFTEN & {*rule.get("FREQ", ())} for rule in rules):
            raise CalendarError("ics", "an event recurs more often than daily", "use between: instead")
        recurring = (recurring_ical_events.of(calendar).after(start) for calendar in calendars)
        each = (takewhile(lambda event: _day_of(event.start) < end, one) for one in recurring)
        for event in chain.from_iterable(each):
            if len(found) == _MOST_EVENTS:
                raise CalendarError("ics", f"more than {_MOST_EVENTS} events", "use ranges:, or between:")
            found.append(_range(event.start, event.end))
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        message = f"is not an iCalendar file ({type(error).__name__})"
        raise CalendarError("ics", message, "export it again as .ics") from None
    if not calendars:
        raise CalendarError("ics", "is not an iCalendar file: it is empty", "export it again as .ics")
    return tuple(dict.fromkeys(found))


def _unknown(key: str, name: str, known: Sequence[str], hint: str) -> CalendarError:
    message = f"the library holidays has no {name!r}"
    return CalendarError(key, message, suggest(name, known, otherwise=hint))


def _day_of(moment: Any) -> date:
    return moment.date() if isinstance(moment, datetime) else moment


def _range(start: date, end: date) -> TimeRange:
    """Return the range of an event. Its end does not belong to it; without one, an event has one second."""
    if not isinstance(start, datetime) or not isinstance(end, datetime):
        last = day(max(_day_of(start), _day_of(end) - timedelta(days=1)).isoformat())
        return TimeRange(day(_day_of(start).isoformat()).first, last.last, last.precision_s)
    return TimeRange(_local(start), _local(max(start, end - timedelta(seconds=1))), 1)


def _local(moment: datetime) -> LocalTime:
    """Return a time in the zone of the schedule, or the instant if the event has a zone of its own."""
    whole = moment.replace(microsecond=0)
    if whole.tzinfo is None:
        return LocalTime(whole, 0, None)
    return LocalTime(whole.astimezone(UTC).replace(tzinfo=None), 0, to_ns(whole))
