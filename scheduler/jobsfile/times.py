"""`at`: a time of day for every day, or one instant, with the daylight saving changes in its way."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from scheduler.instants import SECOND, parse_rfc3339, to_ns
from scheduler.jobsfile.faults import Fault, Wrong, must, wrong_type
from scheduler.jobsfile.values import Kind
from scheduler.jobsfile.zones import transition_between

_SHAPE = re.compile(
    r"(?:(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[Tt ])?(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d))?"
    r"(?:\.(?P<fraction>\d{1,9}))?(?P<offset>[Zz]|[+-]\d\d:\d\d)?",
    re.ASCII,
)
_RANGES = {
    "month": ("month 1–12", 1, 12),
    "hour": ("hour 0–23", 0, 23),
    "minute": ("minute 0–59", 0, 59),
    "second": ("second 0–59", 0, 59),
}
_HINT = "HH:MM or HH:MM:SS for every day, 2026-12-31T23:59:00 for once"
_MOST = 1_000


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """Every day, in the job's zone."""

    hour: int
    minute: int
    second: int

    @property
    def cron(self) -> str:
        """The same as a cron text."""
        return f"{self.second} {self.minute} {self.hour} * * *"


@dataclass(frozen=True, slots=True)
class LocalTime:
    """Once; without an offset in the job's zone. The fraction of a second is carried beside the datetime."""

    moment: datetime
    fraction_ns: int
    instant_ns: int | None  #: where the text gave an offset


@dataclass(frozen=True, slots=True)
class Resolved:
    """An instant, and what a daylight saving change made of it: `in_gap` or `is_twice`."""

    instant_ns: int
    in_gap: bool = False
    is_twice: bool = False


def _parse(value: Any) -> tuple[TimeOfDay | LocalTime, ...]:
    if not isinstance(value, list):
        return (_parse_one(value),)
    if not value:
        raise Wrong(Fault(words="an empty list never fires", hint="give a time, or write schedule: manual"))
    if len(value) > _MOST:
        raise Wrong(Fault(words=f"a list of {len(value)} times; at most {_MOST}", hint="use a cron, or several jobs"))
    times: list[TimeOfDay | LocalTime] = []
    faults: list[Fault] = []
    for index, item in enumerate(value):
        try:
            times.append(_parse_one(item))
        except Wrong as wrong:
            faults += (fault.under(index) for fault in wrong.faults)
    if faults:
        raise Wrong(*faults)
    return tuple(times)


AT = Kind(
    _parse, {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": _MOST}]}
)


def _parse_one(value: Any) -> TimeOfDay | LocalTime:
    if not isinstance(value, str):
        raise wrong_type("a time", value, hint=_HINT)
    return _parse_text(value)


@lru_cache(maxsize=4096)
def _parse_text(text: str) -> TimeOfDay | LocalTime:
    match = _SHAPE.fullmatch(text)
    if match is None or (match["year"] is None and (match["fraction"] or match["offset"])):
        raise must("be a time", hint=_HINT)
    for group, (wanted, lowest, highest) in _RANGES.items():
        if match[group] is not None and not lowest <= int(match[group]) <= highest:
            article = "an" if group == "hour" else "a"
            raise Wrong(Fault(words=f"{match[group]} is not {article} {wanted}", hint=_HINT, offset=match.start(group), length=2))
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"] or 0)
    if match["year"] is None:
        return TimeOfDay(hour, minute, second)
    if not 1970 < int(match["year"]) < 2200:
        words = f"year {match['year']} is not within 1971–2199"
        raise Wrong(Fault(words=words, hint=_HINT, offset=match.start("year"), length=4))
    try:
        moment = datetime(int(match["year"]), int(match["month"]), int(match["day"]), hour, minute, second)  # noqa: DTZ001
    except ValueError:
        raise Wrong(Fault(words=f"there is no day {text[:10]}", hint=_HINT, offset=match.start("day"), length=2)) from None
    try:
        instant = parse_rfc3339(text) if match["offset"] else None
    except ValueError:
        words, hint = f"{match['offset']} is not an offset", "such as +01:00, or Z for UTC"
        raise Wrong(Fault(words=words, hint=hint, offset=match.start("offset"), length=6)) from None
    return LocalTime(moment, int((match["fraction"] or "").ljust(9, "0")), instant)


def resolve(time: LocalTime, zone: str) -> Resolved:
    """The instant of a time in a zone: in a gap the first one after it, where it comes twice the first of the two."""
    if time.instant_ns is not None:
        return Resolved(time.instant_ns)
    info = ZoneInfo(zone)
    first, second = (time.moment.replace(tzinfo=info, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return Resolved(to_ns(first) + time.fraction_ns)
    if first < second:
        return Resolved(to_ns(first) + time.fraction_ns, is_twice=True)
    change = transition_between(second - timedelta(seconds=1), first, info)
    return Resolved(to_ns(change.instant) // SECOND * SECOND, in_gap=True)
