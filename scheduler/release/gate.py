"""The gate: nothing is armed in this process from shortly before the T of a shard until that shard has started."""

import threading

from scheduler.clock import Clock
from scheduler.instants import MS, SECOND

#: Arming is Python, which disturbs a release: it stops this long before T.
BEFORE_NS = 100 * MS
#: After this, a release that has not been reported no longer keeps the gate shut.
LONGEST_NS = 2 * SECOND


class Gate:
    """Arming calls `wait_open` between two small steps. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._held: dict[object, int] = {}

    def shut_around(self, token: object, t_ns: int) -> None:
        """Shut the gate around T, until `release` is called with the same token."""
        with self._changed:
            self._held[token] = t_ns

    def release(self, token: object) -> None:
        """Open the gate for this token: its shard has started, or was withdrawn."""
        with self._changed:
            self._held.pop(token, None)
            self._changed.notify_all()

    def wait_open(self, *, own: object, deadline_ns: int) -> bool:
        """Wait until no shard except `own` is about to be released; return False if the deadline (wall clock) comes first."""
        with self._changed:
            while (now := self._clock.wall_ns()) < deadline_ns:
                shut = [t for token, t in self._held.items() if token != own and t - BEFORE_NS <= now < t + LONGEST_NS]
                if not shut:
                    return True
                self._changed.wait(min(deadline_ns - now, min(shut) + LONGEST_NS - now) / SECOND)
            return False
