"""A party: a thread that waits at the barrier; a lane, or the thread of one Python job."""

import threading
from abc import ABC, abstractmethod
from typing import Protocol


class Rendezvous(Protocol):
    """What a party needs of its shard. Each method is called exactly once, whatever happens."""

    def meet(self, party: "Party") -> int | None:
        """Armed, unarmed or broken: wait at the barrier. The wall clock after the hold, or None: do not start."""

    def gone(self, party: "Party") -> None:
        """Started, or never will."""

    def done(self) -> None:
        """Nothing is left to do."""


class Party(ABC):
    """
    Arms before T, goes at T, drains after T; each on its own named thread, which `Shard` starts and joins.

    Every way out before the barrier leads to the barrier: one absent party would hold the whole shard.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._thread: threading.Thread | None = None

    @abstractmethod
    def arm(self, deadline_ns: int) -> None:
        """Get ready to start, and return by the deadline (wall clock), ready or not."""

    @abstractmethod
    def last_look(self) -> None:
        """Shortly before T, on the thread that holds while all parties wait: does what was armed still stand?"""

    @abstractmethod
    def go(self, released_at_ns: int) -> None:
        """Start: nothing is left to do but to let go. `released_at_ns` is the wall clock after the hold."""

    @abstractmethod
    def go_home(self) -> None:
        """Withdrawn, or no permit came: give up what was armed without starting it."""

    @abstractmethod
    def drain(self) -> None:
        """See what was started through to its end."""

    @abstractmethod
    def give_up(self, error: BaseException) -> None:
        """A bug ended this party: report what it still owes."""

    def start(self, shard: Rendezvous, deadline_ns: int) -> None:
        """Start the thread; `deadline_ns` is for `arm`, wall clock."""
        self._thread = threading.Thread(target=self._run, args=(shard, deadline_ns), name=self.name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the thread's end."""
        if self._thread is not None:
            self._thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self, shard: Rendezvous, deadline_ns: int) -> None:
        try:
            if self._was_let_go(shard, deadline_ns):
                self.drain()
            else:
                self.go_home()
        except BaseException as error:  # noqa: BLE001  the outermost frame: what it owes is reported, not lost
            self.give_up(error)
        finally:
            shard.done()

    def _was_let_go(self, shard: Rendezvous, deadline_ns: int) -> bool:
        try:
            try:
                self.arm(deadline_ns)
            finally:
                released_at_ns = shard.meet(self)
            if released_at_ns is not None:
                self.go(released_at_ns)
            return released_at_ns is not None
        finally:
            shard.gone(self)
