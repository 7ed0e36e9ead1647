"""
The only reader of the time: wall clock for T, monotonic clock for durations, both as integers of nanoseconds.

Code that waits takes a `Clock`. Tests have one that keeps wall and monotonic time apart.
"""

import threading
import time
from typing import Protocol

from tminus.instants import LATEST_NS, MS, SECOND

#: The longest sleep within a wait: a step of the wall clock is noticed after it.
SLICE_NS = 100 * MS
#: On a loaded machine a sleep may end this much too late. So the end of a hold is spun.
SPIN_NS = 2 * MS


class Clock(Protocol):
    """The wall clock, the monotonic clock, and the ways to wait. Thread-safe."""

    def wall_ns(self) -> int:
        """Return the nanoseconds since the Unix epoch (CLOCK_REALTIME)."""

    def monotonic_ns(self) -> int:
        """Return the nanoseconds since some start; steps of the wall clock do not count (CLOCK_MONOTONIC)."""

    def pause(self, duration_ns: int) -> None:
        """Wait this long, by the monotonic clock."""

    def hold_until(self, instant_ns: int, *, longest_ns: int = LATEST_NS) -> bool:
        """
        Wait until the wall clock shows the instant: sleep, spin for the end, and return True at that moment.

        Return False if the instant is further away than `longest_ns`, also because the wall clock was set
        back meanwhile.
        """

    def sleep_until(self, instant_ns: int, *, longest_ns: int = LATEST_NS) -> bool:
        """As `hold_until`, but return a little later, because this does not spin."""

    def wait_until(self, instant_ns: int, stop: threading.Event) -> bool:
        """
        Wait until the wall clock shows the instant, up to 2 ms longer, or until `stop` is set. Return whether
        the instant came first.
        """


class SystemClock:
    """
    The kernel's clocks. The functions of `time` are taken at the import, because a job may replace them.
    """

    wall_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.monotonic_ns)
    _sleep = staticmethod(time.sleep)

    @classmethod
    def pause(cls, duration_ns: int) -> None:
        """Wait this long, by the monotonic clock."""
        cls._sleep(duration_ns / SECOND)

    def hold_until(self, instant_ns: int, *, longest_ns: int = LATEST_NS) -> bool:
        while 0 < (left := instant_ns - self.wall_ns()) <= longest_ns:
            if left > SPIN_NS:  # also after spinning, if the wall clock was set back
                self._sleep(min(left - SPIN_NS, SLICE_NS) / SECOND)
        return left <= 0

    def sleep_until(self, instant_ns: int, *, longest_ns: int = LATEST_NS) -> bool:
        while 0 < (left := instant_ns - self.wall_ns()) <= longest_ns:
            self._sleep(min(left, SLICE_NS) / SECOND)
        return left <= 0

    def wait_until(self, instant_ns: int, stop: threading.Event) -> bool:
        while (left := instant_ns - self.wall_ns()) > 0:
            if stop.wait(min(left, SLICE_NS) / SECOND):
                return False
        return not stop.is_set()
