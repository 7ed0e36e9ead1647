"""
Spans: stretches of time in which local time and UTC differ by a constant. What Debian's cron leaves out is in
no span.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tminus.instants import SECOND
from tminus.policies.dst import AS_CRON, Dst, Gap, OverlapPass
from tminus.schedule.cron import LAST_YEAR, Pattern
from tminus.schedule.dst import CORRECTION_S, Transition, offset_at, transitions, year_of, year_start


@dataclass(frozen=True, slots=True)
class Span:
    """
    Seconds since the Unix epoch, from `start_s` until before `end_s`, in which local time is UTC plus
    `offset_s`.

    Args:
        catches_up: Whether the job runs in the first second in any case, because the gap before it skipped a
            fire time.
    """

    start_s: int
    end_s: int
    offset_s: int
    catches_up: bool

    @property
    def local_start(self) -> int:
        """The first local second for which the pattern decides."""
        return self.start_s + self.catches_up + self.offset_s

    @property
    def local_end(self) -> int:
        """The end in local seconds."""
        return self.end_s + self.offset_s


def spans(
    pattern: Pattern, zone: str, start_s: int, end_s: int | None = None, *, dst: Dst = AS_CRON
) -> Iterator[Span]:
    """
    Yield the spans from `start_s` until before `end_s`, ascending, none empty. Without `end_s`, go on to the
    end of LAST_YEAR.

    A fixed-time job has only one pass of an overlap in its spans. It has both if `dst` says so, or if cron
    takes the change for a correction.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    """
    stop = year_start(LAST_YEAR + 1) if end_s is None else min(end_s, year_start(LAST_YEAR + 1))
    reach = start_s - CORRECTION_S  # an overlap that began then may still last
    begin, offset, catches_up = start_s, offset_at(zone, reach), False
    year = year_of(reach)
    while begin < stop:
        for transition in transitions(zone, year):
            at = transition.instant_ns // SECOND
            if at <= reach:
                continue
            end, following = (at, at) if not pattern.is_fixed else _around(transition, dst)
            if begin < min(end, stop):
                yield Span(begin, min(end, stop), offset, catches_up)
            begin, offset = max(begin, following), transition.after_s
            catches_up = at >= start_s and _catches_up(pattern, transition, dst)
        year += 1
        if begin < min(year_start(year), stop):
            yield Span(begin, min(year_start(year), stop), offset, catches_up)
            begin, catches_up = year_start(year), False


def _around(transition: Transition, dst: Dst) -> tuple[int, int]:
    """
    Return the end of the span before a transition, and the begin of the one after it.

    Both are in one year of UTC
    (tests/unit/schedule/test_dst_policy.py::test_no_overlap_goes_past_the_end_of_a_year).
    """
    at, repeated = transition.instant_ns // SECOND, len(transition.repeated)
    if not transition.runs_repeated_once or dst.overlap is OverlapPass.BOTH:
        return at, at
    return (at, at + repeated) if dst.overlap is OverlapPass.FIRST else (at - repeated, at)


def _catches_up(pattern: Pattern, transition: Transition, dst: Dst) -> bool:
    if not pattern.is_fixed or not transition.runs_skipped or dst.gap is Gap.SKIP:
        return False
    return pattern.first(transition.skipped.start) in transition.skipped
