"""One batch, from its claim to its last outcome, on a thread of its own: the order of the phases (ARCHITECTURE.md), no more."""

import queue
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

from scheduler.daemon.admission import claim, decide
from scheduler.daemon.dispatching import TOO_LATE, Dispatching
from scheduler.daemon.endings import Endings
from scheduler.daemon.flight import Flight, is_of_runner
from scheduler.daemon.preparation import Preparation
from scheduler.daemon.redaction import Redaction
from scheduler.daemon.render import CannotRender, Renderer
from scheduler.daemon.shards import Shard, ShardEvent, Unsendable
from scheduler.daemon.station import Station
from scheduler.errors import LedgerError, Refused
from scheduler.executors.http import wire as http_wire
from scheduler.executors.python import wire as python_wire
from scheduler.instants import MS, SECOND, rfc3339
from scheduler.ledger import claims
from scheduler.ledger.rows import new_row
from scheduler.model.batch import Decided, Due, Release
from scheduler.model.occurrence import OccurrenceId

log = structlog.get_logger()

Result = TypeVar("Result")

_LEDGER_RETRY_S = 0.2
#: Between two looks at whether the process is to end.
_SLICE_NS = 100 * MS
#: This long after T the recorder may write again, though no response has come yet.
_OUT_NS = 200 * MS


class Countdown:
    """
    Runs the due occurrences of one T.

    Args:
        station: What all countdowns of this process share.
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
        self._events: queue.SimpleQueue[tuple[Flight, Shard, ShardEvent, int]] = queue.SimpleQueue()
        self._began_ns = 0
        self._token = uuid.uuid4().hex
        self._leave = threading.Event()
        self._abandon = threading.Event()
        self._endings = Endings(station, planned_at_ns=planned_at_ns, dues=dues, history=self._settings.history)
        times = {"planned_at_ns": planned_at_ns, "last_start_ns": self._last_start_ns}
        self._dispatching = Dispatching(station, self._endings, dues=dues, **times, tell=self._hear)
        self._preparation = Preparation(station, self._endings, **times, tell=self._hear)
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
        except Exception as error:
            log.exception("countdown broke", planned_at=rfc3339(self.planned_at_ns))
            self._break_off(error)
        finally:
            try:
                self._station.gate.release(self)
                for flight in self._all_flights:
                    flight.end_if_apart(at_once=True)
                self._endings.say()
            finally:
                self._ended(self)

    def _break_off(self, error: Exception) -> None:
        """The last resort: each job of the batch gets an outcome, and what was not released does not become `unknown`."""
        self._endings.break_off_all("the countdown", error, released=self._dispatching.released)
        for flight in self._all_flights:
            flight.withdraw()

    def _claim(self) -> Release | None:
        """Claim the batch, because nothing is released that has no row. Return None if nothing could be claimed."""
        try:
            release = self._insist(lambda: self._claim_all(self._dues))
        except Exception:
            log.exception("a batch cannot be claimed, leaving out what breaks it", planned_at=rfc3339(self.planned_at_ns))
            for due in self._dues:
                with self._endings.guard("claiming", due):
                    new_row(due)
            release = self._insist(lambda: self._claim_all([due for due in self._dues if self._endings.is_open(due)]))
        if release is not None:
            self._endings.keep(release.claimed)
        elif not self._leave.is_set():
            self._endings.missed(self._dues, "the ledger could not be written in time")
        return release

    def _claim_all(self, dues: Sequence[Due]) -> Release:
        return claim(self._station, dues, planned_at_ns=self.planned_at_ns, token=self._token)

    def _render(self, release: Release) -> None:
        """Put in templates and secrets; a job that raises here fails, and the others go on."""
        renderer = self._station.renderer()
        for index, due in enumerate(due for due in self._dues if due.id in release.claimed):
            with self._endings.guard("rendering", due):
                self._render_one(renderer, index, due)
        self._drop_ended()

    def _render_one(self, renderer: Renderer, index: int, due: Due) -> None:
        try:
            work, redaction = renderer.render(due, index), Redaction(renderer.secrets(due))
            if not self._preparation.takes(due, work, redaction):
                self._dispatching.add(index, due, work, redaction)
        except CannotRender as error:
            self._endings.not_sent(due, error.message)

    def _drop_ended(self) -> None:
        for flight in self._all_flights:
            flight.outstanding = {index: due for index, due in flight.outstanding.items() if self._endings.is_open(due)}

    def _hear(self, flight: Flight, shard: Shard, event: ShardEvent) -> None:
        self._events.put((flight, shard, event, self._clock.monotonic_ns()))

    @property
    def _all_flights(self) -> list[Flight]:
        return sorted([*self._dispatching.flights, *self._preparation.flights], key=is_of_runner)

    @property
    def _outstanding(self) -> list[Due]:
        return [due for flight in self._all_flights for due in flight.outstanding.values()]

    def _hold(self) -> bool:
        """Arm all parts, again if an executor dies, and wait for the commit. Return False if there is nothing to commit."""
        parts = self._dispatching
        parts.plan_commit()
        self._preparation.start(parts.commit_at_ns)
        for flight in sorted(parts.flights, key=is_of_runner):  # to encode Python jobs takes longer
            parts.arm(flight)
        while not self._leave.is_set() and self._outstanding:
            self._see_to_preparation()
            now_ns = self._clock.wall_ns()
            armed = [flight for flight in parts.flights if flight.is_armed and flight.outstanding]
            # A part whose executor is not ready by then follows later: no part waits for another one's executor.
            if (armed and now_ns >= parts.commit_at_ns) or now_ns > self._last_start_ns:
                return True
            for flight in parts.flights:
                if not flight.is_armed:
                    flight.replace_if_it_hangs()
            if heard := self._next_event(parts.commit_at_ns if armed else None):
                flight, event, _ = heard
                with parts.guard(flight, "arming"):
                    parts.hear_before_commit(flight, event)
                if isinstance(event, http_wire.Armed | python_wire.Armed) and self._are_all_armed():
                    self.claim_and_arm_ns = parts.armed_from_ns - self._began_ns + event.took_ns
        for flight in self._all_flights:
            flight.withdraw()
        return False

    def _are_all_armed(self) -> bool:
        return all(flight.is_armed for flight in self._all_flights if flight.outstanding)

    def _see_to_preparation(self) -> None:
        """Arm the requests that Python has prepared: together if all are ready in time, and without the slow ones otherwise."""
        self._preparation.look()
        if self._events.empty() and (flight := self._preparation.take()):
            self._dispatching.flights.append(flight)
            self._dispatching.arm(flight)
            self.claim_and_arm_ns = self._dispatching.armed_from_ns - self._began_ns  # the next lead leaves time for it

    def _commit(self, release: Release) -> bool:
        """Decide, here and not before, which occurrences start. Return False if none does."""
        if self._clock.wall_ns() > self._last_start_ns:
            self._send_home(TOO_LATE)
            return False
        decided: list[Decided] = []
        for due in self._outstanding:
            with self._endings.guard("admission", due):
                if (one := decide(self._station, due)) is not None:
                    decided.append(one)
        may_start = self._write_commit(release, decided)
        if may_start is None:
            self._send_home("it could not be written down in time that it starts")
            return False
        self._station.gate.shut_around(self, self.planned_at_ns)
        self._drop_ended()
        for flight in self._all_flights:
            for index in [index for index, due in flight.outstanding.items() if due.id not in may_start]:
                self._station.running.end(flight.outstanding.pop(index).id)
            if flight.is_armed:
                self._dispatching.release(flight)
        self._endings.withdrawn(decided)
        self._endings.keep(may_start)
        return bool(self._outstanding)

    def _write_commit(self, release: Release, decided: Sequence[Decided]) -> frozenset[OccurrenceId] | None:
        """Return the occurrences that may start; None if the commit could not be written in time."""

        def commit(withdrawn: Sequence[Decided]) -> frozenset[OccurrenceId]:
            return claims.commit(self._station.ledger, release, withdrawn=withdrawn, now_ns=self._clock.wall_ns())

        try:
            return self._insist(lambda: commit(decided))
        except Exception:
            if not decided:
                raise
            log.exception("decisions of a batch cannot be written with its commit", planned_at=rfc3339(self.planned_at_ns))
            self._endings.not_committed(decided)
            return self._insist(lambda: commit(()))

    def _drain(self) -> None:
        """Handle the reports of the executors until all occurrences have an outcome."""
        while self._outstanding:
            if self._clock.wall_ns() > self.planned_at_ns + _OUT_NS:
                self._station.gate.release(self)
            if self._abandon.is_set():
                self._preparation.abandon()
                self._dispatching.abandon()
            self._see_to_preparation()
            self._dispatching.look()
            if heard := self._next_event():
                flight, event, heard_monotonic_ns = heard
                with self._dispatching.guard(flight, "draining"):
                    self._dispatching.hear(flight, event, heard_monotonic_ns=heard_monotonic_ns)

    def _send_home(self, why: str) -> None:
        """Start nothing: all are `missed`, or left to the next start if this process is to end."""
        self._preparation.look()
        for flight in self._all_flights:
            flight.withdraw()
            if not self._leave.is_set():
                self._endings.late(flight, why)

    def _next_event(self, until_ns: int | None = None) -> tuple[Flight, ShardEvent, int] | None:
        """Return the next event of an executor, and when it came; None at that instant, or after a while without an event."""
        untils = (until_ns, self._preparation.take_at_ns)
        wait_ns = min([_SLICE_NS, *(until - self._clock.wall_ns() for until in untils if until is not None)])
        try:
            flight, shard, event, heard_monotonic_ns = self._events.get(timeout=max(wait_ns, 0) / SECOND)
        except queue.Empty:
            return None
        if not flight.is_of(shard):
            return None
        with self._dispatching.guard(flight, "preparing"):
            if isinstance(event, Unsendable):
                event = self._endings.unsendable(flight, event.works)
            if self._preparation.hear(flight, event):
                return None
        return flight, event, heard_monotonic_ns

    def _insist(self, action: Callable[[], Result]) -> Result | None:
        """Return the result of the action on the ledger, which is retried while there is time; None if it never succeeds."""
        while True:
            try:
                return action()
            except Refused:
                raise
            except LedgerError as error:
                log.error("the ledger does not work, trying again", planned_at=rfc3339(self.planned_at_ns), error=error.message)
                if self._clock.wall_ns() > self._last_start_ns or self._leave.wait(_LEDGER_RETRY_S):
                    return None
