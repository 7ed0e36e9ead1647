"""The high-water mark: a later start need not look at the fire times before it. It never runs ahead of the ledger."""

import threading
from collections.abc import Callable, Mapping

from scheduler.daemon.recovery import wanted
from scheduler.ledger import instances, schedules
from scheduler.ledger.engine import Ledger
from scheduler.model.definitions import Definitions


class HighWater:
    """
    Thread-safe.

    Args:
        instance: This process.
        mark: Returns the fire time up to which each has a durable row; None if that is not known.
    """

    def __init__(self, ledger: Ledger, *, instance: str, mark: Callable[[], int | None]) -> None:
        self._ledger = ledger
        self._instance = instance
        self._mark = mark
        #: From the moment at which other schedules are written down until they are planned, no mark is true.
        self._marking = threading.Lock()
        self._unclear: tuple[Definitions, int] | None = None

    def beat(self, now_ns: int) -> None:
        """
        Write a sign of life, with the mark.

        Raises:
            LedgerError: it could not be written.
        """
        if not self._marking.acquire(blocking=False):  # a sign of life does not wait for the end of a reload
            instances.beat(self._ledger, self._instance, now_ns)
            return
        try:
            self._restore()
            instances.beat(self._ledger, self._instance, now_ns, decided_until_ns=self._mark())
        finally:
            self._marking.release()

    def adopt(
        self, definitions: Definitions, *, before: Definitions, now_ns: int, plan: Callable[[Mapping[str, int]], None]
    ) -> None:
        """
        Write down the schedules that are in force from now on, then plan them.

        Args:
            definitions: The new definitions.
            before: The definitions that stay in force if this raises.
            now_ns: Wall clock.
            plan: Called with the fire time up to which all are decided, for each scheduled job.

        Raises:
            LedgerError: it could not be written.
        """
        with self._marking:
            self._restore()
            self._unclear = before, now_ns
            plan(schedules.adopt(self._ledger, wanted(definitions), now_ns=now_ns))
            self._unclear = None

    def _restore(self) -> None:
        """Undo an adoption that raised: it may be durable all the same, with schedules that are not planned."""
        if self._unclear is not None:
            before, since_ns = self._unclear
            schedules.adopt(self._ledger, wanted(before), now_ns=since_ns)
            self._unclear = None
