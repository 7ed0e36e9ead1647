"""The one writer of outcomes: in groups, away from any release, again and again until they are written."""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from scheduler.clock import Clock
from scheduler.daemon.undecided import Undecided
from scheduler.errors import LedgerError, Refused
from scheduler.instants import SECOND
from scheduler.ledger import outcomes
from scheduler.ledger.engine import Ledger
from scheduler.model.batch import Decided, Due, Ended
from scheduler.model.chain import Failure
from scheduler.outcome import Cause, Outcome
from scheduler.release.gate import Gate

log = structlog.get_logger()

#: A group is what comes within this time, and at most this many.
_GATHER_S = 0.02
_MOST = 25
#: Between two groups if the first was full: web workers that submit work wait for the ledger, too.
_REST_S = 0.003
_RETRY_S = 0.5
WITHOUT_DETAILS = "the ledger did not take the details, see the log"
#: For its thread to end: it may wait for a locked ledger.
_END_S = 0.5


class Recorder:
    """
    Thread-safe. Outcomes are kept here until the ledger has them.

    Args:
        gate: Shut around each T, when nothing is written.

    Attributes:
        followed: Called on the recorder's thread with the runs whose chains have begun.
        undecided: Due occurrences without a row; also what is put here unstarted, until it is written.
    """

    def __init__(self, ledger: Ledger, *, gate: Gate, clock: Clock) -> None:
        self.undecided = Undecided()
        self.followed: Callable[[Sequence[Due]], None] = lambda _: None
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
        if isinstance(item, Decided):
            self.undecided.add([item.id])
        self._items.put(item)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was put before is written; return False if that takes too long."""
        written = threading.Event()
        self._items.put(written)
        return written.wait(timeout_s)

    def stop(self, timeout_s: float) -> bool:
        """Write what is left, then end; return False if something could not be written in that time."""
        well = self.flush(timeout_s)
        self._ending.set()
        self._items.put(threading.Event())
        self._thread.join(_END_S)
        return well and not self._thread.is_alive()

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
        """Write a group, again until it is written; return False if this process is to end before."""
        while True:
            try:
                self._write(group)
            except Refused as error:
                return self._insist_on_each(group, error)
            except LedgerError as error:
                log.error("outcomes cannot be written, trying again", outcomes=len(group), error=error.message)
                if self._ending.wait(_RETRY_S):
                    return False
            except Exception as error:  # noqa: BLE001  it is logged there
                return self._insist_on_each(group, error)
            else:
                return True

    def _insist_on_each(self, group: Sequence[Ended | Decided], error: Exception) -> bool:
        """Write each outcome by itself, because the group cannot be written; one that is refused goes without its details."""
        if len(group) > 1:
            return all(self._insist([item]) for item in group)
        (item,) = group
        if item.reason == WITHOUT_DETAILS:
            log.error("an outcome cannot be written, it is unknown after the next start", occurrence=str(item.id), exc_info=error)
            return True
        log.error("the details of an outcome cannot be written", occurrence=str(item.id), exc_info=error)
        return self._insist([_without_details(item)])

    def _write(self, group: Sequence[Ended | Decided]) -> None:
        ended = [item for item in group if isinstance(item, Ended)]
        decided = [item for item in group if isinstance(item, Decided)]
        if ended:
            outcomes.record(self._ledger, ended)
        if decided:
            outcomes.decide(self._ledger, decided, now_ns=self._clock.wall_ns())
            self.undecided.discard(one.id for one in decided)
        self.followed([item.chain.due for item in group if item.chain])


def _without_details(item: Ended | Decided) -> Ended | Decided:
    """Return the same outcome without the texts that the ledger may have refused."""
    failure = Failure(outcome=Outcome.FAILED, kind=Cause.RESULT, message=WITHOUT_DETAILS)
    chain = item.chain and replace(item.chain, value=failure)
    if isinstance(item, Decided):
        return replace(item, reason=WITHOUT_DETAILS, chain=chain)
    bare = [replace(attempt, reason=WITHOUT_DETAILS, headers=(), body=b"", output=b"") for attempt in item.attempts]
    return replace(item, reason=WITHOUT_DETAILS, attempts=bare, chain=chain, result=None)
