"""A party: a thread that waits at the barrier; a lane, or the thread of one Python job."""

import threading
from abc import ABC, abstractmethod
from typing import Protocol


class Rendezvous(Protocol):
    """The shard as a party sees it. Each method is called exactly once, whatever happens."""

    def meet(self, party: "Party") -> int | None:
        """Wait at the barrier: armed, unarmed or broken. Return the wall clock after the hold, or None if nothing may start."""

    def gone(self, party: "Party") -> None:
        """Note that the party has started, or will not start."""

    def done(self) -> None:
        """Note that the party is done."""


class Party(ABC):
    """
    Arms before T, starts at T, drains after T, on a named thread of its own, which `ShardRun` starts and joins.

    Whatever happens before the barrier, the party comes to the barrier: an absent party would hold up the whole shard.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._thread: threading.Thread | None = None

    @abstractmethod
    def arm(self, deadline_ns: int) -> None:
        """Prepare to start, and return by the deadline (wall clock), ready or not."""

    @abstractmethod
    def last_look(self) -> None:
        """Check what was armed. Called shortly before T, on the thread that holds, while the other parties wait."""

    @abstractmethod
    def go(self, released_at_ns: int) -> None:
        """Start. `released_at_ns` is the wall clock after the hold."""

    @abstractmethod
    def go_home(self) -> None:
        """Give up what was armed without starting it: it was withdrawn, or no permit came."""

    @abstractmethod
    def drain(self) -> None:
        """Run what was started to its end."""

    @abstractmethod
    def give_up(self, error: BaseException) -> None:
        """Report what is not reported yet: an unforeseen error has ended this party."""

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
        except BaseException as error:  # noqa: BLE001  the outermost frame: what is not reported yet is not lost
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
