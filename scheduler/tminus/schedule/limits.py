"""Limits: whether a fire time counts at an instant, and for how long that stays so."""

from bisect import bisect_right
from collections.abc import Iterable
from operator import itemgetter
from typing import NamedTuple

from tminus.instants import SECOND
from tminus.model.job import Limits
from tminus.schedule.cron import DAY_S
from tminus.schedule.dst import next_transition, offset_at

#: Later than any fire time.
_NEVER_S = 1 << 62


def merged(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Merge ranges, each a start and an excluded end, into ascending ones that do not touch."""
    found: list[tuple[int, int]] = []
    for first, end in sorted(ranges):
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        elif first < end:
            found.append((first, end))
    return tuple(found)


class LimitStretch(NamedTuple):
    """
    A stretch of time.

    Args:
        counts: Whether fire times count in it.
        end_s: Its end, in seconds since the Unix epoch. The next stretch may be of the same kind.
    """

    counts: bool
    end_s: int


def stretch_at(limits: Limits, second: int) -> LimitStretch:
    """
    Return the stretch that a second since the Unix epoch is in.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    """
    index = bisect_right(limits.excepted, second, key=itemgetter(0))
    if index and second < limits.excepted[index - 1][1]:
        return LimitStretch(counts=False, end_s=limits.excepted[index - 1][1])
    window = _window_at(limits, second) if limits.windows else LimitStretch(counts=True, end_s=_NEVER_S)
    if window.counts and index < len(limits.excepted):
        return LimitStretch(counts=True, end_s=min(window.end_s, limits.excepted[index][0]))
    return window


def _window_at(limits: Limits, second: int) -> LimitStretch:
    """Return the window of the day, or the stretch up to the next one; a transition ends both."""
    local = (second + offset_at(limits.zone, second)) % DAY_S
    tomorrow = limits.windows[0][0] + DAY_S, limits.windows[0][1] + DAY_S
    first, end = next(window for window in (*limits.windows, tomorrow) if local < window[1])
    counts = first <= local
    end_s = second + (end if counts else first) - local
    transition = next_transition(limits.zone, second * SECOND)
    return LimitStretch(counts, min(end_s, transition.instant_ns // SECOND) if transition else end_s)
