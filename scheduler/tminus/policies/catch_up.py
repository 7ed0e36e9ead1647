"""Catch-up: how far back fire times run that passed while nothing ran, and how many of them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUp:
    """
    The catch-up policy of a job.

    Attributes:
        window_ns: Fire times up to this far back run, though they are later than their grace time.
        most: At most this many overdue fire times of a job run; more than one only with `coalesce: all`.
    """

    window_ns: int = 0
    most: int = 100


#: The policy of a job whose definition does not mention catch-up.
NO_CATCH_UP = CatchUp()


def runs_back_ns(*, grace_ns: int, window_ns: int) -> int:
    """Return how far back a fire time may lie to run, late or as a catch-up."""
    return max(grace_ns, window_ns)
