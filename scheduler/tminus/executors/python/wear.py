"""Wear: whether this process may still get further work."""

import threading
from collections.abc import Callable

from tminus.executors.protocol import AttemptResult
from tminus.outcome import Cause

#: If this many jobs in a row could not be prepared, after others could, something that they need in this
#: process is broken or used up.
_MOST_UNPREPARED = 3


class Wear:
    """
    The wear of this process. Thread-safe.

    Args:
        worn_out: Called once, when further work belongs to a new runner, because threads do not end here, or
            because a job may have broken what all jobs share.
    """

    def __init__(self, worn_out: Callable[[], None]) -> None:
        self._worn_out = worn_out
        self._lock = threading.Lock()
        self._is_worn = False
        self._unprepared = float("-inf")  #: in a row; 0 after a job that could be prepared

    def note(self, finished: AttemptResult) -> None:
        """Note the result of a job."""
        with self._lock:
            if finished.started_ns:
                self._unprepared = 0
            elif finished.cause == Cause.EXCEPTION:
                self._unprepared += 1
            is_broken = self._unprepared >= _MOST_UNPREPARED
        if is_broken:
            self.wear_out()

    def wear_out(self) -> None:
        """Leave further work to a new runner."""
        with self._lock:
            was_worn, self._is_worn = self._is_worn, True
        if not was_worn:
            self._worn_out()
