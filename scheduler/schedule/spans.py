"""Spans: time as one cron lives through it, cut where its UTC offset changes, without what Debian's cron leaves out."""

from collections.abc import Iterator
from dataclasses import dataclass

from scheduler.instants import SECOND
from scheduler.schedule.cron import LAST_YEAR, Pattern
from scheduler.schedule.dst import CORRECTION_S, offset_at, transitions, year_of, year_start


@dataclass(frozen=True, slots=True)
class Span:
    """
    Seconds since the Unix epoch, from `start_s` until before `end_s`, in which local time is UTC plus `offset_s`.

    Args:
        catches_up: The job runs in the first second, whatever its pattern says of it: the gap before it skipped a fire time.
    """

    start_s: int
    end_s: int
    offset_s: int
    catches_up: bool

    @property
    def local_start(self) -> int:
        """The first local second that the pattern decides about."""
        return self.start_s + self.catches_up + self.offset_s

    @property
    def local_end(self) -> int:
        """The end in local seconds."""
        return self.end_s + self.offset_s


def spans(pattern: Pattern, zone: str, start_s: int, end_s: int | None = None) -> Iterator[Span]:
    """
    The spans from `start_s` until before `end_s` (to the end of LAST_YEAR where it is None), ascending, none empty.

    A fixed-time job has no span where local time shows a second time what it has shown before.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    """
    stop = year_start(LAST_YEAR + 1) if end_s is None else min(end_s, year_start(LAST_YEAR + 1))
    reach = start_s - CORRECTION_S  # an overlap that began there may still last
    begin, offset, catches_up = start_s, offset_at(zone, reach), False
    year = year_of(reach)
    while begin < stop:
        for transition in transitions(zone, year):
            at = transition.instant_ns // SECOND
            if at <= reach:
                continue
            if begin < min(at, stop):
                yield Span(begin, min(at, stop), offset, catches_up)
            repeated = len(transition.repeated) if pattern.is_fixed and transition.runs_repeated_once else 0
            begin, offset = max(begin, at + repeated), transition.after_s
            catches_up = at >= start_s and pattern.is_fixed and transition.runs_skipped
            catches_up = catches_up and pattern.first(transition.skipped.start) in transition.skipped
        year += 1
        if begin < min(year_start(year), stop):
            yield Span(begin, min(year_start(year), stop), offset, catches_up)
            begin, catches_up = year_start(year), False
