"""What jobs hand over from inside their runners, written down on a thread of its own: a locked ledger holds up no report."""

import queue
import threading
from collections.abc import Callable

import structlog

from scheduler.clock import Clock
from scheduler.errors import LedgerError
from scheduler.executors.python.wire import Submit, Submitted
from scheduler.ledger import runs
from scheduler.ledger.engine import Ledger
from scheduler.model.background import Work

log = structlog.get_logger()

#: Sends the answer to the runner.
Answer = Callable[[Submitted], object]


class Handovers:
    """Thread-safe. Its thread begins with the first piece of work, and ends with the process."""

    def __init__(self, ledger: Ledger, *, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._items: queue.SimpleQueue[tuple[Submit, Answer]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, submit: Submit, answer: Answer) -> None:
        """Have it written down, and say so; returns at once."""
        self._items.put((submit, answer))
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_all, name="handovers", daemon=True)
                self._thread.start()

    def _write_all(self) -> None:
        while True:
            submit, answer = self._items.get()
            try:
                accepted = runs.submit(self._ledger, Work(**submit.work), now_ns=self._clock.wall_ns())
            except LedgerError as error:
                answer(Submitted(number=submit.number, error=error.message))
            except Exception as error:  # an application may say what it likes; the next one is to be heard, too
                log.exception("what a job handed over cannot be written down")
                answer(Submitted(number=submit.number, error=f"the work cannot be written down: {error}"))
            else:
                answer(Submitted(number=submit.number, id=accepted.id, occurrence=str(accepted.occurrence)))
