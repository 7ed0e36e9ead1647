"""The clock watch: notices steps of the wall clock, because APScheduler sleeps on the monotonic clock."""

from collections.abc import Callable

import structlog

from tminus.clock import Clock
from tminus.daemon.service_thread import ServiceThread
from tminus.instants import MS, SECOND

log = structlog.get_logger()

_LOOK_S = 0.25
#: NTP slews by less than this between two looks. A larger change is a step, or a sleep of the machine.
_STEP_NS = 200 * MS
_WORTH_A_LINE_NS = 2 * SECOND


class ClockWatch(ServiceThread):
    """
    Compares wall and monotonic time.

    Args:
        on_step: Called when the wall clock was set, forward or back.
    """

    def __init__(self, clock: Clock, *, on_step: Callable[[], None]) -> None:
        super().__init__("clock-watch", self._look, pause_s=_LOOK_S)
        self._clock = clock
        self._on_step = on_step
        self._difference_ns: int | None = None  #: wall clock minus monotonic clock, at the last look

    def _look(self) -> None:
        before_ns = self._difference_ns
        self._difference_ns = self._clock.wall_ns() - self._clock.monotonic_ns()
        step_ns = 0 if before_ns is None else self._difference_ns - before_ns
        if abs(step_ns) >= _WORTH_A_LINE_NS:
            log.warning("the wall clock was set", by_s=round(step_ns / SECOND, 3))
        if abs(step_ns) >= _STEP_NS:
            self._on_step()
