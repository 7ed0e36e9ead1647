"""Overlap: what happens to an occurrence whose job is still running."""

from enum import StrEnum, auto

#: Stands for no limit.
MOST_INSTANCES = 10_000
#: The reason of each occurrence that this policy skips or cancels begins with it. `status` counts these.
REASON = "overlap: "


class Overlap(StrEnum):
    """As in Temporal's schedules."""

    SKIP = "skip"  #: at `max_instances`, the new one is `skipped`
    BUFFER_ONE = "buffer_one"  #: waits until an earlier one ends, if no other one waits; otherwise as `skip`
    BUFFER_ALL = "buffer_all"  #: waits until an earlier one ends
    CANCEL_OTHER = "cancel_other"  #: earlier ones are cancelled, and it starts when they have ended
    ALLOW_ALL = "allow_all"  #: starts anyway; `max_instances` is ignored


class OverlapDecision(StrEnum):
    """What the overlap policy decides on an occurrence."""

    START = auto()
    WAIT = auto()  #: until its job has room
    CANCEL = auto()  #: others, and wait until they have ended
    SKIP = auto()


def decide_overlap(
    policy: Overlap, *, running: int, waiting: int, max_instances: int, has_waited: bool = False
) -> OverlapDecision:
    """
    Decide on an occurrence. Decided at the commit and not before, because only what runs then counts.

    Args:
        policy: What happens at the limit.
        running: Other occurrences of the job that are committed and have no outcome.
        waiting: Other occurrences of the job that this policy lets wait.
        max_instances: The job's limit.
        has_waited: Whether it has waited for room. Then it waits again instead of being skipped.
    """
    if policy is Overlap.ALLOW_ALL:
        return OverlapDecision.START
    if has_waited:
        return OverlapDecision.START if running < max_instances else OverlapDecision.WAIT
    if running + waiting < max_instances:
        return OverlapDecision.START
    if policy is Overlap.CANCEL_OTHER:
        return OverlapDecision.CANCEL
    may_wait = policy is Overlap.BUFFER_ALL or (policy is Overlap.BUFFER_ONE and not waiting)
    return OverlapDecision.WAIT if may_wait else OverlapDecision.SKIP


def room(running: int, *, max_instances: int, policy: Overlap) -> int:
    """Return how many more occurrences of a job may start. Arguments as for `decide_overlap`."""
    return MOST_INSTANCES if policy is Overlap.ALLOW_ALL else max(max_instances - running, 0)
