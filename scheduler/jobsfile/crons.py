"""Cron texts: which field is wrong and why, and whether they ever fire. Debian cron's rules, by cronsim."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from cronsim import CronSim, CronSimError
from cronsim.cronsim import Field

from scheduler.errors import shorten
from scheduler.jobsfile.faults import Fault, Wrong, wrong_type
from scheduler.jobsfile.values import Kind

_FIELDS = (
    "a second 0–59",
    "a minute 0–59",
    "an hour 0–23",
    "a day of month 1–31 or L",
    "a month 1–12 or jan–dec",
    "a day of week 0–7 or sun–sat",
)
_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_LONGEST = 1_000
#: Where a search for the next fire time may begin: any leap year will do.
_START = datetime(2024, 1, 1)  # noqa: DTZ001 - a cron without a zone


def _parse(value: Any) -> str:
    if not isinstance(value, str):
        hint = "write schedule: [{cron: …}, {cron: …}]" if isinstance(value, list) else "put it in quotes"
        raise wrong_type("a cron text", value, hint=hint)
    fault = _fault(value)
    if fault:
        raise Wrong(fault)
    return value


CRON = Kind(_parse, {"type": "string", "examples": ["30 11 * * mon-fri", "*/10 * * * * *"]})


def fields_of(text: str) -> list[str]:
    """The six fields of a valid cron text, seconds first."""
    fields = text.upper().split()
    return fields if len(fields) == 6 else ["0", *fields]


def is_fixed(text: str) -> bool:
    """Whether hour and minute are given: such a cron follows the clock on the wall, others follow elapsed time."""
    _, minute, hour, *_ = fields_of(text)
    return not minute.startswith("*") and not hour.startswith("*")


def fires_between(text: str, first: datetime, end: datetime) -> datetime | None:
    """The first local time at which a valid cron text would fire from `first` up to but not with `end`; both without a zone."""
    if _hours_of(fields_of(text)[2]).isdisjoint(_hours(first, end)):
        return None
    found = next(CronSim(text, first - timedelta(seconds=1)), None)
    return found if found and found < end else None


@lru_cache(maxsize=64)
def _hours(first: datetime, end: datetime) -> frozenset[int]:
    minutes = int((end - first).total_seconds() // 60)
    return frozenset((first + timedelta(minutes=minute)).hour for minute in range(minutes))


def next_day(text: str, after: datetime) -> datetime | None:
    """The first day from that midnight on which a valid cron text fires, where it does not fire every week; no zones."""
    *_, day, month, weekday = fields_of(text)
    if day == "*" and month == "*" and "#" not in weekday:
        return None
    return _next_day(day, month, weekday, after)


@lru_cache(maxsize=4096)
def _next_day(day: str, month: str, weekday: str, after: datetime) -> datetime | None:
    return next(CronSim(f"0 0 {day} {month} {weekday}", after - timedelta(seconds=1)), None)


@lru_cache(maxsize=16384)
def _fault(text: str) -> Fault | None:
    fields = list(_fields(text))
    nickname = _NICKNAMES.get(text.strip().lower())
    if nickname:
        return Fault(words=f"{text.strip()} is not a cron text", hint=f'write "{nickname}"')
    if len(text) > _LONGEST:
        return Fault(words=f"a cron text has at most {_LONGEST} characters", hint="use several schedules")
    if len(fields) not in (5, 6):
        many = f"{len(fields)} field{'' if len(fields) == 1 else 's'}"
        return Fault(
            words=f"a cron text has 5 fields, or 6 with seconds first; this one has {many}", hint='such as "30 11 * * mon-fri"'
        )
    for index, (offset, field) in enumerate(fields, start=6 - len(fields)):
        start = offset
        for term in field.split(","):
            if not _is_right(index, term):
                words, hint = _why_wrong(index, term)
                return Fault(words=words, hint=hint, offset=start, length=max(len(term), 1))
            start += len(term) + 1
    if _never_fires(text):
        day = shorten(" ".join(field for _, field in fields[-3:]))
        return Fault(words=f"never fires: no such day as {day}", hint="check day and month")
    return None


def _fields(text: str) -> Iterator[tuple[int, str]]:
    position = 0
    for field in text.split():
        position = text.index(field, position)
        yield position, field
        position += len(field)


@lru_cache(maxsize=4096)
def _is_right(index: int, term: str) -> bool:
    try:
        Field(index).parse(term.upper())
    except (CronSimError, AssertionError, ValueError, TypeError):
        return False
    return True


def _why_wrong(index: int, term: str) -> tuple[str, str]:
    first, dash, last = term.partition("/")[0].partition("-")
    if dash and _is_right(index, first) and _is_right(index, last) and not _is_right(index, f"{first}-{last}"):
        return f"range {shorten(first)}-{shorten(last)} ends before it begins", "write two ranges with a comma between them"
    hint = "write * for any" if "?" in term else "fields: minute hour day month weekday"
    return f"{shorten(term, 20)!r} is not {_FIELDS[index]}", hint


@lru_cache(maxsize=4096)
def _hours_of(field: str) -> frozenset[Any]:
    return frozenset(Field.HOUR.parse(field))


def _never_fires(text: str) -> bool:
    *_, day, month, weekday = text.split()
    return not (day == "*" and "#" not in weekday) and not _has_day(day.upper(), month.upper(), weekday.upper())


def _has_day(day: str, month: str, weekday: str) -> bool:
    try:
        return _next_day(day, month, weekday, _START) is not None
    except CronSimError:
        return False
