"""`dst` of a job."""

from dataclasses import dataclass

from tminus.jobsfile.types.maps import key
from tminus.jobsfile.types.values import one_of
from tminus.policies.dst import Gap, OverlapPass


@dataclass(frozen=True, slots=True, kw_only=True)
class DstSpec:
    """What becomes of a fixed time that a change of the clocks skips or repeats."""

    gap: Gap | None = key(one_of(Gap), "Where the clocks go forward. Built in: run_after.")
    overlap: OverlapPass | None = key(one_of(OverlapPass), "Where they go back. Built in: first.")
