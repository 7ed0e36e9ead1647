"""
Transitions: the moments at which a zone's UTC offset changes, and what Debian's cron makes of them.

Source:
    cron(8) of Debian, "Special considerations exist when the clock is changed by less than 3 hours", and the
    loop in cron.c of 3.0pl1-162, which decides what the page leaves open: exactly 3 hours forward are a
    correction, back they are not.
"""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from tminus.instants import SECOND
from tminus.model.job import Cron
from tminus.policies.dst import Gap, OverlapPass
from tminus.schedule.cron import DAY_S, LAST_YEAR, parse

#: To cron, a larger change of the clock is a correction: the new time applies at once, for all jobs.
CORRECTION_S = 3 * 3_600
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local times as the wall shows them


@dataclass(frozen=True, slots=True)
class Transition:
    """
    A change of a zone's UTC offset.

    Args:
        instant_ns: The first instant with the new offset.
        before_s: The offset until then, seconds east of UTC.
        after_s: The offset from then on.
    """

    instant_ns: int
    before_s: int
    after_s: int

    @property
    def skipped(self) -> range:
        """
        The local seconds that the gap skips, counted from 1970-01-01T00:00; empty if the clock goes back.
        """
        at = self.instant_ns // SECOND
        return range(at + self.before_s, at + self.after_s)

    @property
    def repeated(self) -> range:
        """The local seconds that the overlap repeats; empty if the clock goes forward."""
        at = self.instant_ns // SECOND
        return range(at + self.after_s, at + self.before_s)

    @property
    def runs_skipped(self) -> bool:
        """Whether cron runs the fixed-time jobs of the gap right after it."""
        return 0 < len(self.skipped) < CORRECTION_S

    @property
    def runs_repeated_once(self) -> bool:
        """Whether cron runs the fixed-time jobs of the overlap in the first pass only."""
        return 0 < len(self.repeated) <= CORRECTION_S


@dataclass(frozen=True, slots=True)
class Touched:
    """
    The first fire time of a fixed-time cron that a transition skips or repeats.

    Args:
        local: The local time in the cron text, naive.
        instants_ns: When the job runs for it, by the cron's `dst`: never, once or twice. If the change is a
            correction to cron, never or twice.
    """

    local: datetime
    instants_ns: tuple[int, ...]


def next_transition(zone: str, instant_ns: int) -> Transition | None:
    """
    Return the zone's first transition after the instant; None if there is none in this year or the next.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.

    Thread-safety:
        Safe.
    """
    this_year = year_of(instant_ns // SECOND)
    for year in range(this_year, min(this_year + 1, LAST_YEAR) + 1):
        for transition in transitions(zone, year):
            if transition.instant_ns > instant_ns:
                return transition
    return None


def touched(cron: Cron, transition: Transition) -> Touched | None:
    """
    Return what a transition (of the cron's zone) does to a cron; None if it affects none of its fire times.

    Jobs with a star in the minute or the hour are never affected: they follow elapsed time.

    Raises:
        ValueError: the text is not a cron expression.

    Thread-safety:
        Safe.
    """
    pattern = parse(cron.text)
    affected = transition.skipped or transition.repeated
    local = pattern.first(affected.start)
    if not pattern.is_fixed or local is None or local not in affected:
        return None
    if transition.skipped:
        is_run = transition.runs_skipped and cron.dst.gap is Gap.RUN_AFTER
        instants = [transition.instant_ns] if is_run else []
    else:
        passes = [transition.before_s, transition.after_s]
        if transition.runs_repeated_once and cron.dst.overlap is not OverlapPass.BOTH:
            passes = passes[:1] if cron.dst.overlap is OverlapPass.FIRST else passes[1:]
        instants = [(local - offset_s) * SECOND for offset_s in passes]
    return Touched(local_time(local), tuple(instants))


def local_time(second: int) -> datetime:
    """Return a local second, counted from 1970-01-01T00:00 as the wall shows it, as a naive datetime."""
    return _EPOCH + timedelta(seconds=second)


def local_second(moment: datetime) -> int:
    """Return a naive datetime as a local second: the inverse of `local_time`."""
    return (moment - _EPOCH) // timedelta(seconds=1)


@lru_cache(maxsize=8_192)
def transitions(zone: str, year: int) -> tuple[Transition, ...]:
    """
    Return the zone's transitions within one year of UTC, ascending.

    Looks at the offset once a day: no zone has ever changed it twice within less than three days
    (tests/unit/schedule/test_dst.py::test_transitions_are_those_of_the_zone_files).

    Raises:
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    """
    found = []
    last = year_start(year) - 1
    before = offset_at(zone, last)
    for second in range(last + DAY_S, year_start(year + 1), DAY_S):
        after = offset_at(zone, second)
        if after != before:
            # Find the first second with the new offset.
            seconds = range(last + 1, second + 1)
            at = seconds[bisect_left(seconds, True, key=lambda s: offset_at(zone, s) == after)]
            found.append(Transition(at * SECOND, before, after))
        last, before = second, after
    return tuple(found)


def offset_at(zone: str, second: int) -> int:
    """Return the zone's UTC offset at that second since the Unix epoch, in seconds."""
    offset = datetime.fromtimestamp(second, ZoneInfo(zone)).utcoffset() or timedelta()
    return offset.days * DAY_S + offset.seconds


def year_of(second: int) -> int:
    """Return the year in UTC of a second since the Unix epoch."""
    return datetime.fromtimestamp(second, UTC).year


def year_start(year: int) -> int:
    """Return the first second of a year of UTC since the Unix epoch."""
    return round(datetime(year, 1, 1, tzinfo=UTC).timestamp())
