"""Skew: the start offsets of a batch as first, p50, p99, last and spread."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scheduler.instants import rfc3339
from scheduler.model.occurrence import milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """One occurrence's start."""

    id: str
    offset_ns: int
    armed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """
    How punctual a batch was. Percentiles are nearest-rank, so each is some job's own offset.

    Args:
        planned_at_ns: T.
        jobs: How many occurrences the batch had, started or not.
        offsets: Of those that started, ascending.
    """

    planned_at_ns: int
    jobs: int
    offsets: Sequence[Offset]

    def percentile_ns(self, share: float) -> int | None:
        """The offset that this share (0 to 1) of the started jobs did not exceed; None where none started."""
        if not self.offsets:
            return None
        return self.offsets[max(0, math.ceil(share * len(self.offsets)) - 1)].offset_ns

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
        """The shape that the contract fixes."""
        return {
            "planned_at": rfc3339(self.planned_at_ns),
            "jobs": self.jobs,
            "started": len(self.offsets),
            "first_ms": milliseconds(self.first_ns),
            "p50_ms": milliseconds(self.percentile_ns(0.5)),
            "p99_ms": milliseconds(self.percentile_ns(0.99)),
            "last_ms": milliseconds(self.last_ns),
            "spread_ms": milliseconds(self.spread_ns),
            "offsets": [{"id": o.id, "ms": milliseconds(o.offset_ns), "armed": o.armed} for o in self.offsets],
        }
