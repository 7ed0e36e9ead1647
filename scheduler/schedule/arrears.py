"""Overdue fire times: passed without a row, after a stop, a pause, a step of the clock, or a claim out of order."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scheduler.model.job import Schedule
from scheduler.schedule.fire_times import after, count_between


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """
    Successive fire times of one job, none of which has a row.

    Attributes:
        first_ns: The first of them.
        until_ns: The last of them, or an instant before the fire time that follows.
        count: The number of fire times.
    """

    first_ns: int
    until_ns: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrears:
    """
    Attributes:
        missed: Later than their grace allows.
        late: Within their grace. At most one of these fire times runs.
    """

    missed: tuple[Stretch, ...]
    late: tuple[Stretch, ...]


def arrears(schedule: Schedule, *, after_ns: int, now_ns: int, grace_ns: int, covered: Iterable[tuple[int, int]] = ()) -> Arrears:
    """
    Return the fire times after `after_ns`, up to and including `now_ns`, that have no row; as fast for a year as for a day.

    Args:
        schedule: The schedule of the job.
        after_ns: All fire times up to here have a row.
        now_ns: Wall clock.
        grace_ns: The misfire grace time of the job.
        covered: The first and the last instant that each row after `after_ns` stands for.
    """
    too_late_ns = now_ns - grace_ns - 1
    missed: list[Stretch] = []
    late: list[Stretch] = []
    for start_ns, end_ns in _gaps(after_ns, now_ns, covered):
        border_ns = min(max(start_ns, too_late_ns), end_ns)
        missed += _stretch(schedule, start_ns, border_ns)
        late += _stretch(schedule, border_ns, end_ns)
    return Arrears(missed=tuple(missed), late=tuple(late))


def _gaps(after_ns: int, now_ns: int, covered: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the time between the rows: after the first instant, up to and including the second."""
    for first_ns, last_ns in sorted(covered):
        if after_ns < min(first_ns - 1, now_ns):
            yield after_ns, min(first_ns - 1, now_ns)
        after_ns = max(after_ns, last_ns)
    if after_ns < now_ns:
        yield after_ns, now_ns


def _stretch(schedule: Schedule, start_ns: int, end_ns: int) -> Iterator[Stretch]:
    first_ns = after(schedule, start_ns)
    if first_ns is not None and first_ns <= end_ns:  # mostly false, and counting takes longer than this
        yield Stretch(first_ns=first_ns, until_ns=end_ns, count=count_between(schedule, start_ns, end_ns))
