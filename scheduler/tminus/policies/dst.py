"""DST: what becomes of a fixed time that a change of the clocks skips or repeats."""

from dataclasses import dataclass
from enum import StrEnum


class Gap(StrEnum):
    """The treatment of a fixed time that the clocks skip when they go forward."""

    RUN_AFTER = "run_after"  #: runs right after the gap
    SKIP = "skip"  #: does not run on that day


class OverlapPass(StrEnum):
    """The pass that counts if a fixed time comes twice, because the clocks go back."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dst:
    """The rules of a schedule; built in are those of Debian's cron."""

    gap: Gap = Gap.RUN_AFTER
    overlap: OverlapPass = OverlapPass.FIRST


AS_CRON = Dst()
