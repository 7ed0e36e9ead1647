"""`dst` of a job."""

from dataclasses import dataclass

from tminus.jobsfile.types.maps import key
from tminus.jobsfile.types.values import one_of
from tminus.policies.dst import Gap, OverlapPass


@dataclass(frozen=True, slots=True, kw_only=True)
class DstSpec:
    """What becomes of a fixed time that a change of the clocks skips or repeats."""

    gap: Gap | None = key(one_of(Gap), "What happens to a time that the clocks skip. Built in: run_after.")
    overlap: OverlapPass | None = key(
        one_of(OverlapPass), "Which pass counts if a time comes twice. Built in: first."
    )
