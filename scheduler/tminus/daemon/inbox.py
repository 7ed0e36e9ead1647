"""The inbox: takes request rows. Other processes write these rows, so the daemon needs no port."""

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from tminus.daemon.service_thread import ServiceThread
from tminus.errors import LedgerError, NotFound, TminusError, UsageError
from tminus.ledger import changes, requests
from tminus.ledger.engine import Ledger
from tminus.ledger.requests import RequestRow

log = structlog.get_logger()

_PAUSE_S = 1.0

#: Does what a request asks for on the given connection, and returns the answer.
Handler = Callable[[Connection, RequestRow], Mapping[str, Any]]


class Inbox(ServiceThread):
    """
    Takes request rows on a thread of its own. Once it is stopped, requests wait for the next start.

    Args:
        handler: Called in the transaction in which the request is taken; a `TminusError` becomes the
            answer.
        on_taken: Called after that transaction with the request, unless its answer is an error.
        on_change: Called when the ledger may have changed.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        instance: str,
        handler: Handler,
        on_taken: Callable[[RequestRow], None],
        on_change: Callable[[], None],
    ) -> None:
        super().__init__("inbox", self._watch, pause_s=_PAUSE_S)
        self._ledger = ledger
        self._instance = instance
        self._handler = handler
        self._on_taken = on_taken
        self._on_change = on_change
        self._unclear: list[RequestRow] = []  #: requests of which it is not known whether they were taken

    def take_first(self) -> None:
        """
        Take the requests that are to be in force before anything starts. Call it before `start`.

        Raises:
            LedgerError: the ledger does not work.
        """
        while first := requests.pending(self._ledger, requests.FIRST):
            for request in first:
                self._take(request)

    def _watch(self) -> None:
        with changes.subscribe(self._ledger) as wait:
            while not self.stopping.is_set():
                self._on_change()
                self._read_back()
                for request in requests.pending(self._ledger):
                    self._take(request)
                wait(self.stopping)

    def _take(self, request: RequestRow) -> None:
        def execute(connection: Connection) -> Mapping[str, Any]:
            return self._answer_to(request, connection)

        try:
            answer = requests.take(self._ledger, request, instance=self._instance, execute=execute)
        except LedgerError:
            self._unclear.append(request)
            raise
        self._act_on(request, answer)

    def _answer_to(self, request: RequestRow, connection: Connection) -> Mapping[str, Any]:
        try:
            if request.fault:
                is_known = request.kind in set(requests.RequestKind)
                hint = None if is_known else "is the daemon older than this command? restart it"
                raise UsageError(request.fault, hint=hint)
            with connection.begin_nested():
                return self._handler(connection, request)
        except TminusError as error:
            if request.fault:
                log.error("a request is not understood", request=request.id, error=error.message)
            return {"error": error.message, "hint": error.hint, "exit_code": error.exit_code}
        except sa.exc.OperationalError:
            raise  # the ledger does not work, and the request is not the cause
        except Exception as error:
            log.exception("a request cannot be handled", request=request.id, kind=request.kind)
            message = f"the daemon cannot handle this request: {type(error).__name__}"
            return {"error": message, "hint": "see its log", "exit_code": 1}

    def _read_back(self) -> None:
        """Act on the unclear requests whose rows say that they were taken."""
        while self._unclear:
            request = self._unclear[0]
            try:
                now = requests.get_request(self._ledger, request.id)
            except NotFound as error:
                log.error("a request was deleted while it was taken", error=error.message)
            else:
                if now.taken_by == self._instance:
                    self._act_on(request, now.answer)
            del self._unclear[0]

    def _act_on(self, request: RequestRow, answer: Mapping[str, Any] | None) -> None:
        if answer is not None and "error" not in answer:
            try:
                self._on_taken(request)
            except Exception:
                log.exception(
                    "a request was taken and cannot be acted on", request=request.id, kind=request.kind
                )
