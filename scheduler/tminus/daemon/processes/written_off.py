"""
Jobs that are written off: they have their outcome although their thread still runs. They count for `overlap`
until the thread ends.
"""

import threading
from collections.abc import Callable

from tminus.executors.protocol import AttemptResults


class WrittenOff:
    """The written-off jobs of one runner. Thread-safe, because its supervisor and countdowns use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._then: dict[tuple[int, int], Callable[[], None]] = {}  #: by shard and index

    def take(self, results: AttemptResults) -> None:
        """Note which jobs still run. Call this before the results are passed on."""
        with self._lock:
            self._then |= {(results.shard, one.index): _nothing for one in results.finished if one.still_runs}

    def left(self, shard: int, index: int) -> None:
        """Note that the thread of a job has ended."""
        with self._lock:
            then = self._then.pop((shard, index), _nothing)
        then()

    def when_left(self, shard: int, index: int, then: Callable[[], None]) -> None:
        """Call `then` when the thread of a job ends, or at once if it has ended."""
        with self._lock:
            if is_there := (shard, index) in self._then:
                self._then[shard, index] = then
        if not is_there:
            then()

    def all_left(self) -> None:
        """Note that the process of the runner has ended, and all threads with it."""
        with self._lock:
            all_of_them, self._then = list(self._then.values()), {}
        for then in all_of_them:
            then()


def _nothing() -> None:
    pass
