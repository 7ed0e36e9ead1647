"""Coalesce: which of several late fire times of one job runs."""

from collections.abc import Sequence
from enum import StrEnum


class Coalesce(StrEnum):
    """As in APScheduler 4."""

    LATEST = "latest"  #: only the last of them runs; the others are `skipped`, coalesced into it


def runs(late: Sequence[int], policy: Coalesce) -> int:
    """
    The one fire time that runs.

    Args:
        late: Late fire times of one job that are all within its grace; ascending, not empty.
        policy: The job's.
    """
    match policy:
        case Coalesce.LATEST:
            return late[-1]
