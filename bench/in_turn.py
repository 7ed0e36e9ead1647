"""
Batches of HTTP jobs under one daemon. Something else runs beside every other batch: does it delay the
requests?
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.course import Course
from bench.figures import Figures, figures, median
from bench.report import columns
from bench.runs import Sighting
from bench.table import Verdict, number
from bench.tminus_run import at
from bench.waiting import SECOND, wait_until, whole_second

if TYPE_CHECKING:
    from bench.arrivals import Arrival

#: Seconds between two batches, by their number of jobs; `every` counts from 1970.
PERIOD_S = {100: 2, 1000: 3}
HEADER = (
    "",
    "N",
    "first",
    "p50",
    "p99",
    "last",
    "(best–worst)",
    "missing",
    "doubled",
    "early",
    "last / alone",
    "batches",
)
#: The first batches are not measured.
_SETTLED_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class InTurn:
    """
    The times of the batches of both kinds, in turn. The first one is beside something.

    Attributes:
        n: Jobs per batch.
        first_ns: T of the first batch, wall clock, nanoseconds; set at construction.
    """

    n: int
    repeat: int
    first_ns: int = field(init=False)

    def __post_init__(self) -> None:
        first_ns = -(-whole_second(_SETTLED_S) // self._cycle_ns) * self._cycle_ns
        object.__setattr__(self, "first_ns", first_ns)

    @property
    def beside(self) -> Sequence[int]:
        """Return each T beside something."""
        return [self.first_ns + index * self._cycle_ns for index in range(self.repeat)]

    def wait(self) -> None:
        """Wait until the last batch is over."""
        wait_until(self.first_ns + self.repeat * self._cycle_ns - SECOND // 2)

    def figures(self, seen: Sighting, course: Course) -> tuple[list[Figures], list[Figures]]:
        """Return the figures of the batches alone, and of those beside something."""
        by_instant: defaultdict[str, list[Arrival]] = defaultdict(list)
        for arrival in seen.sent:
            by_instant[arrival.occurrence.rpartition("@")[2]].append(arrival)

        def of(instants: Sequence[int]) -> list[Figures]:
            return [
                figures(by_instant[at(each)], t_ns=each, expected=self.n, prefix=course.prefix)
                for each in instants
            ]

        return of([each + self._cycle_ns // 2 for each in self.beside]), of(self.beside)

    @property
    def _cycle_ns(self) -> int:
        return 2 * PERIOD_S[self.n] * SECOND


def times(alone: Sequence[Figures], beside: Sequence[Figures]) -> float:
    """
    Return the ratio of the last request beside something to the last one alone; NaN if one is unknown.
    """
    lasts = [median(each.last_ms for each in found) for found in (beside, alone)]
    return lasts[0] / lasts[1] if lasts[1] > 0 else math.nan  # 0 is possible, because a log has steps of 1 ms


def row(title: str, n: int, found: Sequence[Figures], *, times: float = math.nan) -> Sequence[str]:
    """Return the cells of these batches."""
    return (title, str(n), *columns(found), number(times), str(len(found)))


def complete(name: str, batches: Sequence[Figures]) -> Verdict:
    """Judge that each job arrived once and none before T, in every batch."""
    well = sum(each.is_complete for each in batches)
    return Verdict(
        well == len(batches) > 0,
        f"{name}: each job once and none before T in {well} of {len(batches)} batches",
    )
