"""Run one shard: start its parties, report when all have armed, release them, report when all are done."""

import contextlib
import threading
import traceback
from collections.abc import Callable, Sequence

from scheduler.clock import Clock
from scheduler.instants import MS, SECOND
from scheduler.release import priority
from scheduler.release.hold import Hold
from scheduler.release.latch import Latch
from scheduler.release.party import Party

#: Until this long after T the parties start one after another; then all that are left start at once. If all woke up at T, they
#: would contend for the GIL, and the last of a hundred would start twice as late. If all had to wait for their turn, a function
#: that computes would delay every one after it.
_IN_TURN_NS = 4 * MS


class ShardRun:
    """
    One shard in this process. Each shard has its own Barrier and parties, so that shards may overlap in time.

    Args:
        t_ns: T, wall clock, nanoseconds since the Unix epoch.
        deadline_ns: By then every party is at the barrier.
        give_up_ns: Without a permit by then, the parties stand down.
        parties: At least one.
        realtime: The thread that holds takes a real-time priority shortly before T. It gives the priority back at the release,
            before it goes on as a party: no code of a user runs with it.
        spins: Whether the hold spins for the last two milliseconds.
        on_armed: Called once, when the last party is at the barrier.
        on_out: Called once, when the last party has started or will not start.
        on_ended: Called once, when the last party is done.

    The callbacks run on the thread of that last party.
    """

    def __init__(
        self,
        *,
        t_ns: int,
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
        self.hold = Hold(t_ns=t_ns, give_up_ns=give_up_ns, clock=clock, last_look=self._last_look, spins=spins)
        self.parties = parties
        self._deadline_ns = deadline_ns
        self._realtime = realtime
        self._clock = clock
        self._barrier: threading.Barrier
        self._is_started = threading.Event()
        self._turns = Latch()  #: opened at the end of the hold; the parties leave it one after another
        self._is_over = threading.Event()  #: set at the end of the hold, for those that do not wait for their turn
        self._lock = threading.Lock()
        self._present: set[Party] = set()
        self._stood_in_for: set[Party] = set()
        self._errors: list[Exception] = []  #: of the last look
        self._arming = Last(len(parties), on_armed)
        self._on_out = on_out
        self._going = Last(len(parties), self._out)
        self._running = Last(len(parties), on_ended)

    def start(self) -> Sequence[Party]:
        """
        Start all parties; return at once.

        Returns:
            The parties for which no thread could be started. The others do not wait for them; the caller has to call `done` for
            each.
        """
        absent: list[Party] = []
        for party in self.parties:
            try:
                party.start(self, self._deadline_ns)
            except RuntimeError:  # can't start new thread
                absent.append(party)
        self._present.update(absent)
        if len(absent) < len(self.parties):
            self._barrier = threading.Barrier(len(self.parties) - len(absent), action=self.hold)
        self._is_started.set()
        for _ in absent:
            self._arming.one_more()
            self._going.one_more()
        return absent

    def stand_in(self) -> None:
        """
        Have a thread wait at the barrier for each party that is not there. The party follows when it comes. If `start` has not
        returned, or no thread can be started now, call this again.
        """
        if not self._is_started.is_set():
            return  # a party may still turn out to have no thread, and then the barrier does not count it
        with self._lock, contextlib.suppress(RuntimeError):
            for party in self.parties:
                if party not in self._present and party not in self._stood_in_for:
                    threading.Thread(target=self._wait_instead, name=f"instead of {party.name}", daemon=True).start()
                    self._stood_in_for.add(party)

    def join(self) -> None:
        """Wait until all parties are done."""
        for party in self.parties:
            party.join()

    def meet(self, party: Party) -> int | None:
        """Have a party wait at the barrier."""
        with self._lock:
            self._present.add(party)
            is_late = party in self._stood_in_for
        if is_late:
            self._is_over.wait()
        else:
            self._wait()
        return self.hold.released_at_ns

    def gone(self, party: Party) -> None:
        """Note that a party has started, or will not start."""
        if party not in self._stood_in_for:
            self._going.one_more()

    def done(self) -> None:
        """Note that a party is done."""
        self._running.one_more()

    def _wait(self) -> None:
        self._is_started.wait()
        try:
            self._arming.one_more()
        finally:
            if self._barrier.wait() == self._barrier.parties - 1:  # the last to arrive: it already runs
                self._hold_all()
            elif not self._turns.wait(self._in_turn_s()):
                self._is_over.wait()

    def _hold_all(self) -> None:
        try:
            self.hold.until_t()
        finally:
            self._turns.open()
            self._is_over.set()
            if self._realtime:
                priority.lower_priority()

    def _in_turn_s(self) -> float:
        return max(self.hold.t_ns + _IN_TURN_NS - self._clock.wall_ns(), 0) / SECOND

    def _wait_instead(self) -> None:
        try:
            self._wait()
        finally:
            self._is_over.set()  # even if the Barrier is broken
            self._going.one_more()

    def _last_look(self) -> None:
        if self._realtime:
            priority.raise_priority(priority.HOLDING)
        for party in self.parties:
            try:
                party.last_look()
            except Exception as error:  # noqa: BLE001  one that cannot look must not keep the others from starting
                self._errors.append(error)

    def _out(self) -> None:
        self._on_out()
        for error in self._errors:  # not before: nobody may be reading stderr, and the parties would wait for it
            with contextlib.suppress(Exception):
                traceback.print_exception(error)


class Last:
    """Counts down; calls `then` on the thread that counts to zero. Thread-safe."""

    def __init__(self, count: int, then: Callable[[], None]) -> None:
        self._left = count
        self._then = then
        self._lock = threading.Lock()

    def one_more(self) -> None:
        """Count down by one."""
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._then()
