"""A service thread: does its work again and again until it is stopped."""

import threading
from collections.abc import Callable

import structlog

from tminus.errors import LedgerError

log = structlog.get_logger()

#: Time limit for the last round of an abandoned thread, because it may wait for a locked ledger.
_LAST_ROUND_S = 0.5


class ServiceThread:
    """
    A named thread that calls `work`, pauses, and calls it again, until it is stopped. If `work` raises, that
    is logged and the thread goes on. Thread-safe.

    States: new; `start` makes it running; `stop` makes it stopped, for good. If the system has no thread
    left, `start` leaves it new, and may be called again.

    Args:
        name: The thread's name.
        work: One round. If it takes long it looks at `stopping`, and returns soon after that is set.
        pause_s: The pause between two rounds.

    Attributes:
        stopping: Set when the thread is to stop.
    """

    def __init__(self, name: str, work: Callable[[], None], *, pause_s: float) -> None:
        self.stopping = threading.Event()
        self._name = name
        self._work = work
        self._pause_s = pause_s
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """
        Start the thread, unless it has been started before.

        Raises:
            RuntimeError: the system has no thread left.
        """
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                thread.start()
                self._thread = thread

    def stop(self, timeout_s: float | None = None) -> bool:
        """
        Stop the thread, and wait for its end.

        Args:
            timeout_s: The longest wait, because a round may wait for a locked ledger; None for no limit.

        Returns:
            False if the thread still runs.
        """
        self.stopping.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
        return not self.is_alive

    def _run(self) -> None:
        while not self.stopping.is_set():
            self._do_round()
            self.stopping.wait(self._pause_s)

    def _do_round(self) -> None:
        try:
            self._work()
        except LedgerError as error:
            log.error("the ledger does not work, trying again", thread=self._name, error=error.message)
        except Exception:
            log.exception("a thread of the daemon broke, it goes on", thread=self._name)


class DrainingThread(ServiceThread):
    """
    A service thread that, once stopped, finishes what it has begun, until it is abandoned. Thread-safe.

    Args:
        name: The thread's name.
        work: One round. It begins nothing new once `stopping` is set.
        pause_s: The pause between two rounds, if nothing wakes the thread.
        gather_s: The pause after a wake-up: all that comes meanwhile is in the same round.
        is_draining: Returns whether something that was begun has not ended.
        abandoned: Set when nothing more is waited for.

    Attributes:
        wake: Set to have a round soon.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], None],
        *,
        pause_s: float,
        is_draining: Callable[[], bool],
        abandoned: threading.Event,
        gather_s: float = 0,
    ) -> None:
        super().__init__(name, work, pause_s=pause_s)
        self.wake = threading.Event()
        self._is_draining = is_draining
        self._abandoned = abandoned
        self._gather_s = gather_s

    def drain(self, timeout_s: float) -> None:
        """Stop the thread; wait at most this long for what was begun, then a moment for the last round."""
        self.stopping.set()
        self.wake.set()
        self.stop(timeout_s)
        self._abandoned.set()
        self.stop(_LAST_ROUND_S)

    def _run(self) -> None:
        while not self._abandoned.is_set() and (not self.stopping.is_set() or self._is_draining()):
            if self.wake.wait(self._pause_s):
                self._abandoned.wait(self._gather_s)
            self.wake.clear()
            self._do_round()
