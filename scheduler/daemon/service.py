"""The service: what runs between start and stop, and how both are done in order."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy.engine import Connection

from scheduler.clock import Clock
from scheduler.daemon import logs, systemd
from scheduler.daemon.background import Background
from scheduler.daemon.chains import Chains
from scheduler.daemon.clock_watch import ClockWatch
from scheduler.daemon.countdown import Countdown
from scheduler.daemon.executors import Executors, Runners
from scheduler.daemon.handovers import Handovers
from scheduler.daemon.high_water import HighWater
from scheduler.daemon.inbox import Inbox
from scheduler.daemon.planner import Planner
from scheduler.daemon.recorder import Recorder
from scheduler.daemon.recovery import recover
from scheduler.daemon.station import Station
from scheduler.errors import UsageError
from scheduler.instants import SECOND
from scheduler.ledger import instances, upkeep
from scheduler.ledger.engine import Ledger
from scheduler.ledger.requests import Kind, Request
from scheduler.model.batch import Due
from scheduler.model.definitions import Definitions
from scheduler.operations.run_now import accept
from scheduler.release.gate import Gate

log = structlog.get_logger()

#: After the shutdown grace, for the last outcomes to be written.
_LAST_WRITES_S = 3.0
#: A thread that has not ended this long after it should have hangs, or waits for a locked ledger.
_JOIN_S = 1.0


class Service:
    """
    Plans and runs jobs on one ledger, which this process has locked. Its methods belong to one thread.

    Args:
        since_ns: When this process started, wall clock.
        heard: Called when a runner has reported which jobs its application's code defines.
    """

    def __init__(
        self,
        ledger: Ledger,
        definitions: Definitions,
        *,
        clock: Clock,
        instance: str,
        since_ns: int,
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        gate = Gate(clock)
        self._since_ns = since_ns
        self.station = Station(
            clock=clock,
            ledger=ledger,
            instance=instance,
            definitions=definitions,
            executors=Executors(clock, handovers=Handovers(ledger, clock=clock), heard=heard),
            recorder=Recorder(ledger, gate=gate, clock=clock),
            gate=gate,
        )
        recorder = self.station.recorder
        self._planner = Planner(clock=clock, launch=self.launch, decided=recorder.put, undecided=recorder.undecided)
        self._high_water = HighWater(ledger, instance=instance, mark=self._planner.decided_until_ns)
        self._chains = Chains(self.station, launch=self._planner.add, lead_ns=self._planner.lead_ns)
        self.station.recorder.followed = self._chains.follow
        self._background = Background(self.station)
        self._inbox = Inbox(
            ledger,
            instance=instance,
            answer=self._answer,
            taken=self._taken,
            changed=self._background.look,
        )
        self._clock_watch = ClockWatch(clock, stepped=self._planner.wake)
        self._lock = threading.Lock()
        self._countdowns: set[Countdown] = set()
        self._queued: dict[str, Sequence[Due]] = {}
        self.rejected: str | None = None  #: why the jobs file, as it is now, is not in force
        self._stopping = False

    def start(self, fresh: Runners) -> None:
        """
        Recover, then plan. When this returns, the service is ready.

        Args:
            fresh: Runners to start with.

        Raises:
            TminusError: the ledger does not work, or the executor does not start.
        """
        station = self.station
        station.executors.start(station.definitions, station.definitions.jobs.values(), fresh)
        station.recorder.start()
        now_ns = station.clock.wall_ns()
        upkeep.keep_config(station.ledger, station.definitions.version, station.definitions.text, now_ns=now_ns)
        recovered = recover(
            station.ledger,
            station.definitions,
            since_ns=self._since_ns,
            now_ns=station.clock.wall_ns(),
            goes_on=lambda: systemd.starting("recovering"),
        )
        self._planner.start(station.definitions, recovered.after, recovered.dues)
        self._chains.start()
        self._chains.resume()
        self._background.start()
        self._inbox.start()
        self._clock_watch.start()

    def reload(self, definitions: Definitions, runners: Runners) -> None:
        """
        Take other definitions between two batches; what is claimed keeps those that it was claimed under.

        Args:
            runners: All that the definitions need.

        Raises:
            LedgerError: it could not be written down; the old ones stay in force.
        """
        ledger, now_ns = self.station.ledger, self.station.clock.wall_ns()
        upkeep.keep_config(ledger, definitions.version, definitions.text, now_ns=now_ns)

        def plan(after: Mapping[str, int]) -> None:
            instances.configured(ledger, self.station.instance, version=definitions.version)
            self.station.executors.adopt(definitions, runners)
            self.station.definitions = definitions
            self._planner.replan(definitions, after, now_ns=now_ns)

        self._high_water.adopt(definitions, before=self.station.definitions, now_ns=now_ns, plan=plan)
        self._background.know_apps()

    def beat(self) -> None:
        """
        Write a sign of life.

        Raises:
            LedgerError: it could not be written.
        """
        self._high_water.beat(self.station.clock.wall_ns())

    @property
    def problems(self) -> list[str]:
        """What is wrong with the configuration, or the log, for `status`."""
        return [*([self.rejected] if self.rejected else []), *self.station.executors.problems(), *logs.problems()]

    def is_well(self) -> bool:
        """Whether batches start on time: they are closed, and the HTTP executor takes them."""
        has_executor = self.station.executors.is_well()
        return self._stopping or (has_executor and self.plans)

    @property
    def plans(self) -> bool:
        """Whether batches are closed, or are to be no more."""
        return self._stopping or self._planner.is_well()

    @property
    def is_idle(self) -> bool:
        """Whether all that was launched has ended, with what follows it, and is written."""
        with self._lock:
            if self._countdowns:
                return False
        return self.station.recorder.flush(0.1) and self._chains.is_idle

    def status(self) -> str:
        """A line for people."""
        with self._lock:
            return f"{len(self.station.definitions.jobs)} jobs, {self._running()} running, {len(self._countdowns)} batches"

    def stop(self, *, at_once: bool = False) -> bool:
        """
        Stop in order: no batch is begun, and what is near its T or running may finish within the shutdown grace.

        Args:
            at_once: Give nothing time to finish: another process runs jobs on the ledger now.

        Returns:
            False if an outcome could not be written.
        """
        self._stopping = True
        clock, grace_ns = self.station.clock, 0 if at_once else self.station.definitions.daemon.shutdown_grace_ns
        until_ns, monotonic_until_ns = clock.wall_ns() + grace_ns, clock.monotonic_ns() + grace_ns
        self._chains.leave()
        self._background.leave()
        log.info("stopping", running=self._running(), waits_up_to=f"{grace_ns / SECOND:g} s", at_once="signal again")
        self._inbox.stop(_JOIN_S)
        self._clock_watch.stop()
        self._planner.stop()
        with self._lock:
            countdowns = list(self._countdowns)
        for countdown in countdowns:
            if countdown.planned_at_ns > until_ns:
                countdown.leave()

        def left_s(more_s: float = 0) -> float:
            return max((monotonic_until_ns - clock.monotonic_ns()) / SECOND + more_s, 0)

        for countdown in countdowns:
            countdown.join(left_s())
        for countdown in countdowns:
            countdown.abandon()
        for countdown in countdowns:
            countdown.join(left_s(_JOIN_S))
        self._background.stop(left_s())
        self._chains.stop(left_s())
        well = self.station.recorder.stop(0 if at_once else left_s(_LAST_WRITES_S))
        self.station.executors.stop()
        return well

    def _running(self) -> int:
        """Return how many occurrences and background runs are running."""
        return len(self.station.running) + self._background.running

    def launch(self, planned_at_ns: int, dues: Sequence[Due]) -> None:
        """Begin the countdown of a closed batch."""
        countdown = Countdown(self.station, planned_at_ns=planned_at_ns, dues=dues, ended=self._has_ended)
        with self._lock:
            self._countdowns.add(countdown)
        try:
            countdown.start()
        except RuntimeError:  # no thread can be started now
            with self._lock:
                self._countdowns.discard(countdown)
            raise

    def _has_ended(self, countdown: Countdown) -> None:
        with self._lock:
            self._countdowns.discard(countdown)
        if countdown.claim_and_arm_ns is not None:
            self._planner.learn(jobs=countdown.jobs, claim_and_arm_ns=countdown.claim_and_arm_ns)

    def _answer(self, connection: Connection, request: Request) -> Mapping[str, Any]:
        if request.kind == Kind.CANCEL:
            if not isinstance(request.body.get("number"), int):
                raise UsageError("the request to cancel a run is malformed")
            return {}
        definitions, now_ns = self.station.definitions, self.station.clock.wall_ns()
        accepted = accept(connection, request, definitions, now_ns=now_ns, lead_ns=self._planner.lead_ns)
        self._queued[request.id] = accepted.dues
        return accepted.answer

    def _taken(self, request: Request) -> None:
        if request.kind == Kind.CANCEL:
            self._background.cancel(request.body["number"])
        else:
            self._planner.add(self._queued.pop(request.id))
