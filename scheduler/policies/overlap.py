"""Overlap: what happens to an occurrence whose job is still running."""

from enum import StrEnum


class Overlap(StrEnum):
    """As in Temporal's schedules."""

    SKIP = "skip"  #: at `max_instances`, the new one is `skipped`
    ALLOW_ALL = "allow_all"  #: starts anyway; `max_instances` is ignored


def may_start(*, running: int, max_instances: int, policy: Overlap) -> bool:
    """
    Return whether an occurrence may start. Decided at the commit and not before, because only what runs then counts.

    Args:
        running: Occurrences of the job that are committed and have no outcome.
        max_instances: The job's limit.
        policy: What happens at the limit.
    """
    return policy is Overlap.ALLOW_ALL or running < max_instances
