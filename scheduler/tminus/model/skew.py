"""Skew: statistics of the start offsets of a batch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tminus.instants import rfc3339
from tminus.model.occurrence import milliseconds


def nearest_rank(values: Sequence[int], share: float) -> int | None:
    """
    Return a percentile that is one of the values; None if there are none.

    Args:
        values: The values, ascending.
        share: The share of the values that are not greater, 0 to 1.
    """
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """The start offset of one occurrence."""

    id: str
    offset_ns: int
    armed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """
    The start offsets of a batch. Percentiles are nearest-rank, so each is the offset of one of the jobs.

    Attributes:
        planned_at_ns: T.
        jobs: The number of occurrences, started or not.
        offsets: The offsets of those that started, ascending.
    """

    planned_at_ns: int
    jobs: int
    offsets: Sequence[Offset]

    def percentile_ns(self, share: float) -> int | None:
        """Return the offset that this share (0 to 1) of the started jobs did not exceed, if any started."""
        return nearest_rank([offset.offset_ns for offset in self.offsets], share)

    @property
    def first_ns(self) -> int | None:
        return self.percentile_ns(0.0)

    @property
    def last_ns(self) -> int | None:
        return self.percentile_ns(1.0)

    @property
    def spread_ns(self) -> int | None:
        return self.offsets[-1].offset_ns - self.offsets[0].offset_ns if self.offsets else None

    def as_json(self) -> dict[str, Any]:
        """Return the JSON that `tminus skew --json` prints."""
        return {
            "planned_at": rfc3339(self.planned_at_ns),
            "jobs": self.jobs,
            "started": len(self.offsets),
            "first_ms": milliseconds(self.first_ns),
            "p50_ms": milliseconds(self.percentile_ns(0.5)),
            "p99_ms": milliseconds(self.percentile_ns(0.99)),
            "last_ms": milliseconds(self.last_ns),
            "spread_ms": milliseconds(self.spread_ns),
            "offsets": [
                {"id": o.id, "ms": milliseconds(o.offset_ns), "armed": o.armed} for o in self.offsets
            ],
        }
