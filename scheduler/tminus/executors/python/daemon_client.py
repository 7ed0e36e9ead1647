"""
Requests of jobs to the daemon, over the pipes of their runner. The environment of a runner need not have
SQLAlchemy, so it cannot open the ledger.
"""

import itertools
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from tminus.errors import LockTimeout, TminusError
from tminus.executors.protocol import JOB_ERRORS, JobRequest, JobResponse
from tminus.instants import SECOND

#: Time limit for a response, longer than SQLite's wait for its lock.
_PATIENCE_S = 30
_ERRORS = {error.__name__: error for error in JOB_ERRORS}


class DaemonClient:
    """The client of one process. It works after `open`, only in the process that called it. Thread-safe."""

    def __init__(self) -> None:
        self._send: Callable[[JobRequest], None] | None = None
        self._pid = 0
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[JobResponse]] = {}

    def open(self, send: Callable[[JobRequest], None]) -> None:
        """
        Start to send requests, now that the application has been imported.

        Args:
            send: Sends a request.
        """
        self._send, self._pid = send, os.getpid()

    def send_request(self, what: str, given: Mapping[str, Any], *, patience_s: float = _PATIENCE_S) -> Any:
        """
        Send a request, and return the value of its response. `what` and `given` as in `JobRequest`.

        Raises:
            TminusError: it was not done, or it is unknown whether it was.
        """
        return self._ask(next(self._numbers), what, given, patience_s)

    def acquire(self, app: str, name: str, timeout_ns: int) -> Callable[[], None]:
        """Have the daemon take a lock for this process; return a function that releases it."""
        number = next(self._numbers)

        def give_back() -> None:
            if os.getpid() == self._pid:
                self.send_request("unlock", {"lock": number})

        try:
            given = {"app": app, "name": name, "timeout_ns": timeout_ns}
            self._ask(number, "lock", given, timeout_ns / SECOND + _PATIENCE_S)
        except LockTimeout:
            raise
        except BaseException:
            # The daemon may have granted the lock, or may still do so.
            if self._send and os.getpid() == self._pid:
                self._send(
                    JobRequest(
                        pid=self._pid, number=next(self._numbers), what="unlock", given={"lock": number}
                    )
                )
            raise
        return give_back

    def on_response(self, response: JobResponse) -> None:
        """Take a response of the daemon."""
        with self._lock:
            future = self._waiting.get(response.number)
        if future is not None and not future.done():
            future.set_result(response)

    def _ask(self, number: int, what: str, given: Mapping[str, Any], patience_s: float) -> Any:
        if self._send is None:
            hint = "do it inside a view or a job function, not at import"
            raise TminusError(
                "nothing can be submitted or shared while the application is being imported", hint=hint
            )
        if os.getpid() != self._pid:
            hint = "do it in the job itself"
            raise TminusError(
                "nothing can be submitted or shared in a process that a job has forked", hint=hint
            )
        future = Future[JobResponse]()
        with self._lock:
            self._waiting[number] = future
        try:
            self._send(JobRequest(pid=self._pid, number=number, what=what, given=given))
            response = future.result(patience_s)
        except TimeoutError:
            hint = "check that before you try again"
            raise TminusError(
                f"the daemon has not responded within {patience_s:g} s: {what}; it may have been executed",
                hint=hint,
            ) from None
        finally:
            with self._lock:
                self._waiting.pop(number, None)
        if response.kind:
            raise _ERRORS.get(response.kind, TminusError)(response.value, hint=response.hint)
        return response.value


#: The client of this process, if it runs jobs, or imports an application for them.
current: DaemonClient | None = None
