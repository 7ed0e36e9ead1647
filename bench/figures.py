"""From arrivals to the figures of a run, and from runs to medians."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.arrivals import Arrival
from tminus.model.skew import nearest_rank

MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """
    The result of N requests that were due at T. Times are milliseconds after T, of the first request of each
    job.

    Attributes:
        early: Jobs whose request left before T.
        foreign: Requests that the bench has not sent. If there are any, the run proves little.
    """

    expected: int
    started: int
    missing: int
    doubled: int
    early: int
    foreign: int
    first_ms: float
    p50_ms: float
    p99_ms: float
    last_ms: float

    @property
    def is_complete(self) -> bool:
        """Whether each job arrived once, and none before T."""
        return not (self.missing or self.doubled or self.early or self.foreign)


def figures(arrivals: Iterable[Arrival], *, t_ns: int, expected: int, prefix: str = "") -> Figures:
    """
    Compute the figures of one run.

    Args:
        t_ns: T, wall clock, nanoseconds since the Unix epoch.
        expected: Number of jobs. The path of job i is `prefix` and i.
        prefix: Beginning of all paths of this run.
    """
    names = {f"{prefix}{index}" for index in range(expected)}
    seen: dict[str, int] = {}
    times: Counter[str] = Counter()
    foreign = 0
    for arrival in sorted(arrivals, key=lambda arrival: arrival.at_ns):
        if arrival.path in names:
            seen.setdefault(arrival.path, arrival.at_ns - t_ns)
            times[arrival.path] += 1
        else:
            foreign += 1
    offsets = sorted(seen.values())
    return Figures(
        expected=expected,
        started=len(offsets),
        missing=expected - len(offsets),
        doubled=sum(count > 1 for count in times.values()),
        early=sum(offset < 0 for offset in offsets),
        foreign=foreign,
        first_ms=percentile_ms(offsets, 0),
        p50_ms=percentile_ms(offsets, 0.5),
        p99_ms=percentile_ms(offsets, 0.99),
        last_ms=percentile_ms(offsets, 1),
    )


def percentile_ms(offsets: Sequence[int], share: float) -> float:
    """Return a percentile of sorted nanoseconds, by nearest rank; NaN if there are none."""
    found = nearest_rank(offsets, share)
    return math.nan if found is None else round(found / MS, 3)


def median(values: Iterable[float]) -> float:
    """Return the median; NaN if there are no values."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else math.nan
