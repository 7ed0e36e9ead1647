"""
Preparation: requests of a batch that Python may change, in the runners of their applications, before they are armed.

It comes before the commit and sends nothing. If a runner dies, what it was preparing is prepared again.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from scheduler.daemon import prepare
from scheduler.daemon.channels import Times
from scheduler.daemon.endings import Endings
from scheduler.daemon.flight import HANGS_NS, Flight, joined
from scheduler.daemon.redaction import Redaction
from scheduler.daemon.render import CannotRender
from scheduler.daemon.shards import Broken, Lost, Shard, ShardEvent
from scheduler.daemon.station import Station
from scheduler.executors.http.wire import Request
from scheduler.executors.python import wire
from scheduler.model.batch import Due
from scheduler.model.job import HttpTarget, RunnerKey
from scheduler.outcome import Cause

_NOT_IN_TIME = "its prepare was not done within its misfire_grace_time"


class Preparation:
    """
    Belongs to the thread of its countdown. Each of its occurrences is in one flight: with a runner, then waiting for the lanes.

    Args:
        planned_at_ns: T, wall clock.
        last_start_ns: The end of the longest grace.
        tell: Called on other threads with what happens to its shards.
    """

    def __init__(
        self,
        station: Station,
        endings: Endings,
        *,
        planned_at_ns: int,
        last_start_ns: int,
        tell: Callable[[Flight, Shard, ShardEvent], None],
    ) -> None:
        self._station = station
        self._clock = station.clock
        self._settings = station.definitions.daemon
        self._endings = endings
        self._planned_at_ns = planned_at_ns
        self._last_start_ns = last_start_ns
        self._tell = tell
        self._running: list[Flight] = []
        self._made: list[Flight] = []
        self._requests: dict[int, Request] = {}
        self._died: set[int] = set()
        self._take_at_ns = 0

    @property
    def flights(self) -> list[Flight]:
        """All flights that the lanes do not have yet."""
        return [*self._running, *self._made]

    @property
    def take_at_ns(self) -> int | None:
        """When to take what is prepared by then, though more is to come; None if nothing is prepared."""
        return self._take_at_ns if self._made else None

    def takes(self, due: Due, work: Request | wire.Work, redaction: Redaction) -> bool:
        """
        Take an occurrence that has a `prepare`; return whether it has one.

        Raises:
            CannotRender: no runner has its application any more.
        """
        match due.job.target, work:
            case HttpTarget(prepare=str(ref), app=app), Request():
                call = prepare.call_of(ref, due, work, now_ns=self._clock.wall_ns(), keep_output=self._settings.history.max_body)
                runner = partial(self._station.executors.runner, RunnerKey(app))
                self._requests[work.index] = work
                joined(self._running, runner, clock=self._clock, tell=self._tell).add(work.index, due, call, redaction)
                return True
        return False

    def start(self, commit_at_ns: int) -> None:
        """Have them prepared. If that takes at most half of the time until the commit, they are armed together."""
        now_ns = self._clock.wall_ns()
        self._take_at_ns = now_ns + (commit_at_ns - now_ns) // 2
        for flight in list(self._running):
            self._arm(flight)

    def hear(self, flight: Flight, event: ShardEvent) -> bool:
        """Handle an event of a flight that is being prepared; return False if it is not of such a flight."""
        if flight not in self._running:
            return False
        match event:
            case wire.Armed():
                flight.release(ends_in_ns=max(self._last_start_ns - self._clock.wall_ns(), 0))
            case wire.Results(finished=finished):
                for one in finished:
                    if due := flight.outstanding.get(one.index):
                        with self._endings.guard("preparing", due):
                            self._take_in(flight, one)
                        flight.outstanding.pop(one.index, None)
            case Lost():
                self._again(flight, event)
            case Broken(why=why):
                self._endings.broken(flight, why)
            case wire.Ended():
                self._refuse(flight, list(flight.outstanding), "its runner has not said how its prepare went")
        return True

    def take(self) -> Flight | None:
        """Return a flight for the lanes: once all are prepared, otherwise in ever smaller steps until T, and then at once."""
        now_ns = self._clock.wall_ns()
        if not self._made or (now_ns < self._take_at_ns and any(flight.outstanding for flight in self._running)):
            return None
        self._take_at_ns = now_ns + max(self._planned_at_ns - now_ns, 0) // 2
        flight = self._made.pop()
        return flight if flight.outstanding else None

    def look(self) -> None:
        """End what is too late, and replace runners that hang."""
        for flight in self.flights:
            self._endings.too_late(flight, _NOT_IN_TIME)
        for flight in self._running:
            if flight.outstanding:
                flight.replace_if_it_hangs()
            else:
                flight.withdraw()
                flight.end_if_apart()
        self._running = [flight for flight in self._running if flight.outstanding]

    def abandon(self) -> None:
        """Wait no longer: all are `missed`, because nothing was sent."""
        for flight in self.flights:
            self._endings.late(flight, "tminus was stopped before its prepare was done (shutdown_grace)")

    def _arm(self, flight: Flight) -> None:
        """Send a flight to its runner. T is now: each is loaded on its own thread, and waits for no import of another one."""
        now_ns = self._clock.wall_ns()
        left_ns = max(self._last_start_ns - now_ns, 0)
        # If one of them may end the process, they are prepared in turn.
        deadline_ns = now_ns + left_ns // 2 if flight.is_apart else now_ns
        times = Times(t_ns=now_ns, deadline_ns=deadline_ns, give_up_ns=now_ns + left_ns + HANGS_NS)
        if not flight.outstanding:
            return
        try:
            flight.arm(times, self._settings)
        except CannotRender as error:  # a reload has taken its application away
            self._endings.broken(flight, error.message)
        except Exception as error:  # noqa: BLE001  it is logged there
            for due in flight.outstanding.values():
                self._endings.break_off("preparing", due, error)
            flight.outstanding = {}

    def _again(self, flight: Flight, lost: Lost) -> None:
        """Prepare again after a runner died. What was in its `prepare` when two runners died is refused."""
        begun = [index for index in lost.entered or () if index in flight.outstanding]
        twice = [index for index in begun if index in self._died]
        self._died.update(begun)
        self._refuse(flight, twice, f"its runner died twice during its prepare ({lost.how})")
        if loading := [index for index in lost.preparing if index in flight.outstanding]:
            self._load_apart(flight, loading, lost)
        if flight.outstanding:
            self._arm(flight)

    def _load_apart(self, flight: Flight, loading: Sequence[int], lost: Lost) -> None:
        """Load these in a runner of their own, one after another: one of them has ended a runner while it was loaded."""
        target = flight.outstanding[loading[0]].job.target
        why = f"its runner died while its prepare was loaded ({lost.how})"
        if flight.is_apart or not isinstance(target, HttpTarget):
            self._refuse(flight, loading, why)
            return
        try:
            runner = self._station.executors.alone(RunnerKey(target.app))
        except (CannotRender, OSError) as error:
            self._refuse(flight, loading, f"{why}, and there is no other one: {error}")
            return
        self._running.append(apart := Flight(lambda: runner, clock=self._clock, tell=self._tell, is_apart=True))
        flight.move(loading, apart)
        self._arm(apart)

    def _take_in(self, flight: Flight, one: wire.Finished) -> None:
        if one.late or one.cause == Cause.TIMEOUT:
            self._endings.missed([flight.outstanding.pop(one.index)], _NOT_IN_TIME)
            return
        redaction, ref = flight.redactions[one.index], flight.works[one.index].ref
        try:
            if one.cause is not None:
                raise CannotRender(prepare.why(ref, one))
            request = prepare.changed(ref, self._requests[one.index], one.body, redaction)
        except CannotRender as error:
            failed = replace(one, started_ns=0, duration_ns=0, cause=Cause.DEFINITION, detail=error.message, body=b"")
            self._endings.finished(flight, [failed])
        else:
            due = flight.outstanding.pop(one.index)
            lanes = partial(self._station.executors.of, due.job.target)
            made = joined(self._made, lanes, clock=self._clock, tell=self._tell)
            made.add(one.index, due, request, redaction, printed=one.output)

    def _refuse(self, flight: Flight, indexes: Sequence[int], why: str) -> None:
        now_ns = self._clock.wall_ns()
        never = wire.Finished(index=0, started_ns=0, finished_ns=now_ns, duration_ns=0, armed=False, cause=Cause.EXECUTOR)
        self._endings.finished(flight, [replace(never, index=index, detail=why) for index in indexes])
