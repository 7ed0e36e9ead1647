"""
The requests of jobs to the daemon: submit, state, locks. A thread of its own executes them, so that a locked
ledger cannot delay reports.
"""

import queue
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tminus.clock import Clock
from tminus.daemon.processes.job_locks import JobLocks
from tminus.daemon.processes.job_responses import SendResponse, raise_no_thread, to_response
from tminus.daemon.service_thread import ServiceThread
from tminus.executors.protocol import JobRequest, ProcessExited
from tminus.ledger import state, submissions
from tminus.ledger.engine import Ledger
from tminus.model.background import Submission
from tminus.operations import ask

_OPERATIONS: Mapping[str, Callable[..., Any]] = {
    **state.OPERATIONS,
    "ask": ask.ask,
    "find_answer": ask.find_answer,
}


class JobRequestHandler:
    """Handler of job requests. Thread-safe. Its thread runs from the first request until the process ends."""

    def __init__(self, ledger: Ledger, *, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._locks = JobLocks(ledger)
        self._items: queue.SimpleQueue[tuple[JobRequest, SendResponse]] = queue.SimpleQueue()
        self._thread = ServiceThread("job-requests", self._do_first, pause_s=0)

    def put(self, runner: int, message: JobRequest | ProcessExited, respond: SendResponse) -> None:
        """
        Have a request executed, and its response sent; returns at once.

        Args:
            runner: The process id of the runner.
            message: A request of the runner or of one of its child processes, or the end of one of them.
            respond: Sends the response.
        """
        match message:
            case ProcessExited():
                self._locks.end_process(runner, message.pid)
            case JobRequest(what="lock"):
                self._locks.take(runner, message, respond)
            case JobRequest(what="unlock"):
                self._locks.release(runner, message, respond)
            case JobRequest():
                try:
                    self._thread.start()
                except RuntimeError as error:
                    respond(to_response(message, partial(raise_no_thread, error)))
                else:
                    self._items.put((message, respond))

    def _do_first(self) -> None:
        request, respond = self._items.get()
        respond(to_response(request, partial(self._do, request)))

    def _do(self, request: JobRequest) -> Any:
        if request.what == "submit":
            works = [Submission(**given) for given in request.given["submissions"]]
            accepted = submissions.submit_all(self._ledger, works, now_ns=self._clock.wall_ns())
            return [[one.id, str(one.occurrence)] for one in accepted]
        return _OPERATIONS[request.what](self._ledger, **request.given)
