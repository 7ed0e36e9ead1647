"""Time zones: their names, and where their clocks are put forward or back."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from scheduler.errors import nearest
from scheduler.jobsfile.faults import Fault, Wrong, wrong_type
from scheduler.jobsfile.values import Kind

_AREA_CITY = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){1,2}")
_HINT = "such as Europe/Berlin or America/New_York"
_COPIES = ("posix/", "right/")


@dataclass(frozen=True, slots=True)
class Transition:
    """
    Local times that do not exist, or come twice: from `first` up to but not with `end`, both without a zone.

    Args:
        is_gap: They do not exist; else they come twice.
        instant: When the clock is put forward or back.
    """

    is_gap: bool
    first: datetime
    end: datetime
    instant: datetime


def _parse(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type("an IANA Area/City name or UTC", value, hint=_HINT)
    if not is_zone(value):
        near = _suggestion(value)
        if near:
            raise Wrong(Fault(words=f"unknown zone; did you mean {near}", hint=f"write {near}"))
        shaped = _AREA_CITY.fullmatch(value) and not value.startswith(_COPIES)
        words = "unknown zone" if shaped else "time zone must be an IANA Area/City name or UTC"
        raise Wrong(Fault(words=words, hint=_HINT))
    return value


ZONE = Kind(_parse, {"type": "string", "examples": ["Europe/Berlin", "America/New_York", "UTC"]})


@lru_cache(maxsize=1024)
def is_zone(name: str) -> bool:
    """Whether it is UTC, or an Area/City of the zone database of this machine."""
    if name == "UTC":
        return True
    if not _AREA_CITY.fullmatch(name) or name.startswith(_COPIES):
        return False
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


@lru_cache(maxsize=1024)
def _suggestion(name: str) -> str | None:
    places, cities = _places()
    wanted = name.lower().replace(" ", "_")
    if wanted == "utc":
        return "UTC"
    if wanted in places:
        return places[wanted]
    if name.isupper():
        return None  # an abbreviation, such as CET: what looks like it is somewhere else
    city = wanted.rpartition("/")[2]
    near = city if city in cities else nearest(city, cities, likeness=0.75)
    return places[cities[near]] if near else None


@cache
def _places() -> tuple[dict[str, str], dict[str, str]]:
    """All zones by their names in lower case, and these by their cities."""
    places = {place.lower(): place for place in available_timezones() if "/" in place and not place.startswith("Etc/")}
    return places, {place.rpartition("/")[2]: place for place in sorted(places, reverse=True)}


def next_transition(zone: str, after: datetime, days: int = 366) -> Transition | None:
    """
    The next time that the clocks of a zone are put forward or back.

    Args:
        zone: Its IANA name.
        after: An aware datetime.
        days: How far to look.
    """
    info = ZoneInfo(zone)
    early = after.astimezone(UTC).replace(microsecond=0)
    for _ in range(days):
        late = early + timedelta(days=1)
        if _offset(early, info) != _offset(late, info):
            return transition_between(early, late, info)
        early = late
    return None


def transition_between(early: datetime, late: datetime, info: ZoneInfo) -> Transition:
    """The one change of offset between two instants in UTC, to the second."""
    before = _offset(early, info)
    while late - early > timedelta(seconds=1):
        middle = (early + (late - early) / 2).replace(microsecond=0)
        if _offset(middle, info) == before:
            early = middle
        else:
            late = middle
    after = _offset(late, info)
    first, end = sorted(((late + before).replace(tzinfo=None), (late + after).replace(tzinfo=None)))
    return Transition(after > before, first, end, late)


def _offset(instant: datetime, info: ZoneInfo) -> timedelta:
    return instant.astimezone(info).utcoffset() or timedelta(0)
