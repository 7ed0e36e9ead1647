"""The parts of a batch: each goes to one executor, and is armed, released and ended by itself."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from scheduler.daemon.channels import Times
from scheduler.daemon.endings import Endings
from scheduler.daemon.flight import HANGS_NS, Flight, joined
from scheduler.daemon.redaction import Redaction
from scheduler.daemon.render import CannotRender
from scheduler.daemon.shards import Broken, Lost, Shard, ShardEvent
from scheduler.daemon.station import Station
from scheduler.executors.http import wire as http_wire
from scheduler.executors.python import wire as python_wire
from scheduler.instants import MS, SECOND
from scheduler.model.batch import Due
from scheduler.model.job import HttpTarget, runner_of
from scheduler.model.occurrence import OccurrenceId
from scheduler.outcome import Cause
from scheduler.policies.lead import commit_before

#: What a lane does between the end of arming and the barrier.
_ARM_MARGIN_NS = 50 * MS
#: Jobs that were being prepared when a runner died have this long to be prepared again, even after T. They start together.
_APART_NS = 10 * SECOND
TOO_LATE = "let go later than its misfire_grace_time"


class Dispatching:
    """
    Belongs to the thread of its countdown.

    Args:
        planned_at_ns: T, wall clock.
        dues: All of the batch.
        last_start_ns: The end of the longest grace.
        tell: Called on other threads with what happens to the shards.
    """

    def __init__(
        self,
        station: Station,
        endings: Endings,
        *,
        planned_at_ns: int,
        dues: Sequence[Due],
        last_start_ns: int,
        tell: Callable[[Flight, Shard, ShardEvent], None],
    ) -> None:
        self.flights: list[Flight] = []
        self.armed_from_ns = 0
        self.commit_at_ns = 0
        self._station = station
        self._clock = station.clock
        self._settings = station.definitions.daemon
        self._endings = endings
        self._planned_at_ns = planned_at_ns
        self._last_start_ns = last_start_ns
        self._longest_ns = max(due.job.timeouts.total_ns for due in dues)
        self._has_requests = any(isinstance(due.job.target, HttpTarget) for due in dues)
        self._tell = tell
        self._t_monotonic_ns = 0

    @property
    def released(self) -> set[OccurrenceId]:
        """Occurrences that may have started, and of which nothing has been reported."""
        return {due.id for flight in self.flights if flight.is_released for due in flight.outstanding.values()}

    def add(self, index: int, due: Due, work: Any, redaction: Redaction) -> None:
        """
        Add an occurrence to the part of its executor.

        Raises:
            CannotRender: no executor runs it any more.
        """
        executor = partial(self._station.executors.of, due.job.target)
        joined(self.flights, executor, clock=self._clock, tell=self._tell).add(index, due, work, redaction)

    def plan_commit(self) -> None:
        """Choose when to commit, by the time that is left."""
        self.commit_at_ns = self._commit_by(self._clock.wall_ns())

    def arm(self, flight: Flight) -> None:
        """Send a part to its executor."""
        if not flight.outstanding:
            return
        now_ns = self._clock.wall_ns()
        left_ns = self._planned_at_ns - now_ns
        commit_at_ns = self.commit_at_ns if now_ns < self.commit_at_ns else self._commit_by(now_ns)
        self.armed_from_ns = self._clock.monotonic_ns()
        deadline_ns = commit_at_ns - min(_ARM_MARGIN_NS, max(left_ns, 0) // 20)
        if flight.is_apart:
            deadline_ns = max(deadline_ns, min(now_ns + _APART_NS, self._last_start_ns))
        times = Times(
            t_ns=self._planned_at_ns,
            deadline_ns=deadline_ns,
            give_up_ns=max(self._last_start_ns, now_ns) + HANGS_NS,
            beside_requests=self._has_requests,
        )
        with self.guard(flight, "arming"):
            try:
                flight.arm(times, self._settings)
            except CannotRender as error:  # a reload has taken its application away
                self._endings.broken(flight, error.message)

    def release(self, flight: Flight) -> None:
        """The commit is durable: let a part start at T."""
        wall_ns, monotonic_ns = self._clock.wall_ns(), self._clock.monotonic_ns()
        self._t_monotonic_ns = monotonic_ns + max(self._planned_at_ns - wall_ns, 0)
        with self.guard(flight, "releasing"):
            flight.release(ends_in_ns=max(self._last_start_ns - wall_ns, 0) + self._longest_ns)

    def hear_before_commit(self, flight: Flight, event: ShardEvent) -> None:
        """Handle an event of a part that is not committed yet."""
        match event:
            case http_wire.Armed() | python_wire.Armed():
                flight.is_armed = True
            case Lost():
                self.plan_commit()
                self._set_apart(flight, event)
                self.arm(flight)
            case Broken(why=why):
                self._endings.broken(flight, why)
            case http_wire.Results() | python_wire.Results():
                self._endings.finished(flight, event.finished)
            case http_wire.Ended() | python_wire.Ended() if self._clock.wall_ns() > self._last_start_ns:
                self._endings.late(flight, TOO_LATE)
            case http_wire.Ended() | python_wire.Ended():
                self._endings.broken(flight, "its executor ended this part of the batch before T", cause=Cause.EXECUTOR)

    def hear(self, flight: Flight, event: ShardEvent, *, heard_monotonic_ns: int) -> None:
        """
        Handle an event of a part once the commit is durable.

        Args:
            heard_monotonic_ns: When the event came, monotonic clock.
        """
        match event:
            case http_wire.Results() | python_wire.Results():
                flight.has_begun = flight.has_begun or any(one.started_ns for one in event.finished)
                self._endings.finished(flight, event.finished)
            case Lost():
                self._go_on_after(flight, event, heard_monotonic_ns)
            case Broken(why=why):
                self._endings.broken(flight, why)
            case http_wire.Armed() | python_wire.Armed() if not flight.is_released:
                self.release(flight)
            case http_wire.Ended(released=False) | python_wire.Ended(released=False):
                self._endings.late(flight, TOO_LATE)
            case http_wire.Ended() | python_wire.Ended():
                self._endings.lost(flight, "the executor has not said how it went")

    def look(self) -> None:
        """End what is too late in parts that are committed and not released, and replace executors that hang."""
        for flight in self.flights:
            with self.guard(flight, "draining"):
                if not flight.is_released:  # its executor is not ready yet
                    self._endings.too_late(flight, TOO_LATE)
                if flight.outstanding:
                    flight.replace_if_it_hangs()
                elif not flight.is_released:
                    flight.withdraw()
                flight.end_if_apart()

    def abandon(self) -> None:
        """Wait no longer: what may have started is `unknown`, the rest is `missed`."""
        for flight in self.flights:
            if flight.is_released:
                self._endings.lost(flight, "tminus was stopped before an answer came (shutdown_grace)")
            else:
                self._endings.late(flight, "tminus was stopped before its executor was ready (shutdown_grace)")

    @contextmanager
    def guard(self, flight: Flight, step: str) -> Iterator[None]:
        """Run a step that handles one part of the batch: an unforeseen exception ends the jobs of this part alone."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  the guard's whole purpose; it is logged with its traceback
            self._break_off(flight, step, error)

    def _break_off(self, flight: Flight, step: str, error: Exception) -> None:
        may_be_sent = flight.is_released and flight in self.flights  # what is only prepared sends nothing
        dues, flight.outstanding = list(flight.outstanding.values()), {}
        for due in dues:
            self._endings.break_off(step, due, error, may_be_sent=may_be_sent, executor=flight.supervisor.name)
        if not may_be_sent:
            flight.withdraw()

    def _go_on_after(self, flight: Flight, lost: Lost, heard_monotonic_ns: int) -> None:
        """Go on after an executor died: what it may have started is `unknown`, and the rest goes to the next executor."""
        # Nothing starts before T. If the wall clock was set back, the monotonic clock still tells that T has passed.
        is_past_t = lost.at_ns >= self._planned_at_ns or heard_monotonic_ns >= self._t_monotonic_ns or flight.has_begun
        if flight.is_released and (is_past_t or lost.entered):
            why = f"the executor process died after the release ({lost.how})"
            self._endings.lost(flight, why, lost.entered)
        if flight.outstanding and self._clock.wall_ns() > self._last_start_ns:
            self._endings.late(flight, TOO_LATE)
        elif flight.outstanding:
            self._set_apart(flight, lost)
            self.arm(flight)

    def _set_apart(self, flight: Flight, lost: Lost) -> None:
        """
        Give the jobs that were being prepared when a runner died a runner of their own, so that the others are on time.

        A job that is being prepared when that one dies, too, has ended both.
        """
        doubted = [index for index in lost.preparing if index in flight.outstanding]
        if flight.is_apart:
            for index in doubted:
                why = f"the executor process died while it was prepared ({lost.how})"
                self._endings.not_sent(flight.outstanding.pop(index), why, cause=Cause.EXECUTOR)
        elif doubted and not isinstance(target := flight.outstanding[doubted[0]].job.target, HttpTarget):
            try:
                runner = self._station.executors.alone(runner_of(target))
            except (CannotRender, OSError) as error:
                for index in doubted:
                    why = f"the executor process died while it was prepared ({lost.how}), and there is no other one: {error}"
                    self._endings.not_sent(flight.outstanding.pop(index), why, cause=Cause.EXECUTOR)
                return
            self.flights.append(apart := Flight(lambda: runner, clock=self._clock, tell=self._tell, is_apart=True))
            flight.move(doubted, apart)
            self.arm(apart)

    def _commit_by(self, now_ns: int) -> int:
        return self._planned_at_ns - commit_before(self._planned_at_ns - now_ns)
