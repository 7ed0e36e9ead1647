"""Waiting for a resource that another process holds, and that can only be polled."""

from collections.abc import Callable

from tminus.clock import SystemClock


def wait_for(attempt: Callable[[], bool], *, until_ns: int, pause_ns: int) -> bool:
    """
    Call a function until it returns True; return False if it has not done so in time.

    Args:
        attempt: Returns whether it succeeded. It is called at least once.
        until_ns: When to give up, by the monotonic clock.
        pause_ns: The time between two calls.
    """
    while not attempt():
        left_ns = until_ns - SystemClock.monotonic_ns()
        if left_ns <= 0:
            return False
        SystemClock.pause(min(left_ns, pause_ns))
    return True
