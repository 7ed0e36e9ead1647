"""Waits for an instant or a condition."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

SECOND = 1_000_000_000
#: A sleep may wake this late, so the rest is a busy loop.
_SPIN_NS = 2_000_000


def pause(seconds: float) -> None:
    """Sleep."""
    threading.Event().wait(max(seconds, 0))


def wait_until(instant_ns: int) -> None:
    """Sleep until about this instant of the wall clock."""
    while (left_ns := instant_ns - time.time_ns()) > 0:
        pause(left_ns / SECOND)


def hold_until(instant_ns: int) -> None:
    """Return as soon as the wall clock reaches the instant. A careful peer does the same."""
    wait_until(instant_ns - _SPIN_NS)
    while time.time_ns() < instant_ns:
        pass


def eventually(
    look: Callable[[], Answer | None], *, timeout_s: float, every_s: float = 0.05
) -> Answer | None:
    """Call a function until it returns a true value, and return that; None after the timeout."""
    until_ns = time.monotonic_ns() + round(timeout_s * SECOND)
    while not (answer := look()) and time.monotonic_ns() < until_ns:
        pause(every_s)
    return answer or None


def whole_second(ahead_s: float) -> int:
    """Return the first whole second that is at least this far ahead. Wall clock, nanoseconds."""
    return -(-(time.time_ns() + round(ahead_s * SECOND)) // SECOND) * SECOND
