"""
The main thread: it waits for signals and does nothing else, so that no work of the daemon delays a signal.

SIGTERM ends the process within the shutdown grace and a few seconds, even if a thread hangs; a second one
ends it at once.
"""

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import structlog

from tminus.aside import aside, is_done
from tminus.clock import Clock
from tminus.daemon.log import log_output
from tminus.instants import MS, SECOND

log = structlog.get_logger()

Result = TypeVar("Result")

_STOPS = (signal.SIGTERM, signal.SIGINT)
#: This long after the shutdown grace, a thread that has not ended hangs.
_HANGS_NS = 4 * SECOND + 400 * MS
#: Time limit for each wait: if another thread receives a signal, its handler runs only when the wait of the
#: main thread ends.
_WAIT_S = 0.5
_LOOK_S = 0.05
#: Time limit for the last log lines, whose reader may hang.
_FLUSH_S = 0.1


class Stopping(Exception):
    """The process is to stop, so the caller gets no result."""


class Foreground:
    """
    Waits for signals on the main thread, and sets its signal handlers, while the daemon runs on another one.

    Args:
        stop: Called once, on the first SIGTERM or SIGINT; returns at once.
        reload: Called on SIGHUP; returns at once.
        has_begun: Returns whether there is anything to stop in good order. Before that the process ends at
            once.
        grace_ns: Returns the shutdown grace.
        kill: Kills all child processes; returns at once.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        stop: Callable[[], None],
        reload: Callable[[], None],
        has_begun: Callable[[], bool],
        grace_ns: Callable[[], int],
        kill: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._stop = stop
        self._reload = reload
        self._has_begun = has_begun
        self._grace_ns = grace_ns
        self._kill = kill
        self._asked_ns: int | None = None

    def run(self, serve: Callable[[], int]) -> int:
        """
        Run `serve` on a thread of its own; return its result, or raise its exception. Return 0 if a stop
        comes before there is anything to stop. If a thread hangs, end the process with status 1.
        """
        for number in _STOPS:
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, lambda _number, _frame: self._reload())
        # The process that started this one may have blocked them.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {*_STOPS, signal.SIGHUP})
        ended = aside(serve, name="daemon")
        while not is_done(ended, _WAIT_S):
            if self._asked_ns is None:
                continue
            if not self._has_begun():
                return 0
            if self._clock.monotonic_ns() > self._asked_ns + self._grace_ns() + _HANGS_NS:
                self._end_now()
        return ended.result()

    def _on_stop(self, number: int, _frame: object) -> None:
        if self._asked_ns is None:
            self._asked_ns = self._clock.monotonic_ns()
            self._stop()
            return
        # A second signal, of either kind, means: end at once. For the ledger this is the same as kill -9.
        self._kill_all()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _kill_all(self) -> None:
        for number in _STOPS:  # the handler of a further signal would wait for locks that this thread holds
            signal.signal(number, signal.SIG_IGN)
        self._kill()

    def _end_now(self) -> None:
        self._kill_all()
        threads = [thread.name for thread in threading.enumerate()]
        log.error("ended, although some threads have not stopped in time", threads=threads)
        is_done(aside(log_output.flush, name="last lines"), _FLUSH_S)
        os._exit(1)


def wait_unless(is_stopping: Callable[[], bool], future: "Future[Result]") -> Result:
    """
    Return the result of the future, or raise its exception.

    Raises:
        Stopping: the process is to stop before there is a result.
    """
    while not is_done(future, _LOOK_S):
        if is_stopping():
            raise Stopping
    return future.result()
