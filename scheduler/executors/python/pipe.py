"""What a job asks of the daemon: over the pipes of its runner, for the application's environment has no ledger."""

import itertools
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from scheduler.errors import LedgerError, LockTimeout, TminusError, UsageError
from scheduler.executors.python.wire import Answered, Ask
from scheduler.instants import SECOND

#: The daemon tries so long to write something down.
_PATIENCE_S = 30
_ERRORS = {error.__name__: error for error in (LedgerError, LockTimeout, UsageError)}


class Pipe:
    """Thread-safe; of use from `open` on, in that process alone."""

    def __init__(self) -> None:
        self._report: Callable[[Ask], None] | None = None
        self._pid = 0
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[Answered]] = {}

    def open(self, report: Callable[[Ask], None]) -> None:
        """
        The application is imported.

        Args:
            report: Sends what is asked.
        """
        self._report, self._pid = report, os.getpid()

    def ask(self, what: str, given: Mapping[str, Any], *, patience_s: float = _PATIENCE_S) -> Any:
        """
        Ask, and wait for the answer; `what` and `given` as in `wire.Ask`.

        Raises:
            TminusError: it was not done, or nobody knows whether it was.
        """
        return self._ask(next(self._numbers), what, given, patience_s)

    def acquire(self, app: str, name: str, timeout_ns: int) -> Callable[[], None]:
        """Have the daemon take a lock for this process; as `named_locks.acquire`."""
        number = next(self._numbers)

        def give_back() -> None:
            if os.getpid() == self._pid:
                self.ask("unlock", {"lock": number})

        try:
            given = {"app": app, "name": name, "timeout_ns": timeout_ns}
            self._ask(number, "lock", given, timeout_ns / SECOND + _PATIENCE_S)
        except LockTimeout:
            raise
        except BaseException:
            if self._report and os.getpid() == self._pid:  # it may come yet, or has come
                self._report(Ask(pid=self._pid, number=next(self._numbers), what="unlock", given={"lock": number}))
            raise
        return give_back

    def hear(self, said: Answered) -> None:
        """The daemon answers."""
        with self._lock:
            future = self._waiting.get(said.number)
        if future is not None and not future.done():
            future.set_result(said)

    def _ask(self, number: int, what: str, given: Mapping[str, Any], patience_s: float) -> Any:
        if self._report is None:
            hint = "do it in a view or a job, or when they begin"
            raise TminusError("nothing can be handed over or shared while the application is imported", hint=hint)
        if os.getpid() != self._pid:
            hint = "do it in the job itself"
            raise TminusError("nothing can be handed over or shared in a process that a job has forked", hint=hint)
        future = Future[Answered]()
        with self._lock:
            self._waiting[number] = future
        try:
            self._report(Ask(pid=self._pid, number=number, what=what, given=given))
            said = future.result(patience_s)
        except TimeoutError:
            hint = "look whether it is done before you try again"
            raise TminusError(f"the daemon has not said within {patience_s:g} s whether it is done: {what}", hint=hint) from None
        finally:
            with self._lock:
                self._waiting.pop(number, None)
        if said.kind:
            raise _ERRORS.get(said.kind, TminusError)(said.value, hint=said.hint)
        return said.value


#: Of this process, where it runs jobs, or imports an application for them.
current: Pipe | None = None
