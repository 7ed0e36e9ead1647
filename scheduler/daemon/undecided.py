"""Undecided: the scheduled occurrences of this process that the ledger does not have yet."""

import threading
from collections import defaultdict
from collections.abc import Iterable

from scheduler.model.occurrence import OccurrenceId


class Undecided:
    """
    Thread-safe. An occurrence is here from the moment at which it is due until its row is durable.

    The high-water mark of the ledger stays before all of them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_fire_time: defaultdict[int, set[OccurrenceId]] = defaultdict(set)

    def add(self, ids: Iterable[OccurrenceId]) -> None:
        """These have no row yet."""
        with self._lock:
            for identity in ids:
                self._by_fire_time[identity.fire_time_ns].add(identity)

    def discard(self, ids: Iterable[OccurrenceId]) -> None:
        """These have a durable row, or are not due any more."""
        with self._lock:
            for identity in ids:
                waiting = self._by_fire_time[identity.fire_time_ns]
                waiting.discard(identity)
                if not waiting:
                    del self._by_fire_time[identity.fire_time_ns]

    def first(self) -> int | None:
        """Return the earliest fire time of them; None if there is none."""
        with self._lock:
            return min(self._by_fire_time, default=None)
