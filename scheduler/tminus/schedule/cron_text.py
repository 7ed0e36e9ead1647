"""Cron texts: their nicknames, whether one is valid, and otherwise which part of it is wrong and why."""

import re
from collections.abc import Iterator
from functools import lru_cache

from cronsim import CronSimError
from cronsim.cronsim import Field

from tminus.errors import InvalidText, shorten

_FIELDS = (
    "a second 0–59",
    "a minute 0–59",
    "an hour 0–23",
    "a day of month 1–31, L, LW or 15W",
    "a month 1–12 or jan–dec",
    "a day of week 0–7 or sun–sat",
)


#: Names that stand for a whole text.
NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_DAY_OF_MONTH = 3
_ZONE = re.compile("(?:CRON_)?TZ=(.*)")
_NEAREST = re.compile("(0?[1-9]|[12][0-9]|3[01])[Ww]")


class InvalidCron(InvalidText):
    """A text that is not a cron expression."""


def check_fields(text: str) -> None:
    """
    Check each field of a cron text by itself.

    Raises:
        InvalidCron: it has not 5 or 6 fields, a part of a field is wrong, or it has a zone.
    """
    fields = list(_fields(text))
    if fields and (zone := _ZONE.fullmatch(fields[0][1])):
        hint = f"write timezone: {shorten(zone[1])} beside cron:"
        raise InvalidCron(
            "a cron text has no zone in it", hint=hint, offset=fields[0][0], length=len(zone[0])
        )
    if len(fields) not in (5, 6):
        count = f"{len(fields)} field{'' if len(fields) == 1 else 's'}"
        message = f"a cron text has 5 fields, or 6 with seconds first; this one has {count}"
        raise InvalidCron(message, hint='such as "30 11 * * mon-fri"')
    for index, (start, field) in enumerate(fields, start=6 - len(fields)):
        for term in field.split(","):
            if not _is_valid(index, term):
                message, hint = _explain(index, term)
                raise InvalidCron(message, hint=hint, offset=start, length=max(len(term), 1))
            start += len(term) + 1


def is_nearest_weekday(term: str) -> bool:
    """Return whether a term of the day of month is a day and a W: the weekday nearest to that day."""
    return _NEAREST.fullmatch(term) is not None


def no_such_day(text: str) -> InvalidCron:
    """Return the error for a text whose day, month and weekday never come together."""
    day = shorten(" ".join(text.split()[-3:]))
    return InvalidCron(f"never fires: no such day as {day}", hint="check day and month")


def _fields(text: str) -> Iterator[tuple[int, str]]:
    """Yield each field with its place in the text."""
    position = 0
    for field in text.split():
        position = text.index(field, position)
        yield position, field
        position += len(field)


@lru_cache(maxsize=4096)
def _is_valid(index: int, term: str) -> bool:
    if index == _DAY_OF_MONTH and is_nearest_weekday(term):
        return True
    try:
        Field(index).parse(term.upper())
    except (CronSimError, AssertionError, ValueError, TypeError):
        return False
    return True


def _explain(index: int, term: str) -> tuple[str, str]:
    """Return what is wrong with a term of the field with this index, and a hint."""
    first, dash, last = term.partition("/")[0].partition("-")
    if dash and first.upper() in ("*", "L"):
        hint = "L is the last day itself" if first != "*" else "write a range such as 1-5, or * for any"
        return f"{shorten(term, 20)!r} is not {_FIELDS[index]}", hint
    is_range = dash and _is_valid(index, first) and _is_valid(index, last)
    if is_range and not _is_valid(index, f"{first}-{last}"):
        message = f"range {shorten(first)}-{shorten(last)} ends before it begins"
        return message, "write two ranges with a comma between them"
    hint = "write * for any" if "?" in term else "fields: minute hour day month weekday"
    return f"{shorten(term, 20)!r} is not {_FIELDS[index]}", hint
