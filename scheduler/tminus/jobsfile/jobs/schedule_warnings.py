"""
Warnings about valid schedules: in the past, years ahead, or changed by a transition to or from daylight
saving time.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from zoneinfo import ZoneInfo

from tminus.instants import SECOND, rfc3339, to_datetime
from tminus.jobsfile.jobs.schema import TimesSpec
from tminus.jobsfile.text.faults import Fault
from tminus.jobsfile.text.problems import Severity
from tminus.jobsfile.text.tree import Path
from tminus.jobsfile.types import at_times
from tminus.model.job import Cron, Limits, Schedule
from tminus.policies.dst import Dst
from tminus.schedule.dst import Touched, Transition, local_time, next_transition, touched
from tminus.schedule.fire_times import after
from tminus.schedule.limits import stretch_at

#: The fields of a cron text: name, first value, number of values.
_FIELDS = (
    ("second", 0, 60),
    ("minute", 0, 60),
    ("hour", 0, 24),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("weekday", 0, 7),
)
#: The unit after which the values of a field begin again.
_WHOLES = {
    "second": "minute",
    "minute": "hour",
    "hour": "day",
    "day of month": "month",
    "month": "year",
    "weekday": "week",
}
_DAY_NS = 86_400 * SECOND
_YEAR_NS = 366 * _DAY_NS


def schedule_warnings(entry: TimesSpec, zone: str, dst: Dst, limits: Limits, now_ns: int) -> Iterator[Fault]:
    """
    Yield warnings about one part of a schedule.

    Args:
        entry: The part; paths begin below it.
        zone: Its own zone, or that of the file.
        dst: The `dst` of the job.
        limits: The limits of the part.
        now_ns: Wall clock, nanoseconds since the Unix epoch.
    """
    if entry.cron is not None:
        yield from (fault.under("cron") for fault in _text_warnings(entry.cron))
        cron = Cron(entry.cron, zone, dst)
        yield from (fault.under("cron") for fault in _cron_warnings(cron, limits, now_ns))
    if entry.every is not None and entry.every >= _DAY_NS:
        message = "counts from 1970-01-01T00:00Z, not from midnight here"
        yield _warning(
            message, ("every",), hint='a cron keeps to the clock on the wall, such as "0 6 * * *"', joint=" "
        )
    for index, time in enumerate(entry.at or ()):
        found = (
            _once_warnings(time, zone, dst)
            if isinstance(time, at_times.LocalTime)
            else _cron_warnings(Cron(time.cron, zone, dst), limits, now_ns)
        )
        yield from (fault.under("at", index) for fault in found)
    ends = [
        at_times.resolve(time, zone).last_ns
        for time in entry.at or ()
        if isinstance(time, at_times.LocalTime)
    ]
    if entry.at and len(ends) == len(entry.at) and max(ends) < now_ns:
        message = f"is {_ago(now_ns - max(ends))} in the past and will never fire; use run-now"
        yield _warning(message, ("at",), hint="give a later time, or take the job away", joint=" ")


def limit_faults(
    entry: TimesSpec, times: Schedule, parts: Schedule, zone: str, now_ns: int
) -> Iterator[Fault]:
    """
    Yield what is wrong with the limits of one part of a schedule.

    Args:
        entry: The part; paths begin below it.
        times: Its times without the limits.
        parts: The same with the limits.
        zone: The zone of the part.
        now_ns: Wall clock, nanoseconds since the Unix epoch.
    """
    limits = {"between": entry.between, "except": entry.except_, "start": entry.start, "end": entry.end}
    present = [key for key, value in (limits | {"jitter": entry.jitter}).items() if value is not None]
    if entry.manual and present:
        hint = "leave it out; a job that only starts by hand has no fire times"
        yield Fault(message="is for times", joint=" ", path=(present[0],), on_key=True, hint=hint)
    elif entry.start and entry.end and entry.start.seconds(zone)[0] >= entry.end.seconds(zone)[1]:
        yield Fault(message="is before start", joint=" ", path=("end",), hint="no fire time is left")
    elif parts != times and after(parts, now_ns) is None and after(times, now_ns) is not None:
        named = [key for key, value in limits.items() if value is not None]
        hint = f"no fire time is left; look at {', '.join(named)}"
        yield _warning("the job never fires", (present[0],), hint=hint)


def _once_warnings(time: at_times.LocalTime, zone: str, dst: Dst) -> Iterator[Fault]:
    resolved = at_times.resolve(time, zone)
    runs = [f"at {rfc3339(at_ns, ZoneInfo(zone))}" for at_ns in resolved.fire_times(dst)]
    outcome = f"runs {' and '.join(runs)}" if runs else "does not run"
    if resolved.in_gap:
        yield _warning(
            f"{time.moment} does not exist in {zone}; {outcome}",
            hint="the clocks are put forward then",
        )
    elif resolved.is_twice:
        yield _warning(f"{time.moment} comes twice in {zone}; {outcome}", hint="the clocks are put back then")


@lru_cache(maxsize=16384)
def _text_warnings(text: str) -> tuple[Fault, ...]:
    """Warn about what many people read otherwise than cron does."""
    fields = text.split()
    found = []
    if not fields[-3].startswith("*") and not fields[-1].startswith("*"):
        message = "runs on days that match the day of month or the weekday, not only on those that match both"
        found.append(_warning(message, hint="write * for one of them", joint=" "))
    for (name, first, count), field in zip(_FIELDS[-len(fields) :], fields, strict=True):
        for step in map(int, re.findall(r"(?:^|,)\*/0*([1-9][0-9]*)", field)):
            last = range(first, first + count, step)[-1]
            if last + step != first + count or (name == "day of month" and step > 1):
                message = f"{name} */{step} is {first} again after {last}, in each {_WHOLES[name]}"
                hint = f"every: {step}{name[0]} has equal steps" if count in (24, 60) else "list the values"
                found.append(_warning(message, hint=hint))
    return tuple(found)


@lru_cache(maxsize=16384)
def _cron_warnings(cron: Cron, limits: Limits, now_ns: int) -> tuple[Fault, ...]:
    zone, found = cron.zone, []
    first_ns = after((cron,), now_ns)
    if first_ns is not None and first_ns - now_ns > _YEAR_NS:
        message = f"does not fire before {to_datetime(first_ns, ZoneInfo(zone)):%Y-%m-%d}"
        found.append(_warning(message, hint="check day and month", joint=" "))
    change = _next_transition(zone, now_ns)
    touch = touched(cron, change) if change else None
    if change and touch and not _is_left_out(touch, limits):
        runs = (at_ns for at_ns in touch.instants_ns if stretch_at(limits, at_ns // SECOND).counts)
        touch = replace(touch, instants_ns=tuple(runs))
        affected = change.skipped or change.repeated
        first, end = local_time(affected.start), local_time(affected.stop)
        hint = f"a time outside {first:%H:%M}–{end:%H:%M} comes once every day"
        found.append(_warning(_transition_words(zone, touch, change), hint=hint))
    return tuple(found)


def _is_left_out(touch: Touched, limits: Limits) -> bool:
    """Return whether the limits leave out the touched local time, or its day."""
    second = touch.local.hour * 3_600 + touch.local.minute * 60 + touch.local.second
    if limits.windows and not any(first <= second < end for first, end in limits.windows):
        return True
    without_windows = replace(limits, windows=())
    counts = [stretch_at(without_windows, at_ns // SECOND).counts for at_ns in touch.instants_ns]
    return bool(counts) and not any(counts)


def _transition_words(zone: str, touch: Touched, change: Transition) -> str:
    runs = [to_datetime(instant_ns, ZoneInfo(zone)) for instant_ns in touch.instants_ns]
    where = f"on {touch.local:%Y-%m-%d} in {zone}"
    if change.skipped:
        outcome = f"runs at {runs[0]:%H:%M}" if runs else "does not run"
        return f"{touch.local:%H:%M} does not exist {where}; {outcome}"
    outcome = "runs both times"
    if len(runs) == 1:
        outcome = f"runs the {'first' if touch.instants_ns[0] < change.instant_ns else 'second'} time"
    return f"{touch.local:%H:%M} comes twice {where}; {outcome}"


@lru_cache(maxsize=64)
def _next_transition(zone: str, now_ns: int) -> Transition | None:
    return next_transition(zone, now_ns)


def _warning(message: str, path: Path = (), *, hint: str, joint: str = ": ") -> Fault:
    return Fault(message=message, path=path, hint=hint, joint=joint, severity=Severity.WARNING)


def _ago(duration_ns: int) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if duration_ns >= length * SECOND:
            return f"{duration_ns // (length * SECOND)}{unit}"
    return f"{duration_ns // SECOND}s"
