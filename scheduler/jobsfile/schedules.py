"""Schedules: from the times of a job, as the file words them, to fire times in zones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from scheduler.jobsfile import times
from scheduler.jobsfile.faults import Fault
from scheduler.jobsfile.language import Times
from scheduler.jobsfile.schedule_warnings import schedule_warnings
from scheduler.model.job import Cron, Every, Once, Schedule

_KINDS = ("cron", "every", "at", "manual")
_SEVERAL = "for any of several, write a list of schedules"


@dataclass(frozen=True, slots=True)
class Scheduled:
    """
    What became of a job's schedule.

    Args:
        text: For people.
        zone: In which the job's times are shown and rendered.
        assumes_utc: A time of the day stands there, and no zone anywhere.
    """

    schedule: Schedule
    text: str
    zone: str
    assumes_utc: bool = False
    faults: tuple[Fault, ...] = ()


def scheduled(entries: Sequence[Times], written: Any, *, zone: str | None, now_ns: int) -> Scheduled:
    """
    Args:
        entries: As the models have them; any of them counts.
        written: The same as merged data, for people.
        zone: The file's, where it has one.
        now_ns: Wall clock, nanoseconds since the Unix epoch.
    """
    schedule: list[Cron | Every | Once] = []
    texts: list[str] = []
    faults: list[Fault] = []
    assumes_utc = False
    as_written = written if isinstance(written, list) else [written]
    for index, entry in enumerate(entries):
        given = [kind for kind in _KINDS if getattr(entry, kind) not in (None, False)]
        if len(given) != 1 or (given == ["manual"] and len(entries) > 1):
            faults.append(_not_one(given, index))
            continue
        texts.append(_shown(given[0], as_written[index].get(given[0])))
        entry_zone = entry.timezone or zone or "UTC"
        schedule += _fire_times(entry, entry_zone)
        faults += (fault.under("schedule", index) for fault in schedule_warnings(entry, entry_zone, now_ns))
        assumes_utc = assumes_utc or (zone is None and entry.timezone is None and _needs_zone(entry))
    own = {entry.timezone for entry in entries}
    shared = own.pop() if len(own) == 1 else None
    return Scheduled(tuple(schedule), " or ".join(texts), shared or zone or "UTC", assumes_utc, tuple(faults))


def _not_one(given: Sequence[str], index: int) -> Fault:
    if not given:
        return Fault(words="give one of cron, every, at and manual", path=("schedule", index), hint='such as cron: "30 11 * * *"')
    words = f"give {' or '.join(given)}, not {'both' if len(given) == 2 else 'all'}" if len(given) > 1 else "manual stands alone"
    return Fault(words=words, path=("schedule", index, given[-1]), hint=_SEVERAL, on_key=True, of_owner=True)


def _shown(kind: str, written: Any) -> str:
    if kind in ("cron", "manual"):
        return str(written) if kind == "cron" else "manual"
    items = written if isinstance(written, list) else [written]
    more = f" and {len(items) - 3} more" if len(items) > 3 else ""
    seconds = "s" if kind == "every" and not isinstance(written, str) else ""
    return f"{kind} {', '.join(str(item) for item in items[:3])}{seconds}{more}"


def _needs_zone(entry: Times) -> bool:
    return entry.cron is not None or any(isinstance(time, times.TimeOfDay) or time.instant_ns is None for time in entry.at or ())


def _fire_times(entry: Times, zone: str) -> Iterator[Cron | Every | Once]:
    if entry.cron is not None:
        yield Cron(entry.cron, zone)
    if entry.every is not None:
        yield Every(entry.every)
    for time in entry.at or ():
        if isinstance(time, times.TimeOfDay):
            yield Cron(time.cron, zone)
        else:
            yield Once(times.resolve(time, zone).instant_ns)
