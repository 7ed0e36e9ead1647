"""Hold the parties of a shard until the permit has come, and then until T."""

import threading
from collections.abc import Callable

from tminus.clock import Clock
from tminus.instants import MS
from tminus.policies.lead import LONGEST_NS

#: How long before T the parties leave the Barrier. A hundred threads need about 5 ms to leave it.
LEAVE_NS = 50 * MS
#: This long before T the parties check once more what they have armed.
RECHECK_NS = 10 * MS


class Hold:
    """
    The hold has two parts. The first one is the Barrier's action: the last party to arrive runs it while the
    others are blocked. It returns shortly before T. It never raises, because that would break the Barrier for
    all. The second one is `until_t`: one party runs it while the others wait. It sets `released_at_ns` if the
    parties may start.

    If the wall clock is set back during the hold, T comes later. If T is then further away than the longest
    lead, the parties stand down, and the batch is prepared again when T is near.

    Args:
        release_at_ns: T, wall clock, nanoseconds since the Unix epoch.
        give_up_ns: Without a permit by then, the parties stand down.
        clock: The only source of time.
        recheck: Called shortly before T, while all parties wait; it must not raise.
        spins: Whether it spins for the last two milliseconds, which takes a core from others.

    Thread-safety:
        `permit` and `withdraw` may be called from any thread, at any time; the first of them decides.

    Source:
        docs.python.org/3/library/threading.html#threading.Barrier
    """

    def __init__(
        self,
        *,
        release_at_ns: int,
        give_up_ns: int,
        clock: Clock,
        recheck: Callable[[], None],
        spins: bool = True,
    ) -> None:
        self.release_at_ns = release_at_ns
        self.released_at_ns: int | None = None
        self._give_up_ns = give_up_ns
        self._clock = clock
        self._recheck = recheck
        self._spins = spins
        self._decided = threading.Event()
        self._lock = threading.Lock()
        self._permitted = False

    def permit(self, first: Callable[[], None] | None = None) -> bool:
        """
        Release at T: the commit is durable. Return False if the parties were withdrawn before.

        Args:
            first: Called before the permit, while no party that has arrived can leave; not called if the
                parties stand down.
        """
        return self._decide(permitted=True, first=first)

    def withdraw(self) -> bool:
        """Have the parties stand down. Return False if the permit came before."""
        return self._decide(permitted=False)

    def __call__(self) -> None:
        self._clock.wait_until(self._give_up_ns, self._decided)
        self.withdraw()  # has no effect after a permit; without one, it is too late now
        if self._permitted:
            self._clock.hold_until(self.release_at_ns - LEAVE_NS, longest_ns=LONGEST_NS)

    def until_t(self) -> None:
        """
        Wait until T if the parties may start; otherwise return at once. Call this once, after the Barrier's
        action.
        """
        if self._permitted and self._clock.hold_until(self.release_at_ns - RECHECK_NS, longest_ns=LONGEST_NS):
            self._recheck()
            wait = self._clock.hold_until if self._spins else self._clock.sleep_until
            if wait(self.release_at_ns, longest_ns=LONGEST_NS):
                # A process that was paused through T wakes up late: the parties compare this with their
                # grace time.
                self.released_at_ns = self._clock.wall_ns()

    def _decide(self, *, permitted: bool, first: Callable[[], None] | None = None) -> bool:
        with self._lock:
            if self._decided.is_set():
                return self._permitted is permitted
            if first is not None:
                first()
            self._permitted = permitted
            self._decided.set()
            return True
