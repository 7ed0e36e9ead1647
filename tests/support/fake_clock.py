"""Clocks for tests: one that is moved by hand and waits without waiting, and the real one, whose wall clock can be set."""

import threading

from scheduler.clock import SystemClock
from scheduler.instants import SECOND


class FakeClock:
    """
    Waiting moves it: `hold_until` and `wait_until` return at once, with the time moved there.

    Args:
        wall_ns: What the wall clock shows at first.
    """

    def __init__(self, wall_ns: int = 1_700_000_000 * SECOND) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = 0

    def wall_ns(self) -> int:
        return self._wall_ns

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    def hold_until(self, instant_ns: int) -> None:
        self.pass_by(max(instant_ns - self._wall_ns, 0))

    sleep_until = hold_until

    def wait_until(self, instant_ns: int, stop: threading.Event) -> bool:
        if stop.is_set():
            return False
        self.hold_until(instant_ns)
        return True

    def pass_by(self, duration_ns: int) -> None:
        """Time passes, on both clocks."""
        self._wall_ns += duration_ns
        self._monotonic_ns += duration_ns

    def step_wall(self, by_ns: int) -> None:
        """The wall clock is set, and no time passes."""
        self._wall_ns += by_ns


class SettableClock:
    """The kernel's clocks; only for this object, the wall clock can be set. A wait that has begun goes on as it was."""

    def __init__(self) -> None:
        self._kernel = SystemClock()
        self._offset_ns = 0

    def wall_ns(self) -> int:
        return self._kernel.wall_ns() + self._offset_ns

    def monotonic_ns(self) -> int:
        return self._kernel.monotonic_ns()

    def hold_until(self, instant_ns: int) -> None:
        self._kernel.hold_until(instant_ns - self._offset_ns)

    def sleep_until(self, instant_ns: int) -> None:
        self._kernel.sleep_until(instant_ns - self._offset_ns)

    def wait_until(self, instant_ns: int, stop: threading.Event) -> bool:
        return self._kernel.wait_until(instant_ns - self._offset_ns, stop)

    def step_wall(self, by_ns: int) -> None:
        """The wall clock is set, and no time passes."""
        self._offset_ns += by_ns
