"""
The only reader of the time. Wall clock for T, monotonic clock for durations, integers of nanoseconds.

Whatever waits takes a `Clock`; the tests have one that keeps wall and monotonic time apart.
"""

import threading
import time
from typing import Protocol

from scheduler.instants import MS, SECOND

#: A step of the wall clock is noticed within one slice of a long wait.
SLICE_NS = 100 * MS
#: A sleep may wake this much late on a loaded machine; the rest of a hold is spun.
SPIN_NS = 2 * MS


class Clock(Protocol):
    """Wall time, monotonic time and the two ways to wait. Thread-safe."""

    def wall_ns(self) -> int:
        """Nanoseconds since the Unix epoch (CLOCK_REALTIME)."""

    def monotonic_ns(self) -> int:
        """Nanoseconds from an arbitrary start that no step of the wall clock moves (CLOCK_MONOTONIC)."""

    def hold_until(self, instant_ns: int) -> None:
        """Return at the first moment at which the wall clock shows the instant: sleep, then spin, then look again."""

    def sleep_until(self, instant_ns: int) -> None:
        """Return soon after the wall clock shows the instant, without spinning for it."""

    def wait_until(self, instant_ns: int, stop: threading.Event) -> bool:
        """Wait for the instant, within a millisecond or two, or for `stop`; return True if the instant came first."""


class SystemClock:
    """The kernel's clocks. The functions are taken from `time` at import: a job that replaces them changes nothing here."""

    wall_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.monotonic_ns)
    _sleep = staticmethod(time.sleep)

    def hold_until(self, instant_ns: int) -> None:
        while (left := instant_ns - self.wall_ns()) > 0:
            if left > SPIN_NS:  # again where the wall clock has been set back meanwhile
                self._sleep(min(left - SPIN_NS, SLICE_NS) / SECOND)

    def sleep_until(self, instant_ns: int) -> None:
        while (left := instant_ns - self.wall_ns()) > 0:
            self._sleep(min(left, SLICE_NS) / SECOND)

    def wait_until(self, instant_ns: int, stop: threading.Event) -> bool:
        while (left := instant_ns - self.wall_ns()) > 0:
            if stop.wait(min(left, SLICE_NS) / SECOND):
                return False
        return not stop.is_set()
