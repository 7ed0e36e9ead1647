"""The slots of works: their places in the start table."""

from collections.abc import Sequence

from tminus.daemon.processes.commands import AnyWork, Order
from tminus.executors.protocol import Arm
from tminus.executors.python.start_table import SLOTS


def count_slots(works: Sequence[AnyWork]) -> int:
    """Return how many slots the works of a shard take."""
    return max(work.index for work in works) + 1


def slots_of(order: Order) -> dict[int, int]:
    """Return the slot of each work, by its index."""
    if isinstance(order, Arm):
        return {work.index: order.slots + work.index for work in order.works}
    return {order.work.index: order.slot}


def find_free_slots(first: int, count: int, open_orders: Sequence[Order]) -> int:
    """
    Return the first of `count` consecutive slots, at or after `first`, that none of these orders holds. After
    the last slot of the table comes its first. An order may hold its slots for days.
    """
    held = [
        (order.slots, count_slots(order.works)) if isinstance(order, Arm) else (order.slot, 1)
        for order in open_orders
    ]
    for _ in held:  # again, because a move may lead onto the slots of another order
        before = first
        for start, length in held:
            is_overlap = (first - start) % SLOTS < length or (start - first) % SLOTS < count
            if is_overlap:
                first += (start + length - first) % SLOTS  # to the slot after those of this order
        if first == before:
            break
    return first
