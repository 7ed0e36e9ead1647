"""A party: a thread that waits at the barrier; a lane, or the thread of one Python job."""

import threading
from abc import ABC, abstractmethod
from typing import Protocol


class PartyCallbacks(Protocol):
    """The shard as a party sees it. Each method is called exactly once, whatever happens."""

    def wait_at_barrier(self, party: "Party") -> int | None:
        """
        Wait at the barrier, whether the party is armed, unarmed or broken. Return the wall clock after the
        hold; None if nothing may start.
        """

    def report_out(self, party: "Party") -> None:
        """Note that the party has started, or will not start."""

    def report_ended(self) -> None:
        """Note that the party is done."""


class Party(ABC):
    """
    Arms before T, starts at T and drains after T, on a named thread of its own, which `ShardRun`
    starts.

    The party always arrives at the barrier, whatever happens before: an absent party would block its shard.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def arm(self, deadline_ns: int) -> None:
        """Prepare to start, and return by the deadline (wall clock), ready or not."""

    @abstractmethod
    def recheck(self) -> None:
        """
        Check what was armed. Called shortly before T, on the thread that holds, while the other parties wait.
        """

    @abstractmethod
    def release(self, released_at_ns: int) -> None:
        """Start what is armed. `released_at_ns` is the wall clock after the hold."""

    @abstractmethod
    def stand_down(self) -> None:
        """Give up what is armed without starting it: it was withdrawn, or no permit came."""

    @abstractmethod
    def drain(self) -> None:
        """Run what is started to its end."""

    @abstractmethod
    def report_failure(self, error: BaseException) -> None:
        """Report what is not reported yet, because an unforeseen error has ended this party."""

    def start(self, shard: PartyCallbacks, deadline_ns: int) -> None:
        """Start the thread; `deadline_ns` is for `arm`, wall clock."""
        threading.Thread(target=self._run, args=(shard, deadline_ns), name=self.name, daemon=True).start()

    def _run(self, shard: PartyCallbacks, deadline_ns: int) -> None:
        try:
            if self._is_released(shard, deadline_ns):
                self.drain()
            else:
                self.stand_down()
        except BaseException as error:  # noqa: BLE001  the outermost frame: the rest is reported here
            self.report_failure(error)
        finally:
            shard.report_ended()

    def _is_released(self, shard: PartyCallbacks, deadline_ns: int) -> bool:
        try:
            try:
                self.arm(deadline_ns)
            finally:
                released_at_ns = shard.wait_at_barrier(self)
            if released_at_ns is not None:
                self.release(released_at_ns)
            return released_at_ns is not None
        finally:
            shard.report_out(self)
