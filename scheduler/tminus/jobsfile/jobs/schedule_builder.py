"""From the times of a job in the file to a schedule with zones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tminus.instants import LATEST_NS, SECOND
from tminus.jobsfile.jobs.calendars import Calendars
from tminus.jobsfile.jobs.schedule_warnings import limit_faults, schedule_warnings
from tminus.jobsfile.jobs.schema import TimesSpec
from tminus.jobsfile.text.faults import Fault, exclusive_keys, key_fault
from tminus.jobsfile.types import at_times
from tminus.jobsfile.types.dst_types import DstSpec
from tminus.model.job import Cron, Every, Limited, Limits, Once, Part, Schedule
from tminus.policies.dst import Dst
from tminus.schedule.limits import merged

_KINDS = ("cron", "every", "at", "manual")
_SEVERAL = "to be due by several, write a list of schedules"


@dataclass(frozen=True, slots=True)
class ScheduleResult:
    """
    The schedule of a job.

    Args:
        schedule: The parts of the schedule.
        text: The schedule for people.
        zone: The zone in which the job's times are shown and rendered.
        jitter_ns: Each occurrence is planned less than this after its fire time.
        assumes_utc: Whether there is a time of day, and no zone anywhere.
        faults: What is wrong with it.
    """

    schedule: Schedule
    text: str
    zone: str
    jitter_ns: int = 0
    assumes_utc: bool = False
    faults: tuple[Fault, ...] = ()


def build_schedule(
    entries: Sequence[TimesSpec],
    written: Any,
    *,
    zone: str | None,
    dst: DstSpec | None,
    now_ns: int,
    calendars: Calendars,
) -> ScheduleResult:
    """
    Return the schedule of a job.

    Args:
        entries: The models of its parts.
        written: The same as merged data, for people.
        zone: The zone of the file, if it has one.
        dst: The `dst` of the job.
        now_ns: Wall clock, nanoseconds since the Unix epoch.
        calendars: The calendars of the file.
    """
    schedule: list[Part] = []
    texts: list[str] = []
    faults: list[Fault] = []
    assumes_utc = False
    rules = Dst(**{key: value for key, value in asdict(dst or DstSpec()).items() if value is not None})
    as_written = written if isinstance(written, list) else [written]
    for index, entry in enumerate(entries):
        present = [kind for kind in _KINDS if getattr(entry, kind) not in (None, False)]
        if len(present) != 1 or (present == ["manual"] and len(entries) > 1):
            faults.append(_not_one_kind(present, index))
            continue
        texts.append(_shown(present[0], as_written[index]))
        entry_zone = entry.timezone or zone or "UTC"
        times = tuple(_fire_times(entry, entry_zone, rules))
        limits = Limits(entry_zone, entry.between or (), _excepted(entry, entry_zone, calendars))
        limited = limits.windows or limits.excepted
        parts = tuple(Limited(time, limits) for time in times) if limited else times
        schedule += parts
        found = [
            *schedule_warnings(entry, entry_zone, rules, limits, now_ns),
            *(fault.under("except") for fault in calendars.unknown(entry.except_ or ())),
            *limit_faults(entry, times, parts, entry_zone, now_ns),
        ]
        if (entry.jitter or 0) != (entries[0].jitter or 0):
            message = "must be the same in all schedules of a job"
            hint = "write it in each of them, or use two jobs"
            found.append(Fault(message=message, joint=" ", path=("jitter",), hint=hint))
        faults += (fault.under("schedule", index) for fault in found)
        assumes_utc = assumes_utc or (zone is None and entry.timezone is None and _needs_zone(entry))
    own = {entry.timezone for entry in entries}
    shared = own.pop() if len(own) == 1 else None
    return ScheduleResult(
        tuple(schedule),
        " or ".join(texts),
        shared or zone or "UTC",
        jitter_ns=entries[0].jitter or 0 if entries else 0,
        assumes_utc=assumes_utc,
        faults=tuple(faults),
    )


def _not_one_kind(present: Sequence[str], index: int) -> Fault:
    if not present:
        return Fault(
            message="give one of cron, every, at and manual",
            path=("schedule", index),
            hint='such as cron: "30 11 * * *"',
        )
    if len(present) > 1:
        return exclusive_keys(("schedule", index), present, hint=_SEVERAL)
    message, hint = (
        "manual cannot be one of several schedules",
        "leave it out: any job can be started by hand",
    )
    return key_fault(("schedule", index, "manual"), message, hint=hint)


def _excepted(entry: TimesSpec, zone: str, calendars: Calendars) -> tuple[tuple[int, int], ...]:
    """Return the ranges that the calendars, `start` and `end` of an entry leave out, as in `Limits`."""
    outside = []
    if entry.start is not None:
        outside.append((0, entry.start.seconds(zone)[0]))
    if entry.end is not None:
        outside.append((entry.end.seconds(zone)[1], LATEST_NS // SECOND))
    excepted = calendars.excepted(entry.except_ or (), zone)
    return merged((*excepted, *outside)) if outside else excepted


def _shown(kind: str, entry: Mapping[str, Any]) -> str:
    limits = "".join(
        f" {key} {_listed(entry[key])}"
        for key in ("between", "except", "start", "end", "jitter")
        if entry.get(key)
    )
    written = entry.get(kind)
    if kind in ("cron", "manual"):
        return f"{written if kind == 'cron' else 'manual'}{limits}"
    seconds = "s" if kind == "every" and not isinstance(written, str) else ""
    return f"{kind} {_listed(written)}{seconds}{limits}"


def _listed(written: Any) -> str:
    items = written if isinstance(written, list) else [written]
    more = f" and {len(items) - 3} more" if len(items) > 3 else ""
    return f"{', '.join(str(item) for item in items[:3])}{more}"


def _needs_zone(entry: TimesSpec) -> bool:
    ends = [one.first for one in (entry.start, entry.end) if one is not None]
    if any(end.instant_ns is None for end in ends):
        return True
    return any((entry.cron, entry.between, entry.except_)) or any(
        isinstance(time, at_times.TimeOfDay) or time.instant_ns is None for time in entry.at or ()
    )


def _fire_times(entry: TimesSpec, zone: str, dst: Dst) -> Iterator[Cron | Every | Once]:
    if entry.cron is not None:
        yield Cron(entry.cron, zone, dst)
    if entry.every is not None:
        yield Every(entry.every)
    for time in entry.at or ():
        if isinstance(time, at_times.TimeOfDay):
            yield Cron(time.cron, zone, dst)
        else:
            yield from map(Once, at_times.resolve(time, zone).fire_times(dst))
