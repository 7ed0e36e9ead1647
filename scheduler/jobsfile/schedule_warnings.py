"""Schedules that are valid and yet may not do what was meant: in the past, in years, or where the clocks are changed."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from scheduler.instants import SECOND, rfc3339, to_datetime
from scheduler.jobsfile import crons, times, zones
from scheduler.jobsfile.faults import Fault
from scheduler.jobsfile.language import Times
from scheduler.jobsfile.problems import Severity
from scheduler.jobsfile.reader import Path

_DAY_NS = 86_400 * SECOND
_A_YEAR = timedelta(days=366)


def schedule_warnings(entry: Times, zone: str, now_ns: int) -> Iterator[Fault]:
    """
    Args:
        entry: One schedule; paths begin below it.
        zone: Its own or the file's.
        now_ns: Wall clock, nanoseconds since the Unix epoch.
    """
    if entry.cron is not None:
        yield from (fault.under("cron") for fault in _cron_warnings(entry.cron, zone, now_ns))
    if entry.every is not None and entry.every >= _DAY_NS:
        words = "counts from 1970-01-01T00:00Z, not from midnight here"
        yield _warning(words, ("every",), hint='a cron keeps to the clock on the wall, such as "0 6 * * *"', joint=" ")
    for index, time in enumerate(entry.at or ()):
        found = _once_warnings(time, zone) if isinstance(time, times.LocalTime) else _cron_warnings(time.cron, zone, now_ns)
        yield from (fault.under("at", index) for fault in found)
    ends = [times.resolve(time, zone).instant_ns for time in entry.at or () if isinstance(time, times.LocalTime)]
    if ends and len(ends) == len(entry.at) and max(ends) < now_ns:
        words = f"is {_ago(now_ns - max(ends))} in the past and will never fire; use run-now"
        yield _warning(words, ("at",), hint="give a later time, or take the job away", joint=" ")


def _once_warnings(time: times.LocalTime, zone: str) -> Iterator[Fault]:
    resolved = times.resolve(time, zone)
    actual = rfc3339(resolved.instant_ns, ZoneInfo(zone))
    if resolved.in_gap:
        yield _warning(f"{time.moment} does not exist in {zone}; runs at {actual}", hint="the clocks are put forward then")
    elif resolved.is_twice:
        yield _warning(f"{time.moment} comes twice in {zone}; runs at {actual}", hint="the clocks are put back then")


@lru_cache(maxsize=16384)
def _cron_warnings(text: str, zone: str, now_ns: int) -> tuple[Fault, ...]:
    today, change = _ahead(zone, now_ns)
    found = []
    day = crons.next_day(text, today)
    if day is not None and day - today > _A_YEAR:
        found.append(_warning(f"does not fire before {day:%Y-%m-%d}", hint="check day and month", joint=" "))
    touched = change and crons.is_fixed(text) and crons.fires_between(text, change.first, change.end)
    if change and touched:
        if change.is_gap:
            then = change.instant.astimezone(ZoneInfo(zone))
            words = f"{touched:%H:%M} does not exist on {touched:%Y-%m-%d} in {zone}; runs at {then:%H:%M}"
        else:
            words = f"{touched:%H:%M} comes twice on {touched:%Y-%m-%d} in {zone}; runs the first time"
        found.append(_warning(words, hint=f"a time outside {change.first:%H:%M}–{change.end:%H:%M} comes once every day"))
    return tuple(found)


@lru_cache(maxsize=64)
def _ahead(zone: str, now_ns: int) -> tuple[datetime, zones.Transition | None]:
    """The present day in a zone, without the zone, and the next change of its clocks."""
    now = to_datetime(now_ns)
    today = now.astimezone(ZoneInfo(zone)).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    return today, zones.next_transition(zone, now)


def _warning(words: str, path: Path = (), *, hint: str, joint: str = ": ") -> Fault:
    return Fault(words=words, path=path, hint=hint, joint=joint, severity=Severity.WARNING)


def _ago(duration_ns: int) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if duration_ns >= length * SECOND:
            return f"{duration_ns // (length * SECOND)}{unit}"
    return f"{duration_ns // SECOND}s"
