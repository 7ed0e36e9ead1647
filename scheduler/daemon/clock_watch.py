"""The clock watch compares wall and monotonic time: APScheduler sleeps on the monotonic clock for a wall-clock difference."""

import threading
from collections.abc import Callable

import structlog

from scheduler.clock import Clock
from scheduler.instants import MS, SECOND

log = structlog.get_logger()

_LOOK_S = 0.25
#: NTP slews by less than this between two looks; more is a step, or a sleep of the machine.
_STEP_NS = 200 * MS
_WORTH_A_LINE_NS = 2 * SECOND


class ClockWatch:
    """
    One thread.

    Args:
        stepped: Called when the wall clock has been set, forward or back.
    """

    def __init__(self, clock: Clock, *, stepped: Callable[[], None]) -> None:
        self._clock = clock
        self._stepped = stepped
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="clock-watch", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        apart_ns = self._clock.wall_ns() - self._clock.monotonic_ns()
        while not self._stopping.wait(_LOOK_S):
            now_apart_ns = self._clock.wall_ns() - self._clock.monotonic_ns()
            step_ns, apart_ns = now_apart_ns - apart_ns, now_apart_ns
            if abs(step_ns) < _STEP_NS:
                continue
            if abs(step_ns) >= _WORTH_A_LINE_NS:
                log.warning("the wall clock was set", by_s=round(step_ns / SECOND, 3))
            self._stepped()
