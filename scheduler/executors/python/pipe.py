"""Handing work over from inside a job: over the runner's pipe, for the application's environment has no ledger."""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from scheduler.errors import TminusError
from scheduler.executors.python.wire import Submit, Submitted

#: The daemon tries so long to write it down.
_PATIENCE_S = 30


class Pipe:
    """
    Thread-safe.

    Args:
        report: Sends what is handed over.
    """

    def __init__(self, report: Callable[[Submit], None]) -> None:
        self._report = report
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[Submitted]] = {}

    def submit(self, **work: Any) -> tuple[str, str]:
        """
        Hand work over; its fields are those of `model.background.Work`.

        Returns:
            The run's id, and the occurrence that it stands for.

        Raises:
            TminusError: it was not written down.
        """
        number, future = next(self._numbers), Future[Submitted]()
        with self._lock:
            self._waiting[number] = future
        self._report(Submit(number=number, work=work))
        try:
            said = future.result(_PATIENCE_S)
        except TimeoutError:
            hint = "look for it in `tminus history` before you try again"
            raise TminusError(
                f"the daemon has not said within {_PATIENCE_S} s whether the work is written down", hint=hint
            ) from None
        finally:
            with self._lock:
                self._waiting.pop(number, None)
        if said.error:
            raise TminusError(said.error)
        return said.id, said.occurrence

    def hear(self, said: Submitted) -> None:
        """The daemon answers."""
        with self._lock:
            future = self._waiting.get(said.number)
        if future is not None:
            future.set_result(said)


#: Of this process, where it is a runner.
current: Pipe | None = None
