"""The undecided occurrences: those of this process that the ledger does not have yet."""

import threading
from collections import defaultdict
from collections.abc import Iterable

from tminus.model.occurrence import OccurrenceId


class Undecided:
    """
    The occurrences of this process that are due and have no durable row. Thread-safe.

    The high-water mark of the ledger stays before all of them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_fire_time: defaultdict[int, set[OccurrenceId]] = defaultdict(set)

    def add(self, ids: Iterable[OccurrenceId]) -> None:
        """Add occurrences that have no row yet."""
        with self._lock:
            for identity in ids:
                self._by_fire_time[identity.fire_time_ns].add(identity)

    def discard(self, ids: Iterable[OccurrenceId]) -> None:
        """Remove occurrences that have a durable row, or are no longer due."""
        with self._lock:
            for identity in ids:
                waiting = self._by_fire_time[identity.fire_time_ns]
                waiting.discard(identity)
                if not waiting:
                    del self._by_fire_time[identity.fire_time_ns]

    def first(self) -> int | None:
        """Return the earliest fire time; None if there is no occurrence."""
        with self._lock:
            return min(self._by_fire_time, default=None)
