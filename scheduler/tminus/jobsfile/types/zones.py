"""Names of time zones."""

import re
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from tminus.jobsfile.text.faults import Fault, InvalidValue, wrong_type
from tminus.jobsfile.types.values import ValueType
from tminus.suggestions import nearest

_AREA_CITY = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){1,2}")
_HINT = "such as Europe/Berlin or America/New_York"
_COPIES = ("posix/", "right/")


def _parse(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type("an IANA Area/City name or UTC", value, hint=_HINT)
    if not is_zone(value):
        near = _suggestion(value)
        if near:
            raise InvalidValue(Fault(message=f"unknown zone; did you mean {near}", hint=f"write {near}"))
        shaped = _AREA_CITY.fullmatch(value) and not value.startswith(_COPIES)
        message = "unknown zone" if shaped else "time zone must be an IANA Area/City name or UTC"
        raise InvalidValue(Fault(message=message, hint=_HINT))
    return value


ZONE = ValueType(_parse, {"type": "string", "examples": ["Europe/Berlin", "America/New_York", "UTC"]})


@lru_cache(maxsize=1024)
def is_zone(name: str) -> bool:
    """Return whether a name is UTC, or an Area/City in the zone database of this machine."""
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
        return None  # an abbreviation, such as CET: a similar name is another zone
    city = wanted.rpartition("/")[2]
    near = city if city in cities else nearest(city, cities, likeness=0.75)
    return places[cities[near]] if near else None


@cache
def _places() -> tuple[dict[str, str], dict[str, str]]:
    """Return all zones by their names in lower case, and these names by their cities."""
    places = {
        place.lower(): place
        for place in available_timezones()
        if "/" in place and not place.startswith("Etc/")
    }
    return places, {place.rpartition("/")[2]: place for place in sorted(places, reverse=True)}
