"""Overdue fire times: passed without a row, after a stop, a step of the clock, or a claim out of order."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from tminus.model.job import Schedule
from tminus.policies.misfire import last_misfire_ns
from tminus.schedule.fire_times import after, between, count_between, newest_between

_Kind = Literal["missed", "late", "due"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """
    Successive fire times of one job, none of which has a row.

    Attributes:
        first_ns: The first of them.
        until_ns: The last of them, or any later instant before the next fire time.
        count: The number of fire times. A schedule of several parts is counted up to MOST_COUNTED, which
            means "this many or more".
    """

    first_ns: int
    until_ns: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OverdueFireTimes:
    """
    Overdue fire times of one job.

    Attributes:
        missed: Too late to run.
        late: May run. Which of them do is up to `coalesce`.
        due: Not overdue: their planned start is still to come.
    """

    missed: tuple[Stretch, ...]
    late: tuple[Stretch, ...]
    due: tuple[Stretch, ...] = ()


def classify_overdue(
    schedule: Schedule,
    *,
    after_ns: int,
    now_ns: int,
    back_ns: int,
    runs_from_ns: int | None = None,
    covered: Iterable[tuple[int, int]] = (),
    jitter_ns: int = 0,
    planned_at: Callable[[int], int] = lambda fire_time_ns: fire_time_ns,
) -> OverdueFireTimes:
    """
    Return the fire times after `after_ns`, up to and including `now_ns`, that have no row; as fast for a year
    as for a day.

    Args:
        schedule: The schedule of the job.
        after_ns: All fire times up to here have a row.
        now_ns: Wall clock.
        back_ns: How far back the planned start of a fire time may lie to run.
        runs_from_ns: Fire times before this do not run late: they are missed, unless they are due. None for
            no limit.
        covered: The first and the last instant that each row after `after_ns` stands for.
        jitter_ns: Each planned start is at most this much after its fire time.
        planned_at: Returns the planned start of a fire time.
    """
    too_late_ns = last_misfire_ns(now_ns=now_ns, grace_ns=back_ns)
    # Fire times up to here are missed, unless they are due.
    before_ns = after_ns if runs_from_ns is None else runs_from_ns - 1

    def kind_of(fire_time_ns: int) -> _Kind:
        planned_at_ns = planned_at(fire_time_ns)
        if planned_at_ns > now_ns:
            return "due"
        return "missed" if fire_time_ns <= before_ns or planned_at_ns <= too_late_ns else "late"

    # Each border ends a span of one kind. A planned start is up to `jitter_ns` after its fire time: in a span
    # of kind None, `kind_of` decides each fire time. Without jitter these spans are empty.
    passed_ns = now_ns - jitter_ns
    borders: list[tuple[int, _Kind | None]] = [
        (max(too_late_ns - jitter_ns, min(before_ns, passed_ns)), "missed"),
        (min(max(too_late_ns, before_ns), passed_ns), None),
        (passed_ns, "late"),
        (now_ns, None),
    ]
    found: dict[_Kind, list[Stretch]] = {"missed": [], "late": [], "due": []}
    for start_ns, end_ns in _gaps(after_ns, now_ns, covered):
        for border_ns, kind in borders:
            stop_ns = min(max(start_ns, border_ns), end_ns)
            if kind is not None:
                found[kind] += _stretch(schedule, start_ns, stop_ns)
            elif start_ns < stop_ns:
                for its_kind, same_kind in groupby(between(schedule, start_ns, stop_ns), kind_of):
                    times = list(same_kind)
                    found[its_kind].append(Stretch(first_ns=times[0], until_ns=times[-1], count=len(times)))
            start_ns = stop_ns
    return OverdueFireTimes(missed=tuple(found["missed"]), late=tuple(found["late"]), due=tuple(found["due"]))


def newest_of(schedule: Schedule, stretches: Sequence[Stretch], most: int) -> list[int]:
    """Return the newest fire times of these stretches, at most this many, in their order."""
    found: list[int] = []
    for stretch in reversed(stretches):
        if len(found) == most:
            break
        begin_ns, left = stretch.first_ns - 1, most - len(found)
        found = newest_between(schedule, begin_ns, stretch.until_ns, left) + found
    return found


def _gaps(after_ns: int, now_ns: int, covered: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the gaps between the rows, as pairs: after the first instant, up to and including the second."""
    for first_ns, last_ns in sorted(covered):
        if after_ns < min(first_ns - 1, now_ns):
            yield after_ns, min(first_ns - 1, now_ns)
        after_ns = max(after_ns, last_ns)
    if after_ns < now_ns:
        yield after_ns, now_ns


def _stretch(schedule: Schedule, start_ns: int, end_ns: int) -> Iterator[Stretch]:
    first_ns = after(schedule, start_ns, until_ns=end_ns)
    if first_ns is not None:  # mostly false, and cheaper than counting
        yield Stretch(first_ns=first_ns, until_ns=end_ns, count=count_between(schedule, start_ns, end_ns))
