"""
The high-water mark: a later start need not read the fire times before it. The mark never runs ahead of the
ledger.
"""

import threading
from collections.abc import Callable, Mapping

from tminus.daemon.schedule_recovery import active_schedules
from tminus.ledger import instances, schedules
from tminus.ledger.engine import Ledger
from tminus.model.definitions import Definitions


class HighWater:
    """
    The high-water mark of this process. Thread-safe.

    Args:
        instance: This process.
        mark: Returns the instant up to which each fire time has a durable row; None if that is not known.
    """

    def __init__(self, ledger: Ledger, *, instance: str, mark: Callable[[], int | None]) -> None:
        self._ledger = ledger
        self._instance = instance
        self._mark = mark
        #: Held while no mark is true: from the moment at which schedules are stored until they are planned.
        self._marking = threading.Lock()
        self._unclear: tuple[Definitions, int] | None = None

    def record_heartbeat(self, now_ns: int) -> None:
        """
        Write a heartbeat, with the mark.

        Raises:
            LedgerError: it could not be written.
        """
        if not self._marking.acquire(blocking=False):  # a heartbeat does not wait for the end of a reload
            instances.record_heartbeat(self._ledger, self._instance, now_ns)
            return
        try:
            self._restore()
            instances.record_heartbeat(self._ledger, self._instance, now_ns, decided_until_ns=self._mark())
        finally:
            self._marking.release()

    def adopt(
        self,
        definitions: Definitions,
        *,
        before: Definitions,
        now_ns: int,
        plan: Callable[[Mapping[str, int]], None],
    ) -> None:
        """
        Store the schedules that are in force from now on, then plan them.

        Args:
            definitions: The new definitions.
            before: The definitions that stay in force if this raises.
            now_ns: Wall clock.
            plan: Called with the instant up to which all fire times are decided, for each scheduled job.

        Raises:
            LedgerError: it could not be written.
        """
        with self._marking:
            self._restore()
            self._unclear = before, now_ns
            plan(schedules.replace_schedules(self._ledger, active_schedules(definitions), now_ns=now_ns))
            self._unclear = None

    def _restore(self) -> None:
        """
        Undo an adoption that raised: it may be durable nevertheless, although its schedules are not planned.
        """
        if self._unclear is not None:
            before, since_ns = self._unclear
            schedules.replace_schedules(self._ledger, active_schedules(before), now_ns=since_ns)
            self._unclear = None
