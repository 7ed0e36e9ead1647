"""Run one shard: start its parties, report when all have armed, release them, report when all are done."""

import contextlib
import threading
import traceback
from collections.abc import Callable, Sequence

from tminus.clock import Clock
from tminus.instants import MS, SECOND
from tminus.release import priority
from tminus.release.hold import Hold
from tminus.release.latch import Latch
from tminus.release.party import Party

#: Until this long after T the parties start one after another. Then all that are left start at once. If all
#: woke up at T, they would contend for the GIL, and the last of a hundred would start twice as late. If all
#: had to wait for their turn, a function that computes would delay all parties after it.
_IN_TURN_NS = 4 * MS


class ShardRun:
    """
    One shard in this process. Each shard has its own Barrier and parties, so that shards may overlap in time.

    Args:
        release_at_ns: T, wall clock, nanoseconds since the Unix epoch.
        deadline_ns: By then every party is at the barrier.
        give_up_ns: Without a permit by then, the parties stand down.
        parties: At least one.
        realtime: Whether the thread that holds takes a real-time priority shortly before T. It gives the
            priority back at the release, before it continues as a party. No code of a user runs with it.
        spins: Whether the hold spins for the last two milliseconds.
        on_armed: Called once, when the last party is at the barrier.
        on_out: Called once, when the last party has started or will not start. A party that has a stand-in
            does not count, but its stand-in does.
        on_ended: Called once, when the last party is done.

    Each callback runs on the thread that counts last: that of a party, of a stand-in, or the caller of
    `start`.
    """

    def __init__(
        self,
        *,
        release_at_ns: int,
        deadline_ns: int,
        give_up_ns: int,
        parties: Sequence[Party],
        clock: Clock,
        on_armed: Callable[[], None],
        on_out: Callable[[], None],
        on_ended: Callable[[], None],
        realtime: bool = False,
        spins: bool = True,
    ) -> None:
        self.hold = Hold(
            release_at_ns=release_at_ns,
            give_up_ns=give_up_ns,
            clock=clock,
            recheck=self._raise_priority_and_recheck,
            spins=spins,
        )
        self.parties = parties
        self._deadline_ns = deadline_ns
        self._realtime = realtime
        self._clock = clock
        self._barrier: threading.Barrier
        self._is_started = threading.Event()
        self._turns = Latch()  #: opened at the end of the hold; the parties leave it one after another
        #: Set at the end of the hold, for the parties that do not wait for their turn.
        self._is_hold_over = threading.Event()
        self._lock = threading.Lock()
        self._arrived: set[Party] = set()
        self._replaced: set[Party] = set()  #: another thread waits at the barrier for these
        self._errors: list[Exception] = []  #: raised by `recheck`
        self._hold_error: Exception | None = None
        self._on_out = on_out
        self._until_armed = CountDown(len(parties), on_armed)
        self._until_out = CountDown(len(parties), self._out)
        self._until_ended = CountDown(len(parties), on_ended)

    def start(self) -> Sequence[Party]:
        """
        Start all parties; return at once.

        Returns:
            The parties for which no thread could be started. The others do not wait for them. The caller has
            to call `report_ended` for each of them.
        """
        absent: list[Party] = []
        for party in self.parties:
            try:
                party.start(self, self._deadline_ns)
            except RuntimeError:  # can't start new thread
                absent.append(party)
        self._arrived.update(absent)
        if len(absent) < len(self.parties):
            self._barrier = threading.Barrier(len(self.parties) - len(absent), action=self.hold)
        self._is_started.set()
        for _ in absent:
            self._until_armed.count_down()
            self._until_out.count_down()
        return absent

    def stand_in(self) -> None:
        """
        Start a thread that waits at the barrier in place of each party that has not arrived. The party starts
        when it arrives. If `start` has not returned, or no thread can be started now, call this again.
        """
        if not self._is_started.is_set():
            return  # perhaps no thread can be started for some party, and then the barrier does not count it
        with self._lock, contextlib.suppress(RuntimeError):
            for party in self.parties:
                if party not in self._arrived and party not in self._replaced:
                    threading.Thread(
                        target=self._wait_instead, name=f"instead of {party.name}", daemon=True
                    ).start()
                    self._replaced.add(party)

    def wait_at_barrier(self, party: Party) -> int | None:
        """
        Have a party wait at the barrier, and then until T.

        Returns:
            The wall clock after the hold; None if the party must not start.

        Raises:
            RuntimeError: the hold broke.
        """
        with self._lock:
            self._arrived.add(party)
            is_replaced = party in self._replaced
        if is_replaced:
            self._is_hold_over.wait()
        else:
            self._wait()
        if self._hold_error is not None:
            error = self._hold_error
            raise RuntimeError(f"the hold broke: {type(error).__name__}: {error}") from error
        return self.hold.released_at_ns

    def report_out(self, party: Party) -> None:
        """Note that a party has started, or will not start."""
        if party not in self._replaced:
            self._until_out.count_down()

    def report_ended(self) -> None:
        """Note that a party is done."""
        self._until_ended.count_down()

    def _wait(self) -> None:
        self._is_started.wait()
        try:
            self._until_armed.count_down()
        finally:
            # CPython numbers the parties as they arrive. The last one runs the action, and is already awake.
            if self._barrier.wait() == self._barrier.parties - 1:
                self._hold_all()
            elif not self._turns.wait(self._in_turn_s()):
                self._is_hold_over.wait()

    def _hold_all(self) -> None:
        try:
            self.hold.until_t()
        except Exception as error:  # noqa: BLE001  each party reports it, as the reason why it did not start
            self._hold_error = error
        finally:
            self._turns.open()
            self._is_hold_over.set()
            if self._realtime:
                priority.lower_priority()

    def _in_turn_s(self) -> float:
        return max(self.hold.release_at_ns + _IN_TURN_NS - self._clock.wall_ns(), 0) / SECOND

    def _wait_instead(self) -> None:
        try:
            self._wait()
        finally:
            self._is_hold_over.set()  # even if the Barrier is broken
            self._until_out.count_down()

    def _raise_priority_and_recheck(self) -> None:
        if self._realtime:
            priority.raise_priority(priority.HOLDING)
        for party in self.parties:
            try:
                party.recheck()
            except Exception as error:  # noqa: BLE001  the other parties start all the same
                self._errors.append(error)

    def _out(self) -> None:
        self._on_out()
        # Not earlier: if nobody reads stderr, the parties would wait for it.
        for error in self._errors:
            with contextlib.suppress(Exception):
                traceback.print_exception(error)


class CountDown:
    """Calls `then` on the thread that counts to zero. Thread-safe."""

    def __init__(self, count: int, then: Callable[[], None]) -> None:
        self._left = count
        self._then = then
        self._lock = threading.Lock()

    def count_down(self) -> None:
        """Count one party."""
        with self._lock:
            self._left -= 1
            is_last = self._left == 0
        if is_last:
            self._then()
