"""
Outcomes that the ledger does not have yet. If the database refuses them, they are kept in the journal, too.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from tminus.clock import Clock
from tminus.daemon.service_thread import ServiceThread
from tminus.instants import SECOND
from tminus.ledger.journal import Journal
from tminus.ledger.journal_records import Recordable, to_record
from tminus.model.batch import OccurrenceResult, ScheduledRetry, UnstartedResult
from tminus.release.gate import Gate

log = structlog.get_logger()

#: What is written: the result of an occurrence, or that another attempt follows.
Item = OccurrenceResult | UnstartedResult | ScheduledRetry

_LOOK_S = 0.5
#: A working ledger takes an outcome within this time, even if the recorder waits for a T.
_PATIENCE_NS = 2 * SECOND
#: Records per write. Between two writes, threads that wait for a T get the GIL.
_MOST_AT_ONCE = 25


@dataclass(slots=True, eq=False)
class Entry:
    """
    An outcome on its way to the ledger.

    Attributes:
        put_ns: When it came, monotonic clock.
        is_in_journal: Whether the journal has it.
    """

    item: Item
    put_ns: int
    is_in_journal: bool = False


class Unwritten:
    """
    The outcomes that wait for the ledger. Thread-safe.

    The journal gets them while the database refuses them, and when they have waited long. It has a thread of
    its own, because the recorder may wait for a locked database, and a disk may hang.

    Args:
        journal: None if outcomes are kept in memory only.
        gate: Shut around each T, when nothing is written.
    """

    def __init__(self, journal: Journal | None, *, gate: Gate, clock: Clock) -> None:
        self._journal = journal
        self._gate = gate
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[int, Entry] = {}
        self._is_refused = False
        self._writing = threading.Lock()
        self._is_broken = False
        self._thread = ServiceThread("journal", self._look, pause_s=_LOOK_S)

    def start(self) -> None:
        """Create the journal, and start to watch what waits."""
        if self._journal is None:
            return
        with self._writing:
            try:
                self._journal.open()
            except OSError as error:
                self._log_failure(error)
        self._thread.start()

    def add(self, item: Item) -> Entry:
        """Add an outcome that the ledger does not have yet."""
        entry = Entry(item, self._clock.monotonic_ns())
        with self._lock:
            self._entries[id(entry)] = entry
        return entry

    def discard(self, entries: Iterable[Entry]) -> None:
        """Remove outcomes that the ledger has, or never takes."""
        with self._lock:
            self._is_refused = False
            for entry in entries:
                self._entries.pop(id(entry), None)

    def note_refusal(self) -> None:
        """Note that the database has refused an outcome: all that wait go into the journal."""
        with self._lock:
            self._is_refused = True

    @property
    def are_in_journal(self) -> bool:
        """Whether outcomes wait for the ledger, and the journal has all of them."""
        with self._lock:
            return bool(self._entries) and all(entry.is_in_journal for entry in self._entries.values())

    def stop(self) -> bool:
        """
        Put what the ledger does not have into the journal, for the next start.

        Returns:
            False if an outcome is neither in the ledger nor in the journal.
        """
        self._thread.stopping.set()
        with self._lock:
            left = list(self._entries.values())
        with self._writing:
            self._note_removal()
            self._append([entry for entry in left if not entry.is_in_journal])
            if self._journal is not None:
                self._journal.close() if left else self._journal.remove()
        is_safe = all(entry.is_in_journal for entry in left)
        if left and is_safe and self._journal is not None:
            log.warning(
                "the next start writes the outcomes that the ledger did not take",
                outcomes=len(left),
                journal=str(self._journal.file),
            )
        return is_safe

    def _note_removal(self) -> None:
        """If somebody has removed the journal, what it had is to be written again."""
        if self._journal is not None and self._journal.is_gone:
            with self._lock:
                for entry in self._entries.values():
                    entry.is_in_journal = False

    def _look(self) -> None:
        with self._writing:
            self._note_removal()
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            waiting = [
                entry
                for entry in self._entries.values()
                if not entry.is_in_journal and (self._is_refused or now_ns - entry.put_ns > _PATIENCE_NS)
            ]
            is_needed = any(entry.is_in_journal for entry in self._entries.values())
        for start in range(0, len(waiting), _MOST_AT_ONCE):
            self._gate.wait_open(own=None, deadline_ns=self._clock.wall_ns() + SECOND)
            with self._writing:
                if self._thread.stopping.is_set() or not self._append(waiting[start : start + _MOST_AT_ONCE]):
                    return
        if not waiting and not is_needed and self._journal is not None and not self._journal.is_empty:
            self._gate.wait_open(own=None, deadline_ns=self._clock.wall_ns() + SECOND)
            with self._writing:
                self._clear()

    def _append(self, entries: list[Entry]) -> bool:
        """Put these into the journal, or the first ones of them; return whether it has all."""
        if self._journal is None or not entries:
            return not entries
        try:
            self._journal.append([to_record(_recordable(entry.item)) for entry in entries])
        except OSError as error:
            if len(entries) > 1:
                return all(self._append([entry]) for entry in entries)
            self._log_failure(error)
            return False
        self._is_broken = False
        log.warning("the ledger does not take outcomes, they are in the journal", outcomes=len(entries))
        for entry in entries:
            entry.is_in_journal = True
        return True

    def _clear(self) -> None:
        if self._journal is None or self._journal.is_empty or self._thread.stopping.is_set():
            return
        try:
            self._journal.clear()
        except OSError as error:
            self._log_failure(error)

    def _log_failure(self, error: OSError) -> None:
        """Log the first failure in a row."""
        if not self._is_broken and self._journal is not None:
            log.error(
                "the journal cannot be written, outcomes are kept in memory",
                journal=str(self._journal.file),
                error=error.strerror or str(error),
            )
        self._is_broken = True


def _recordable(item: Item) -> Recordable:
    return item.record if isinstance(item, ScheduledRetry) else item
