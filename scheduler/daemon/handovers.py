"""The requests of jobs to the daemon (submit, state), done on a thread of its own: a locked ledger must not delay reports."""

import queue
import threading
from functools import partial
from typing import Any

from scheduler.clock import Clock
from scheduler.daemon.answers import Answer, answered, no_thread
from scheduler.daemon.lent_locks import LentLocks
from scheduler.executors.python.wire import Ask, Gone
from scheduler.ledger import runs, state
from scheduler.ledger.engine import Ledger
from scheduler.model.background import Work


class Handovers:
    """Thread-safe. Its thread starts with the first request, and ends with the process."""

    def __init__(self, ledger: Ledger, *, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._locks = LentLocks(ledger)
        self._items: queue.SimpleQueue[tuple[Ask, Answer]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, runner: int, said: Ask | Gone, answer: Answer) -> None:
        """
        Have a request done, and its response sent; returns at once.

        Args:
            runner: The process that asks, for itself or for a process that it has forked.
        """
        match said:
            case Gone():
                self._locks.gone(runner, said.pid)
            case Ask(what="lock"):
                self._locks.take(runner, said, answer)
            case Ask(what="unlock"):
                self._locks.give_back(runner, said, answer)
            case Ask():
                try:
                    self._have_thread()
                except RuntimeError as error:
                    answer(answered(said, partial(no_thread, error)))
                else:
                    self._items.put((said, answer))

    def _have_thread(self) -> None:
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._do_all, name="handovers", daemon=True)
                thread.start()
                self._thread = thread

    def _do_all(self) -> None:
        while True:
            ask, answer = self._items.get()
            answer(answered(ask, partial(self._do, ask)))

    def _do(self, ask: Ask) -> Any:
        if ask.what == "submit":
            accepted = runs.submit(self._ledger, Work(**ask.given), now_ns=self._clock.wall_ns())
            return [accepted.id, str(accepted.occurrence)]
        return state.OPERATIONS[ask.what](self._ledger, **ask.given)
