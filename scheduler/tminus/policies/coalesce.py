"""Coalesce: which of several overdue fire times of one job run."""

from collections.abc import Callable, Sequence
from enum import StrEnum


class Coalesce(StrEnum):
    """As in APScheduler 4."""

    EARLIEST = "earliest"  #: only the first of them runs; the others are `skipped`, coalesced into it
    LATEST = "latest"  #: only the last of them runs; the others are `skipped`, coalesced into it
    ALL = "all"  #: the newest of them run, up to `max_catchup`; the others are `missed`


def choose(
    policy: Coalesce,
    *,
    most: int,
    first: Callable[[], int | None],
    newest: Callable[[int], Sequence[int]],
) -> Sequence[int]:
    """
    Return which fire times run, in their order.

    Args:
        policy: The job's.
        most: How many may run.
        first: Returns the first overdue fire time; None if there is none.
        newest: Returns the newest overdue fire times, at most this many, in their order.
    """
    match policy:
        case Coalesce.EARLIEST:
            return [] if (at_ns := first()) is None else [at_ns]
        case Coalesce.LATEST:
            return newest(1)
        case Coalesce.ALL:
            return newest(most)
