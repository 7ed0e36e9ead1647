"""Jobs that have their outcome while their thread still runs: they count for `overlap` until the thread has ended."""

import threading
from collections.abc import Callable

from scheduler.executors.python.wire import Left, Results


class WrittenOff:
    """The jobs of one runner. Thread-safe: its supervisor passes on reports, countdowns ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._then: dict[tuple[int, int], Callable[[], None]] = {}  #: by shard and index

    def hear(self, report: object) -> None:
        """Take a report of the runner, before anyone else does."""
        match report:
            case Results(shard=shard, finished=finished):
                with self._lock:
                    self._then |= {(shard, one.index): _nothing for one in finished if one.still_runs}
            case Left(shard=shard, index=index):
                with self._lock:
                    then = self._then.pop((shard, index), _nothing)
                then()

    def when_left(self, shard: int, index: int, then: Callable[[], None]) -> None:
        """Call this once the thread of a job has ended; at once if it has ended already."""
        with self._lock:
            if is_there := (shard, index) in self._then:
                self._then[shard, index] = then
        if not is_there:
            then()

    def all_left(self) -> None:
        """Call all: the process of the runner has ended."""
        with self._lock:
            all_of_them, self._then = list(self._then.values()), {}
        for then in all_of_them:
            then()


def _nothing() -> None:
    pass
