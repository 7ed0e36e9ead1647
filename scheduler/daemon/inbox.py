"""The inbox: request rows to work. Whoever asks writes a row; nobody needs a port of ours."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from sqlalchemy.engine import Connection

from scheduler.clock import Clock
from scheduler.errors import LedgerError, TminusError
from scheduler.instants import SECOND
from scheduler.ledger import requests
from scheduler.ledger.engine import Ledger, change_counter
from scheduler.ledger.requests import Request

log = structlog.get_logger()

#: A row is noticed within this.
_LOOK_S = 0.05
#: Even where nothing seems to have changed.
_LOOK_AGAIN_NS = 2 * SECOND

#: Does what a request asks for on that connection, and says what came of it.
Answer = Callable[[Connection, Request], Mapping[str, Any]]


class Inbox:
    """
    One thread that takes request rows.

    Args:
        answer: Called in the transaction in which the request is taken; a `TminusError` becomes the answer.
        taken: Called after that transaction, with the request.
        changed: Called when the ledger may have changed.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        instance: str,
        clock: Clock,
        answer: Answer,
        taken: Callable[[Request], None],
        changed: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._instance = instance
        self._clock = clock
        self._answer = answer
        self._taken = taken
        self._changed = changed
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="inbox", daemon=True)

    def start(self) -> None:
        """Start looking."""
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more; what is asked for from now on waits for the next start."""
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._ledger.own_connection() as connection:
                    self._watch_on(connection)
            except LedgerError as error:
                log.error("requests cannot be read, trying again", error=error.message)
                self._stopping.wait(1)
            except Exception:
                log.exception("the inbox broke, trying again")
                self._stopping.wait(1)

    def _watch_on(self, connection: Connection) -> None:
        seen, looked_ns = None, 0
        while True:
            counter, now_ns = change_counter(connection), self._clock.monotonic_ns()
            if counter is None or counter != seen or now_ns - looked_ns > _LOOK_AGAIN_NS:
                seen, looked_ns = counter, now_ns
                self._changed()
                for request in requests.pending(self._ledger):
                    self._take(request)
            if self._stopping.wait(_LOOK_S):
                return

    def _take(self, request: Request) -> None:
        def answer(connection: Connection) -> Mapping[str, Any]:
            try:
                return self._answer(connection, request)
            except TminusError as error:
                return {"error": error.message, "hint": error.hint, "exit_code": error.exit_code}

        said = requests.take(self._ledger, request, instance=self._instance, answer=answer)
        if said is not None and "error" not in said:
            self._taken(request)
