"""Slots: which places on the board a shard of Python jobs gets."""

from collections.abc import Sequence

from scheduler.executors.python.board import SLOTS
from scheduler.executors.python.wire import Arm, Work


def size(works: Sequence[Work]) -> int:
    """Return how many slots of the board these works take."""
    return max(work.index for work in works) + 1


def free(first: int, count: int, beside: Sequence[Arm]) -> int:
    """Return the first of this many free slots from there on. The board goes round, and a shard may hold its slots for days."""
    for _ in beside:
        before = first
        for arm in beside:
            held = size(arm.works)
            if (first - arm.slots) % SLOTS < held or (arm.slots - first) % SLOTS < count:
                first += (arm.slots + held - first) % SLOTS
        if first == before:
            break
    return first
