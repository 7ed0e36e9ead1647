"""
Clocks for tests: one that moves only if it is told to, and the real one with a wall clock that can be set.
"""

import threading

from tminus.clock import SystemClock
from tminus.instants import LATEST_NS, SECOND


class FakeClock:
    """
    A clock that a wait moves: `hold_until` and `wait_until` return at once, with the time moved there.

    Args:
        wall_ns: The first time of the wall clock.
    """

    def __init__(self, wall_ns: int = 1_700_000_000 * SECOND) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = 0

    def wall_ns(self) -> int:
        return self._wall_ns

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    def hold_until(self, instant_ns: int, *, longest_ns: int = LATEST_NS) -> bool:
        left_ns = max(instant_ns - self._wall_ns, 0)
        if left_ns <= longest_ns:
            self.pass_by(left_ns)
        return left_ns <= longest_ns

    sleep_until = hold_until

    def wait_until(self, instant_ns: int, stop: threading.Event) -> bool:
        return not stop.is_set() and self.hold_until(instant_ns)

    def pause(self, duration_ns: int) -> None:
        """Let time pass, on both clocks."""
        self._wall_ns += duration_ns
        self._monotonic_ns += duration_ns

    pass_by = pause

    def step_wall(self, by_ns: int) -> None:
        """The wall clock is set, and no time passes."""
        self._wall_ns += by_ns


class SettableClock:
    """
    The kernel's clocks, with a wall clock that can be set for this object alone. A wait that has begun does
    not notice.
    """

    def __init__(self) -> None:
        self._kernel = SystemClock()
        self._offset_ns = 0

    def wall_ns(self) -> int:
        return self._kernel.wall_ns() + self._offset_ns

    def monotonic_ns(self) -> int:
        return self._kernel.monotonic_ns()

    def pause(self, duration_ns: int) -> None:
        self._kernel.pause(duration_ns)

    def hold_until(self, instant_ns: int, *, longest_ns: int = LATEST_NS) -> bool:
        return self._kernel.hold_until(instant_ns - self._offset_ns, longest_ns=longest_ns)

    def sleep_until(self, instant_ns: int, *, longest_ns: int = LATEST_NS) -> bool:
        return self._kernel.sleep_until(instant_ns - self._offset_ns, longest_ns=longest_ns)

    def wait_until(self, instant_ns: int, stop: threading.Event) -> bool:
        return self._kernel.wait_until(instant_ns - self._offset_ns, stop)

    def step_wall(self, by_ns: int) -> None:
        """The wall clock is set, and no time passes."""
        self._offset_ns += by_ns
