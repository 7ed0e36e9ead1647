"""
Runs that wait for newer code: the code that their application's runner has loaded does not have their
function, or not with their arguments. Most likely a web worker already runs newer code.

They are queued in the ledger, with the reason. After each reload, each of them is tried again once.
"""

import threading
from collections.abc import Iterable

import structlog

from tminus.ledger import background_queue
from tminus.ledger.background_queue import QueuedRun
from tminus.ledger.engine import Ledger

log = structlog.get_logger()


class CodeWaits:
    """The runs that wait for newer code. Belongs to one thread, except `reload`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._reloaded = threading.Event()
        #: Runs that were begun before the last reload, perhaps with the earlier code.
        self._begun_before: set[int] = set()
        #: The row number up to which the runs of an application were tried with its code; None for all.
        self._tried: dict[str, int | None] = {}
        self._logged: set[str] = set()  #: applications

    def reload(self) -> None:
        """Note that the runners have loaded their code anew. Thread-safe."""
        self._reloaded.set()

    def take_reload(self, running: Iterable[int]) -> None:
        """
        After a reload, let all runs be tried again.

        Args:
            running: The row numbers of the runs that were begun and have not ended.
        """
        if self._reloaded.is_set():
            self._reloaded.clear()
            self._begun_before, self._tried, self._logged = set(running), {}, set()

    def add(self, run: QueuedRun, reason: str) -> None:
        """
        Let a run wait whose function the loaded code does not have. If a reload has come meanwhile, queue the
        run at once.

        Raises:
            LedgerError: the ledger does not work.
        """
        if run.number in self._begun_before:
            background_queue.requeue(self._ledger, [run.number])
            self._begun_before.discard(run.number)
            return
        background_queue.wait_for_code(self._ledger, run.number, f"waits for newer code: {reason}")
        if run.work.app not in self._logged:
            self._logged.add(run.work.app)
            log.warning(
                "background runs wait for newer code, which a reload loads",
                app=run.work.app,
                occurrence=str(run.occurrence),
                reason=reason,
            )

    def try_again(self, app: str, *, limit: int) -> bool:
        """
        Make some runs of an application due that were not tried since the last reload, at most `limit`.
        Return False if there was none.

        Raises:
            LedgerError: the ledger does not work.
        """
        after = self._tried.get(app, 0)
        if after is not None:
            self._tried[app] = background_queue.end_wait_for_code(self._ledger, app, after=after, limit=limit)
        return self._tried[app] is not None
