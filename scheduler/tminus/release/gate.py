"""
The gate: from shortly before the T of a shard until that shard has started, this process arms nothing.
"""

import threading

from tminus.clock import Clock
from tminus.instants import MS, SECOND

#: Arming stops this long before T, because it is Python, which disturbs a release.
BEFORE_NS = 100 * MS
#: If a release is not reported this long after T, it no longer keeps the gate shut.
LONGEST_NS = 2 * SECOND


class Gate:
    """Arming calls `wait_open` between two small steps. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._release_at_ns: dict[object, int] = {}  #: by token

    def shut_around(self, token: object, release_at_ns: int) -> None:
        """Shut the gate around T, until `release` is called with the same token."""
        with self._changed:
            self._release_at_ns[token] = release_at_ns

    def release(self, token: object) -> None:
        """Open the gate for this token: its shard has started, or was withdrawn."""
        with self._changed:
            self._release_at_ns.pop(token, None)
            self._changed.notify_all()

    def wait_open(self, *, own: object, deadline_ns: int) -> bool:
        """
        Wait until no shard except `own` is about to be released. Return False if the deadline (wall clock)
        comes first.
        """
        with self._changed:
            while (now := self._clock.wall_ns()) < deadline_ns:
                near = [
                    release_at_ns
                    for token, release_at_ns in self._release_at_ns.items()
                    if token != own and release_at_ns - BEFORE_NS <= now < release_at_ns + LONGEST_NS
                ]
                if not near:
                    return True
                self._changed.wait(min(deadline_ns - now, min(near) + LONGEST_NS - now) / SECOND)
            return False
