"""The one writer of outcomes: in groups, away from any release, again and again until they are written."""

import queue
import threading
from collections.abc import Callable, Sequence

import structlog

from scheduler.clock import Clock
from scheduler.errors import LedgerError
from scheduler.instants import SECOND
from scheduler.ledger import outcomes
from scheduler.ledger.engine import Ledger
from scheduler.model.batch import Decided, Ended
from scheduler.model.occurrence import OccurrenceId
from scheduler.release.gate import Gate

log = structlog.get_logger()

#: A group is what has come together within this, and no more than so many.
_GATHER_S = 0.02
_MOST = 25
#: Between two groups of which the first was full: who hands work over waits for the ledger, too.
_REST_S = 0.003
_RETRY_S = 0.5


class Recorder:
    """
    Thread-safe. What is put here is kept until the ledger has it.

    Args:
        gate: Shut around each T: nothing is written then.

    Attributes:
        followed: Told, on the recorder's thread, of whom a chain has begun.
    """

    def __init__(self, ledger: Ledger, *, gate: Gate, clock: Clock) -> None:
        self.followed: Callable[[Sequence[OccurrenceId]], None] = lambda _: None
        self._ledger = ledger
        self._gate = gate
        self._clock = clock
        self._items: queue.SimpleQueue[Ended | Decided | threading.Event] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._write_all, name="recorder", daemon=True)

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    def put(self, item: Ended | Decided) -> None:
        """Have it written soon."""
        self._items.put(item)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was put before is written; False where that takes too long."""
        written = threading.Event()
        self._items.put(written)
        return written.wait(timeout_s)

    def stop(self, timeout_s: float) -> bool:
        """Write what is left, then end; False where something could not be written in that time."""
        well = self.flush(timeout_s)
        self._ending.set()
        self._items.put(threading.Event())
        self._thread.join()
        return well

    def _write_all(self) -> None:
        while not self._ending.is_set():
            group, waiting = self._gather()
            self._gate.wait_open(own=None, deadline_ns=self._clock.wall_ns() + SECOND)
            if group and not self._insist(group):
                return
            for written in waiting:
                written.set()
            if len(group) == _MOST:
                self._ending.wait(_REST_S)

    def _gather(self) -> tuple[list[Ended | Decided], list[threading.Event]]:
        group: list[Ended | Decided] = []
        waiting: list[threading.Event] = []
        timeout_s = None
        while len(group) < _MOST:
            try:
                item = self._items.get(timeout=timeout_s)
            except queue.Empty:
                break
            if isinstance(item, threading.Event):
                waiting.append(item)
                break
            group.append(item)
            timeout_s = _GATHER_S
        return group, waiting

    def _insist(self, group: Sequence[Ended | Decided]) -> bool:
        while True:
            try:
                self._write(group)
            except LedgerError as error:
                log.error("outcomes cannot be written, trying again", outcomes=len(group), error=error.message)
                if self._ending.wait(_RETRY_S):
                    return False
            except Exception:
                if len(group) > 1:
                    return all(self._insist([item]) for item in group)
                log.exception("an outcome cannot be written, it is unknown after the next start", occurrence=str(group[0].id))
                return True
            else:
                return True

    def _write(self, group: Sequence[Ended | Decided]) -> None:
        ended = [item for item in group if isinstance(item, Ended)]
        decided = [item for item in group if isinstance(item, Decided)]
        if ended:
            outcomes.record(self._ledger, ended)
        if decided:
            outcomes.decide(self._ledger, decided, now_ns=self._clock.wall_ns())
        self.followed([item.id for item in group if item.chain])
