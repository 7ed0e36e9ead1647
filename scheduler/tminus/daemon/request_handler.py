"""Executes what request rows ask for: in the inbox's transaction, and afterwards in this process."""

from collections.abc import Callable, Mapping
from typing import Any

import structlog
from sqlalchemy.engine import Connection

from tminus.daemon.batches.backlog import Backlog
from tminus.daemon.batches.planner import Planner
from tminus.daemon.runs.background_runs import BackgroundRuns
from tminus.daemon.runtime import Runtime
from tminus.errors import UsageError
from tminus.ledger import skips
from tminus.ledger.requests import RequestKind, RequestRow
from tminus.operations import backfill, cancel, pause, resolve, resume, retry, run_now, skip

log = structlog.get_logger()

#: What adds occurrences that wait for their T.
_ADD = {
    RequestKind.RUN_NOW: run_now.accept,
    RequestKind.RETRY: retry.accept,
}
#: What changes pauses and skips.
_WITHHOLD = {
    RequestKind.PAUSE: pause.accept,
    RequestKind.PAUSE_ON_FAILURE: pause.accept,
    RequestKind.RESUME: resume.accept,
    RequestKind.SKIP: skip.accept,
}


class RequestHandler:
    """
    Both methods belong to the thread of the inbox, which is the only one that executes requests.

    Args:
        on_reload: Takes requests to reload. It changes their answers when they are done.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        planner: Planner,
        background: BackgroundRuns,
        backlog: Backlog,
        on_reload: Callable[[RequestRow], None],
    ) -> None:
        self._runtime = runtime
        self._on_reload = on_reload
        self._planner = planner
        self._background = background
        self._backlog = backlog
        self._effects: dict[str, Callable[[], object]] = {}

    def handle(self, connection: Connection, request: RequestRow) -> Mapping[str, Any]:
        """
        Execute a request in the ledger, on the connection of the transaction in which it is taken.

        Returns:
            The answer.

        Raises:
            TminusError: the request cannot be fulfilled.
        """
        definitions, now_ns = self._runtime.definitions, self._runtime.clock.wall_ns()
        match RequestKind(request.kind):
            case RequestKind.RUN_NOW | RequestKind.RETRY as kind:
                accepted = _ADD[kind](
                    connection, request, definitions, now_ns=now_ns, lead_ns=self._planner.lead_ns
                )
                self._effects[request.id] = lambda: self._planner.add(accepted.due_occurrences)
                return accepted.answer
            case RequestKind.CANCEL:
                number = request.body.get("number")
                if not isinstance(number, int):
                    raise UsageError("the request to cancel a run is malformed")
                self._effects[request.id] = lambda: self._background.cancel(number)
                return {}
            case (
                RequestKind.PAUSE
                | RequestKind.PAUSE_ON_FAILURE
                | RequestKind.RESUME
                | RequestKind.SKIP as kind
            ):
                answer = _WITHHOLD[kind](connection, request, definitions)
                self._put_into_force(connection, request)
                return answer
            case RequestKind.CANCEL_OCCURRENCE:
                watch = self._runtime.ledger.watch
                cancelled = cancel.accept(connection, request, watch=watch, now_ns=now_ns)
                self._effects[request.id] = lambda: self._runtime.cancel(cancelled.id, cancelled.reason)
                return cancelled.answer
            case RequestKind.RESOLVE:
                self._effects[request.id] = lambda: None
                return resolve.accept(connection, request)
            case RequestKind.BACKFILL:
                filled = backfill.accept(connection, request, definitions, now_ns=now_ns)
                self._effects[request.id] = lambda: self._backlog.hold(filled.due_occurrences)
                return filled.as_json()
            case RequestKind.RELOAD:
                self._effects[request.id] = lambda: self._on_reload(request)
                return {}

    def act_on(self, request: RequestRow) -> None:
        """Do in this process what a request asks for. Its row says that it was taken."""
        self._effects.pop(request.id)()

    def _put_into_force(self, connection: Connection, request: RequestRow) -> None:
        """Let the next commits use the pauses and skips that the ledger has after this transaction."""
        loaded = skips.load(connection)

        def effect() -> None:
            self._runtime.change_withheld(pauses=loaded.pauses, skips=loaded.skips)
            if request.kind == RequestKind.PAUSE_ON_FAILURE:
                log.warning("a job is paused", jobs=request.body["jobs"], reason=request.body["reason"])

        self._effects[request.id] = effect
