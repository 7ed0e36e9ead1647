"""`at`: a time of day for every day, or one instant, and what a transition does to it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from tminus.instants import parse_rfc3339, to_ns
from tminus.jobsfile.text.faults import Fault, InvalidValue, invalid_value, wrong_type
from tminus.jobsfile.types.values import ValueType
from tminus.policies.dst import Dst, Gap, OverlapPass
from tminus.schedule.dst import local_second, transitions

_SHAPE = re.compile(
    r"(?:(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[Tt ])?"
    r"(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d))?"
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
    """A time of every day, in the job's zone."""

    hour: int
    minute: int
    second: int

    @property
    def cron(self) -> str:
        """The same time as a cron text."""
        return f"{self.second} {self.minute} {self.hour} * * *"

    @property
    def second_of_day(self) -> int:
        """The same time as the seconds that the clock shows since midnight."""
        return self.hour * 3_600 + self.minute * 60 + self.second


@dataclass(frozen=True, slots=True)
class LocalTime:
    """A date and a time; without an offset, in the job's zone."""

    moment: datetime  #: whole seconds
    fraction_ns: int
    instant_ns: int | None  #: if the text has an offset


@dataclass(frozen=True, slots=True)
class Resolved:
    """
    The instants of a local time.

    Args:
        first_ns: The first instant; the end of the gap if the local time is in one.
        last_ns: The last instant; the same, unless the local time comes twice.
        in_gap: Whether the local time does not exist.
    """

    first_ns: int
    last_ns: int
    in_gap: bool = False

    def fire_times(self, dst: Dst) -> tuple[int, ...]:
        """Return the instants at which a job runs."""
        if self.in_gap and dst.gap is Gap.SKIP:
            return ()
        match dst.overlap:
            case OverlapPass.FIRST:
                return (self.first_ns,)
            case OverlapPass.SECOND:
                return (self.last_ns,)
            case OverlapPass.BOTH:
                return (self.first_ns, self.last_ns) if self.is_twice else (self.first_ns,)

    @property
    def is_twice(self) -> bool:
        """Whether the local time comes twice."""
        return self.first_ns != self.last_ns


def _parse(value: Any) -> tuple[TimeOfDay | LocalTime, ...]:
    if not isinstance(value, list):
        return (_parse_one(value),)
    if not value:
        raise InvalidValue(
            Fault(message="an empty list never fires", hint="give a time, or write schedule: manual")
        )
    if len(value) > _MOST:
        raise InvalidValue(
            Fault(
                message=f"a list of {len(value)} times; at most {_MOST}", hint="use a cron, or several jobs"
            )
        )
    times: list[TimeOfDay | LocalTime] = []
    faults: list[Fault] = []
    for index, item in enumerate(value):
        try:
            times.append(_parse_one(item))
        except InvalidValue as error:
            faults += (fault.under(index) for fault in error.faults)
    if faults:
        raise InvalidValue(*faults)
    return tuple(times)


AT = ValueType(
    _parse,
    {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": _MOST},
        ]
    },
)


def _parse_time_of_day(value: Any) -> TimeOfDay:
    time = parse_time(value) if isinstance(value, str) else None
    if not isinstance(time, TimeOfDay):
        raise invalid_value("be a time of day", hint='"HH:MM" or "HH:MM:SS", in the zone of the job')
    return time


#: A time of every day.
TIME_OF_DAY = ValueType(_parse_time_of_day, {"type": "string"})


def _parse_one(value: Any) -> TimeOfDay | LocalTime:
    if not isinstance(value, str):
        raise wrong_type("a time", value, hint=_HINT)
    return parse_time(value)


@lru_cache(maxsize=4096)
def parse_time(text: str) -> TimeOfDay | LocalTime:
    """
    Return the time that a text names.

    Raises:
        InvalidValue: it names none; with the place in the text, if one part is out of its range.
    """
    match = _SHAPE.fullmatch(text)
    if match is None or (match["year"] is None and (match["fraction"] or match["offset"])):
        raise invalid_value("be a time", hint=_HINT)
    if match["fraction"] and match["second"] is None:
        raise InvalidValue(
            Fault(
                message="a fraction without seconds",
                hint="RFC 3339 asks for both, such as 2026-12-31T23:59:00.5",
                offset=match.start("fraction") - 1,
                length=len(match["fraction"]) + 1,
            )
        )
    for group, (wanted, lowest, highest) in _RANGES.items():
        if match[group] is not None and not lowest <= int(match[group]) <= highest:
            article = "an" if group == "hour" else "a"
            raise InvalidValue(
                Fault(
                    message=f"{match[group]} is not {article} {wanted}",
                    hint=_HINT,
                    offset=match.start(group),
                    length=2,
                )
            )
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"] or 0)
    if match["year"] is None:
        return TimeOfDay(hour, minute, second)
    if not 1970 < int(match["year"]) < 2200:
        message = f"year {match['year']} is not within 1971–2199"
        raise InvalidValue(Fault(message=message, hint=_HINT, offset=match.start("year"), length=4))
    try:
        moment = datetime(int(match["year"]), int(match["month"]), int(match["day"]), hour, minute, second)  # noqa: DTZ001
    except ValueError:
        raise InvalidValue(
            Fault(message=f"there is no day {text[:10]}", hint=_HINT, offset=match.start("day"), length=2)
        ) from None
    try:
        instant = parse_rfc3339(text) if match["offset"] else None
    except ValueError:
        message, hint = f"{match['offset']} is not an offset", "such as +01:00, or Z for UTC"
        raise InvalidValue(
            Fault(message=message, hint=hint, offset=match.start("offset"), length=6)
        ) from None
    return LocalTime(moment, int((match["fraction"] or "").ljust(9, "0")), instant)


def resolve(time: LocalTime, zone: str) -> Resolved:
    """Return the instants of a time in a zone."""
    if time.instant_ns is not None:
        return Resolved(time.instant_ns, time.instant_ns)
    info = ZoneInfo(zone)
    first, second = (time.moment.replace(tzinfo=info, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return Resolved(to_ns(first) + time.fraction_ns, to_ns(second) + time.fraction_ns)
    # The local time is in a gap: only there is the instant with fold 0 the later one.
    local_s = local_second(time.moment)
    changes = (change for year in {second.year, first.year} for change in transitions(zone, year))
    end_ns = next(change.instant_ns for change in changes if local_s in change.skipped)
    return Resolved(end_ns, end_ns, in_gap=True)
