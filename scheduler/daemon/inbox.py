"""The inbox: takes request rows. A process that asks for something writes a row, so that the daemon needs no port."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from scheduler.errors import LedgerError, NotFound, TminusError, UsageError
from scheduler.ledger import changes, requests
from scheduler.ledger.engine import Ledger
from scheduler.ledger.requests import Request

log = structlog.get_logger()

#: Does what a request asks for on that connection, and returns the response.
Answer = Callable[[Connection, Request], Mapping[str, Any]]


class Inbox:
    """
    One thread that takes request rows.

    Args:
        answer: Called in the transaction in which the request is taken; a `TminusError` becomes the response.
        taken: Called after that transaction, with the request.
        changed: Called when the ledger may have changed.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        instance: str,
        answer: Answer,
        taken: Callable[[Request], None],
        changed: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._instance = instance
        self._answer = answer
        self._taken = taken
        self._changed = changed
        self._stopping = threading.Event()
        self._unclear: list[Request] = []  #: requests whose commit raised, and may be durable
        self._thread = threading.Thread(target=self._watch, name="inbox", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Take no further request: those wait for the next start. Wait at most this long, for the ledger may be locked."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                with changes.heard(self._ledger) as wait:
                    while not self._stopping.is_set():
                        self._changed()
                        self._read_back()
                        for request in requests.pending(self._ledger):
                            self._take(request)
                        wait(self._stopping)
            except LedgerError as error:
                log.error("requests cannot be read, trying again", error=error.message)
                self._stopping.wait(1)
            except Exception:
                log.exception("the inbox broke, trying again")
                self._stopping.wait(1)

    def _take(self, request: Request) -> None:
        def answer(connection: Connection) -> Mapping[str, Any]:
            try:
                if request.fault:
                    raise UsageError(request.fault, hint="is the daemon older than this command? restart it")
                with connection.begin_nested():
                    return self._answer(connection, request)
            except TminusError as error:
                if request.fault:
                    log.error("a request is not understood", request=request.id, error=error.message)
                return {"error": error.message, "hint": error.hint, "exit_code": error.exit_code}
            except sa.exc.OperationalError:
                raise  # the ledger does not work: that is not the request's fault
            except Exception as error:
                log.exception("a request cannot be answered", request=request.id, kind=request.kind)
                return {"error": f"the daemon cannot answer it: {type(error).__name__}", "hint": "see its log", "exit_code": 1}

        try:
            said = requests.take(self._ledger, request, instance=self._instance, answer=answer)
        except LedgerError:
            self._unclear.append(request)
            raise
        self._act_on(request, said)

    def _read_back(self) -> None:
        """Act on requests whose commit raised, if their rows say that they were taken."""
        while self._unclear:
            request = self._unclear[0]
            try:
                now = requests.look_at(self._ledger, request)
            except NotFound as error:
                log.error("a request was deleted while it was taken", error=error.message)
            else:
                if now.taken_by == self._instance:
                    self._act_on(request, now.answer)
            del self._unclear[0]

    def _act_on(self, request: Request, said: Mapping[str, Any] | None) -> None:
        if said is not None and "error" not in said:
            try:
                self._taken(request)
            except Exception:
                log.exception("a request was taken and cannot be acted on", request=request.id, kind=request.kind)
