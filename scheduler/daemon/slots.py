"""Slots: which places on the board a shard of Python jobs gets."""

from collections.abc import Sequence

from scheduler.executors.python.board import SLOTS
from scheduler.executors.python.wire import Arm, Work


def size(works: Sequence[Work]) -> int:
    """How many slots of the board they take."""
    return max(work.index for work in works) + 1


def free(first: int, count: int, beside: Sequence[Arm]) -> int:
    """The first of so many slots from there on that none of these has: the board goes round, and one may run for days."""
    for _ in beside:
        before = first
        for arm in beside:
            held = size(arm.works)
            if (first - arm.slots) % SLOTS < held or (arm.slots - first) % SLOTS < count:
                first += (arm.slots + held - first) % SLOTS
        if first == before:
            break
    return first
