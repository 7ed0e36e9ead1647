"""One batch, from its claim to its last outcome, on a thread of its own: the order of the phases (ARCHITECTURE.md), no more."""

import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import structlog

from scheduler.daemon.admission import withdrawn
from scheduler.daemon.channels import Times
from scheduler.daemon.endings import Endings
from scheduler.daemon.flight import HANGS_NS, Flight, is_of_runner, joined
from scheduler.daemon.preparation import Preparation
from scheduler.daemon.redaction import Redaction
from scheduler.daemon.render import CannotRender
from scheduler.daemon.shards import Broken, Lost, Shard, ShardEvent, Unsendable
from scheduler.daemon.station import Station
from scheduler.errors import LedgerError
from scheduler.executors.http import wire as http_wire
from scheduler.executors.python import wire as python_wire
from scheduler.instants import MS, SECOND, rfc3339
from scheduler.ledger import claims
from scheduler.model.batch import Due, Release
from scheduler.model.job import HttpTarget
from scheduler.policies.lead import commit_before

log = structlog.get_logger()

Result = TypeVar("Result")

#: What a lane does between the end of arming and the barrier.
_ARM_MARGIN_NS = 50 * MS
_LEDGER_RETRY_S = 0.2
#: Between two looks at whether the process is to end.
_SLICE_NS = 100 * MS
#: After T, until the recorder may write again where no answer has come yet.
_OUT_NS = 200 * MS
_TOO_LATE = "let go later than its misfire_grace_time"


class Countdown:
    """
    Runs the dues of one T.

    Args:
        station: Of this process.
        planned_at_ns: T, wall clock, nanoseconds since the Unix epoch.
        dues: Not empty.
        ended: Called once, on the countdown's thread, when all is over.
    """

    def __init__(
        self, station: Station, *, planned_at_ns: int, dues: Sequence[Due], ended: Callable[["Countdown"], None]
    ) -> None:
        self.planned_at_ns = planned_at_ns
        self.jobs = len(dues)
        self.claim_and_arm_ns: int | None = None
        self._station = station
        self._clock = station.clock
        self._settings = station.definitions.daemon
        self._dues = dues
        self._ended = ended
        self._last_start_ns = planned_at_ns + max(due.job.misfire_grace_ns for due in dues)
        self._longest_ns = max(due.job.timeouts.total_ns for due in dues)
        self._flights: list[Flight] = []
        self._events: queue.SimpleQueue[tuple[Flight, Shard, ShardEvent]] = queue.SimpleQueue()
        self._began_ns = self._armed_from_ns = self._commit_at_ns = 0
        self._leave = threading.Event()
        self._abandon = threading.Event()
        self._endings = Endings(station, planned_at_ns=planned_at_ns, history=self._settings.history)
        self._preparation = Preparation(
            station, self._endings, planned_at_ns=planned_at_ns, last_start_ns=self._last_start_ns, tell=self._hear
        )
        self._thread = threading.Thread(target=self._run, name=f"countdown {rfc3339(planned_at_ns)}", daemon=True)

    def __repr__(self) -> str:
        return f"<Countdown {rfc3339(self.planned_at_ns)} [{len(self._outstanding)} of {self.jobs} outstanding]>"

    def start(self) -> None:
        """Begin with the claim."""
        self._thread.start()

    def leave(self) -> None:
        """Withdraw before the commit: the claim stays as it is, and the next start decides. No effect after the commit."""
        self._leave.set()

    def abandon(self) -> None:
        """Wait no longer for answers: what has none is `unknown`. Before the commit the same as `leave`."""
        self._leave.set()
        self._abandon.set()

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for the end, at most that long."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._began_ns = self._clock.monotonic_ns()
            release = self._claim()
            if release is not None:
                self._render(release)
            if release is not None and self._outstanding and self._hold() and self._commit(release):
                self._drain()
        except Exception:
            log.exception("countdown broke", planned_at=rfc3339(self.planned_at_ns))
            for flight in self._all_flights:
                self._endings.lost(flight, "the countdown broke")
        finally:
            self._station.gate.release(self)
            self._endings.say()
            self._ended(self)

    def _claim(self) -> Release | None:
        """Nothing is released that is not written down."""
        ledger, instance = self._station.ledger, self._station.instance
        claim = self._insist(lambda: claims.claim(ledger, self._dues, planned_at_ns=self.planned_at_ns, instance=instance))
        if claim is None and not self._leave.is_set():
            self._endings.missed(self._dues, "the ledger could not be written in time")
        return claim

    def _render(self, release: Release) -> None:
        """Templates and secrets are put in; a job that breaks here fails, the others go on."""
        renderer = self._station.renderer()
        for index, due in enumerate(due for due in self._dues if due.id in release.claimed):
            try:
                work, redaction = renderer.render(due, index), Redaction(renderer.secrets(due))
                if not self._preparation.takes(due, work, redaction):
                    executor = partial(self._station.executors.of, due.job.target)
                    joined(self._flights, executor, clock=self._clock, tell=self._hear).add(index, due, work, redaction)
            except CannotRender as error:
                self._endings.not_sent(due, error.message)

    def _hear(self, flight: Flight, shard: Shard, event: ShardEvent) -> None:
        self._events.put((flight, shard, event))

    @property
    def _all_flights(self) -> list[Flight]:
        return sorted([*self._flights, *self._preparation.flights], key=is_of_runner)

    @property
    def _outstanding(self) -> list[Due]:
        return [due for flight in self._all_flights for due in flight.outstanding.values()]

    def _hold(self) -> bool:
        """Arm, again where an executor dies, and wait for the commit; False where the process is to end before."""
        self._commit_at_ns = self._commit_by(self._clock.wall_ns())
        self._preparation.start(self._commit_at_ns)
        for flight in sorted(self._flights, key=is_of_runner):  # to encode Python jobs takes longer
            self._arm(flight)
        while not self._leave.is_set() and self._outstanding:
            self._see_to_preparation()
            now_ns = self._clock.wall_ns()
            armed = [flight for flight in self._flights if flight.is_armed and flight.outstanding]
            # Whoever is not ready by then follows as soon as it is: nobody waits for another executor.
            if (armed and now_ns >= self._commit_at_ns) or now_ns > self._last_start_ns:
                return True
            for flight in self._flights:
                if not flight.is_armed:
                    flight.replace_if_it_hangs()
            match self._next_event(self._commit_at_ns if armed else None):
                case flight, (http_wire.Armed() | python_wire.Armed()) as report:
                    flight.is_armed = True
                    if all(each.is_armed for each in self._all_flights if each.outstanding):
                        self.claim_and_arm_ns = self._armed_from_ns - self._began_ns + report.took_ns
                case flight, Lost() if flight.outstanding:
                    self._commit_at_ns = self._commit_by(self._clock.wall_ns())
                    self._arm(flight)
                case flight, Broken(why=why):
                    self._endings.broken(flight, why)
                case flight, (http_wire.Ended() | python_wire.Ended()):
                    self._endings.late(flight, _TOO_LATE)  # its parties no longer wait for a permit; those of other flights do
        for flight in self._all_flights:
            flight.withdraw()
        return False

    def _commit_by(self, now_ns: int) -> int:
        """When to commit, by the time that is left."""
        return self.planned_at_ns - commit_before(self.planned_at_ns - now_ns)

    def _see_to_preparation(self) -> None:
        """What Python has prepared is armed, together where it is in time; nobody else waits for a slow one."""
        self._preparation.look()
        if self._events.empty() and (flight := self._preparation.take()):
            self._flights.append(flight)
            self._arm(flight)
            self.claim_and_arm_ns = self._armed_from_ns - self._began_ns  # the next lead leaves time for it

    def _arm(self, flight: Flight) -> None:
        now_ns = self._clock.wall_ns()
        left_ns = self.planned_at_ns - now_ns
        commit_at_ns = self._commit_at_ns if now_ns < self._commit_at_ns else self._commit_by(now_ns)
        self._armed_from_ns = self._clock.monotonic_ns()
        times = Times(
            t_ns=self.planned_at_ns,
            deadline_ns=commit_at_ns - min(_ARM_MARGIN_NS, max(left_ns, 0) // 20),
            give_up_ns=max(self._last_start_ns, now_ns) + HANGS_NS,
            beside_requests=any(isinstance(due.job.target, HttpTarget) for due in self._dues),
        )
        try:
            flight.arm(times, self._settings)
        except CannotRender as error:  # a reload has taken its application away
            self._endings.broken(flight, error.message)

    def _commit(self, release: Release) -> bool:
        """Here, and not before, it is decided who starts; False where nobody does."""
        if self._clock.wall_ns() > self._last_start_ns:
            self._send_home(_TOO_LATE)
            return False
        decided = withdrawn(self._station, self._outstanding)
        ledger, now_ns = self._station.ledger, self._clock.wall_ns
        may_start = self._insist(lambda: claims.commit(ledger, release, withdrawn=decided, now_ns=now_ns()))
        if may_start is None:
            self._send_home("it could not be written down in time that it starts")
            return False
        self._station.gate.shut_around(self, self.planned_at_ns)
        for flight in self._all_flights:
            for index in [index for index, due in flight.outstanding.items() if due.id not in may_start]:
                self._station.running.end(flight.outstanding.pop(index).id)
            if flight.is_armed:
                self._release(flight)
        self._endings.withdrawn(decided)
        return bool(self._outstanding)

    def _release(self, flight: Flight) -> None:
        flight.release(ends_in_ns=max(self._last_start_ns - self._clock.wall_ns(), 0) + self._longest_ns)

    def _drain(self) -> None:
        """Take in what comes back, until all have an outcome."""
        while self._outstanding:
            if self._clock.wall_ns() > self.planned_at_ns + _OUT_NS:
                self._station.gate.release(self)
            if self._abandon.is_set():
                self._preparation.abandon()
                for flight in self._flights:
                    self._endings.lost(flight, "tminus was stopped before an answer came (shutdown_grace)")
            self._see_to_preparation()
            for flight in self._flights:
                if not flight.is_released:  # its executor has not come up until now
                    self._endings.too_late(flight, _TOO_LATE)
                if flight.outstanding:
                    flight.replace_if_it_hangs()
                elif not flight.is_released:
                    flight.withdraw()
            match self._next_event():
                case flight, (http_wire.Results() | python_wire.Results()) as report:
                    self._endings.finished(flight, report.finished)
                case flight, Lost() as lost:
                    self._go_on_after(flight, lost)
                case flight, Broken(why=why):
                    self._endings.broken(flight, why)
                case flight, (http_wire.Armed() | python_wire.Armed()) if not flight.is_released:
                    self._release(flight)
                case flight, (http_wire.Ended(released=False) | python_wire.Ended(released=False)):
                    self._endings.late(flight, _TOO_LATE)
                case flight, (http_wire.Ended() | python_wire.Ended()):
                    self._endings.lost(flight, "the executor has not said how it went")

    def _go_on_after(self, flight: Flight, lost: Lost) -> None:
        """An executor died: what it cannot have started goes to the fresh one, what it may have started is unknown."""
        was_released = flight.is_released and lost.at_ns >= self.planned_at_ns  # nothing starts before T
        if was_released:
            why = f"the executor process died after the release ({lost.how})"
            self._endings.lost(flight, why, lost.entered)
        if flight.outstanding and self._clock.wall_ns() > self._last_start_ns:
            self._endings.late(flight, _TOO_LATE)
        elif flight.outstanding:
            self._arm(flight)

    def _send_home(self, why: str) -> None:
        """Nobody starts: `missed`, or left to the next start where this process is to end."""
        self._preparation.look()
        for flight in self._all_flights:
            flight.withdraw()
            if not self._leave.is_set():
                self._endings.late(flight, why)

    def _next_event(self, until_ns: int | None = None) -> tuple[Flight, ShardEvent] | None:
        """What an executor says next; None then, or after a while, for a look at the clock."""
        untils = (until_ns, self._preparation.take_at_ns)
        wait_ns = min([_SLICE_NS, *(until - self._clock.wall_ns() for until in untils if until is not None)])
        try:
            flight, shard, event = self._events.get(timeout=max(wait_ns, 0) / SECOND)
        except queue.Empty:
            return None
        if isinstance(event, Unsendable) and flight.is_of(shard):
            event = self._endings.unsendable(flight, event.works)
        return (flight, event) if flight.is_of(shard) and not self._preparation.hear(flight, event) else None

    def _insist(self, action: Callable[[], Result]) -> Result | None:
        """Do it on the ledger, again while there is time; None where it did not work until then."""
        while True:
            try:
                return action()
            except LedgerError as error:
                log.error("the ledger does not work, trying again", planned_at=rfc3339(self.planned_at_ns), error=error.message)
                if self._clock.wall_ns() > self._last_start_ns or self._leave.wait(_LEDGER_RETRY_S):
                    return None
