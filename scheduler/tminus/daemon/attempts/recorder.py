"""
The recorder: the only writer of outcomes. It writes in groups, away from any T, and retries until it
succeeds.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from tminus.aside import aside, is_done
from tminus.clock import Clock
from tminus.daemon.attempts.undecided import Undecided
from tminus.daemon.attempts.unwritten import Entry, Item, Unwritten
from tminus.daemon.ledger_retry import GivenUp, retry_until
from tminus.daemon.service_thread import ServiceThread
from tminus.errors import LedgerError, LedgerValueError
from tminus.instants import SECOND
from tminus.ledger import outcomes
from tminus.ledger.engine import Ledger
from tminus.ledger.journal import Journal
from tminus.model.batch import AnyRun, DueOccurrence, OccurrenceResult, ScheduledRetry, UnstartedResult
from tminus.model.chain import Failure
from tminus.model.occurrence import Attempt
from tminus.outcome import Cause, Outcome
from tminus.release.gate import Gate

log = structlog.get_logger()

#: A group ends when no further item comes within this time, or when it has this many items.
_GATHER_S = 0.02
_MOST_IN_GROUP = 25
#: Pause after a full group, because web workers that submit background runs wait for the ledger, too.
_PAUSE_S = 0.003
_RETRY_S = 0.5
WITHOUT_DETAILS = "the ledger did not take the details, see the log"
#: Time limit for its thread to end, because it may wait for a locked ledger.
_JOIN_TIMEOUT_S = 0.5
#: Time between two looks whether a stop has to wait.
_STEP_S = 0.1
#: Time limit for the journal, because its disk may hang.
_JOURNAL_TIMEOUT_S = 1.0


class Recorder:
    """
    The writer of outcomes, which keeps them until the ledger has them. Thread-safe.

    Args:
        gate: Shut around each T, when nothing is written.
        journal: Gets the outcomes while the database refuses them; None if they are kept in memory only.

    Attributes:
        on_chains_begun: Called on the recorder's thread with the runs whose chains have begun.
        on_retries: Called on the recorder's thread with the attempts that follow failed ones.
        undecided: Due occurrences without a row. `put` adds unstarted ones; writing them removes them.
    """

    def __init__(self, ledger: Ledger, *, gate: Gate, clock: Clock, journal: Journal | None = None) -> None:
        self.undecided = Undecided()
        self.on_chains_begun: Callable[[Sequence[AnyRun]], None] = lambda _: None
        self.on_retries: Callable[[Sequence[DueOccurrence]], None] = lambda _: None
        self._ledger = ledger
        self._gate = gate
        self._clock = clock
        self._unwritten = Unwritten(journal, gate=gate, clock=clock)
        self._items: queue.SimpleQueue[Entry | threading.Event] = queue.SimpleQueue()
        self._are_kept = False
        self._thread = ServiceThread("recorder", self._write_all, pause_s=_RETRY_S)

    def start(self) -> None:
        """Start writing."""
        self._unwritten.start()
        self._thread.start()

    def put(self, item: Item) -> None:
        """Record an outcome, or a further attempt, soon; return at once."""
        if isinstance(item, UnstartedResult):
            self.undecided.add([item.id])
        self._items.put(self._unwritten.add(item))

    def flush(self, timeout_s: float) -> bool:
        """Wait until all outcomes so far are written; return False if that takes too long."""
        written = threading.Event()
        self._items.put(written)
        return written.wait(timeout_s)

    def stop(self, timeout_s: float) -> bool:
        """
        Write the remaining outcomes, then end. Those that the ledger does not take in that time go into the
        journal; return False if one is in neither. A second call does nothing.
        """
        if self._thread.stopping.is_set():
            return self._are_kept
        written = threading.Event()
        self._items.put(written)
        for _ in range(round(timeout_s / _STEP_S)):
            if written.wait(_STEP_S) or self._unwritten.are_in_journal:
                break
        self._thread.stopping.set()
        self._items.put(threading.Event())
        self._thread.stop(_JOIN_TIMEOUT_S)
        try:
            kept = aside(self._unwritten.stop, name="last outcomes")
            self._are_kept = is_done(kept, _JOURNAL_TIMEOUT_S) and kept.result()
            if not kept.done():
                log.error("the disk of the journal does not respond", within_s=_JOURNAL_TIMEOUT_S)
        except Exception:
            log.exception("the last outcomes cannot be put into the journal")
        return self._are_kept

    def _write_all(self) -> None:
        while not self._thread.stopping.is_set():
            entries, waiting = self._gather()
            self._gate.wait_open(own=None, deadline_ns=self._clock.wall_ns() + SECOND)
            try:
                self._write_until_done([entry.item for entry in entries])
            except GivenUp:
                return
            self._unwritten.discard(entries)
            for written in waiting:
                written.set()
            if len(entries) == _MOST_IN_GROUP:
                self._thread.stopping.wait(_PAUSE_S)

    def _gather(self) -> tuple[list[Entry], list[threading.Event]]:
        group: list[Entry] = []
        waiting: list[threading.Event] = []
        timeout_s = None
        while len(group) < _MOST_IN_GROUP:
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

    def _write_until_done(self, group: Sequence[Item]) -> None:
        """
        Write a group; retry until it is written. If the ledger refuses it, write each outcome by itself.

        Raises:
            GivenUp: this process is to end before.
        """
        if not group:
            return
        try:
            retry_until(
                self._thread.stopping, lambda: self._write(group), pause_s=_RETRY_S, outcomes=len(group)
            )
        except GivenUp:
            raise
        except Exception as error:  # noqa: BLE001  it is logged below
            if len(group) > 1:
                for item in group:
                    self._write_until_done([item])
            else:
                self._write_without_details(group[0], error)

    def _write_without_details(self, item: Item, error: Exception) -> None:
        """Write a refused outcome without its details; if that is refused, too, drop it."""
        if _is_without_details(item):
            log.error(
                "an outcome cannot be written, it is unknown after the next start",
                occurrence=str(item.id),
                exc_info=error,
            )
            return
        log.error("the details of an outcome cannot be written", occurrence=str(item.id), exc_info=error)
        self._write_until_done([_without_details(item)])

    def _write(self, group: Sequence[Item]) -> None:
        try:
            self._record(group)
        except LedgerError as error:
            if not isinstance(error, LedgerValueError):
                self._unwritten.note_refusal()
            raise

    def _record(self, group: Sequence[Item]) -> None:
        ended = [item for item in group if isinstance(item, OccurrenceResult)]
        retries = [item for item in group if isinstance(item, ScheduledRetry)]
        decided = [item for item in group if isinstance(item, UnstartedResult)]
        if ended:
            outcomes.record(self._ledger, ended)
        if decided:
            outcomes.record_unstarted(self._ledger, decided, now_ns=self._clock.wall_ns())
            self.undecided.discard(result.id for result in decided)
        if retries:
            outcomes.record_retries(self._ledger, [item.record for item in retries])
            self.on_retries([item.due for item in retries])
        chains = [item.chain for item in group if not isinstance(item, ScheduledRetry)]
        self.on_chains_begun([chain.run for chain in chains if chain and chain.run])


def _is_without_details(item: Item) -> bool:
    return (item.attempt if isinstance(item, ScheduledRetry) else item).reason == WITHOUT_DETAILS


def _without_details(item: Item) -> Item:
    """Return the same outcome without the texts that the ledger may have refused."""
    if isinstance(item, ScheduledRetry):
        bare = _bare(item.attempt)
        return replace(item, attempt=bare, due=replace(item.due, previous=bare))
    failure = Failure(outcome=Outcome.FAILED, kind=Cause.RESULT, message=WITHOUT_DETAILS)
    chain = item.chain and replace(item.chain, value=failure)
    if isinstance(item, UnstartedResult):
        return replace(item, reason=WITHOUT_DETAILS, chain=chain)
    bare_ones = [_bare(attempt) for attempt in item.attempts]
    return replace(item, reason=WITHOUT_DETAILS, attempts=bare_ones, chain=chain, result=None)


def _bare(attempt: Attempt) -> Attempt:
    return replace(attempt, reason=WITHOUT_DETAILS, headers=(), body=b"", output=b"")
