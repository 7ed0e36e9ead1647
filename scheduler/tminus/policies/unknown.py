"""
Unknown results: what happens if a process, or a connection, died between the start of an attempt and its
result.
"""

from enum import StrEnum

#: Attempts of an occurrence whose results are unknown, if `retry.max_attempts` does not allow more.
MOST_ATTEMPTS = 3


class OnUnknown(StrEnum):
    """The values of `on_unknown`."""

    ALERT = "alert"  #: the occurrence ends as `unknown`
    RETRY = "retry"  #: another attempt follows: the target may see the same occurrence twice


def is_tried_again(policy: OnUnknown, *, attempt: int, max_attempts: int) -> bool:
    """
    Return whether another attempt follows one with an unknown result.

    Args:
        attempt: Its number; 1 for the first one.
        max_attempts: Of the job's retry policy.
    """
    return policy is OnUnknown.RETRY and attempt < max(max_attempts, MOST_ATTEMPTS)
