"""The service: the parts of a daemon that run between start and stop, and the order of both."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence

import structlog

from tminus import crash_points
from tminus.daemon import systemd
from tminus.daemon.batches.admission import split_suspended
from tminus.daemon.batches.backlog import Backlog
from tminus.daemon.batches.countdown import Countdown
from tminus.daemon.batches.deadline_watch import DeadlineWatch
from tminus.daemon.batches.overdue_occurrences import skipped_if_withheld
from tminus.daemon.batches.planner import Planner
from tminus.daemon.clock_watch import ClockWatch
from tminus.daemon.high_water import HighWater
from tminus.daemon.inbox import Inbox
from tminus.daemon.journal_recovery import replay_journals
from tminus.daemon.log import log_output
from tminus.daemon.notifications.beat import Beat
from tminus.daemon.notifications.decisions import watch_of
from tminus.daemon.notifications.notifier import Notifier
from tminus.daemon.processes.executors import Runners
from tminus.daemon.recovery import recover
from tminus.daemon.request_handler import RequestHandler
from tminus.daemon.runs.background_runs import BackgroundRuns
from tminus.daemon.runs.chain_writer import ChainWriter
from tminus.daemon.runs.chains import Chains
from tminus.daemon.runtime import Runtime
from tminus.daemon.withholding import adopt_suspensions, find_suspensions
from tminus.instants import MS, SECOND
from tminus.ledger import instances, skips, upkeep
from tminus.ledger.journal import JournalPlace
from tminus.ledger.requests import RequestRow
from tminus.model.batch import DueOccurrence
from tminus.model.definitions import Definitions
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import Outcome
from tminus.policies.lead import COMMIT_NS, ArmingCosts

log = structlog.get_logger()

#: Time after the shutdown grace in which the last outcomes are written.
_LAST_WRITES_S = 3.0
#: Within this time before its T, a batch is about to commit, and the deletion of old history waits.
_COMMITS_SOON_NS = 2 * COMMIT_NS + 100 * MS
#: Time limit for a thread to end. If it takes longer, it hangs or waits for a locked ledger.
_JOIN_S = 1.0


class Service:
    """
    Plans and runs jobs on one ledger, which this process has locked. `start`, `reload` and `stop` belong to
    one thread.

    Args:
        runtime: Not started. The caller that opened it closes it.
        since_ns: When this process started, wall clock.
        on_reload: Takes requests to reload, on the thread of the inbox.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        since_ns: int,
        on_reload: Callable[[RequestRow], None] = lambda _request: None,
    ) -> None:
        self.runtime = runtime
        self._since_ns = since_ns
        recorder = runtime.recorder
        self._costs = ArmingCosts.of_text(instances.arming_costs(runtime.ledger))
        self._backlog = Backlog(runtime, on_due=lambda due_occurrences: self._planner.add(due_occurrences))
        runtime.on_held_back, runtime.in_flight.on_end = self._backlog.hold, self._end_occurrence
        runtime.on_put_back = self._put_back
        self._planner = Planner(
            clock=runtime.clock,
            launch=self.launch,
            on_unstarted=lambda result: recorder.put(skipped_if_withheld(result, runtime.withheld)),
            on_backlog=self._backlog.add,
            undecided=recorder.undecided,
            costs=self._costs,
        )
        self._high_water = HighWater(
            runtime.ledger, instance=runtime.instance, mark=self._planner.decided_until_ns
        )
        self._chains = Chains(
            runtime, ChainWriter(runtime, on_due=self._planner.add, lead_ns=self._planner.lead_ns)
        )
        recorder.on_chains_begun = self._chains.follow
        recorder.on_retries = self._add_retries
        self._background = BackgroundRuns(runtime)
        handler = RequestHandler(
            runtime,
            planner=self._planner,
            background=self._background,
            backlog=self._backlog,
            on_reload=on_reload,
        )
        self._inbox = Inbox(
            runtime.ledger,
            instance=runtime.instance,
            handler=handler.handle,
            on_taken=handler.act_on,
            on_change=self._background.wake,
        )
        self._clock_watch = ClockWatch(runtime.clock, on_step=self._planner.wake)
        self._notifier = Notifier(runtime)
        self._deadline_watch = DeadlineWatch(runtime)
        self._beat = Beat(runtime, is_well=self._is_well_and_ledger_works)
        self._lock = threading.Lock()
        self._countdowns: set[Countdown] = set()
        #: The cancels of occurrences that are on their way to a countdown, with their reasons.
        self._cancels: dict[OccurrenceId, str] = {}
        self.config_problem: str | None = None  #: why the jobs file, as it is now, is not in force
        self._heartbeat_ns: int | None = None  #: when the last heartbeat was written; monotonic clock
        self._stopping = False

    def start(self, runners: Runners) -> None:
        """
        Recover, then plan. When this returns, the service is ready.

        Args:
            runners: Runners that have been started already.

        Raises:
            TminusError: the ledger does not work, or the executor does not start.
            RuntimeError: a thread cannot be started.
        """
        runtime = self.runtime
        runtime.start(runtime.definitions.jobs.values(), runners)
        runtime.ledger.watch = watch_of(runtime.definitions)
        with runtime.ledger.read() as connection:
            runtime.withheld = skips.load(connection)
        place = JournalPlace.of(runtime.ledger.url, runtime.ledger.path, os.environ)
        replay_journals(runtime.ledger, place, instance=runtime.instance, now_ns=runtime.clock.wall_ns())
        self._inbox.take_first()  # what is cancelled now is not recovered
        # Jobs that were suspended so far, or are suspended from now on, were not due while nothing ran.
        known = runtime.withheld.suspensions
        wanted = find_suspensions(runtime.definitions, known, now_ns=self._since_ns)
        runtime.change_withheld(suspensions={**known, **wanted})
        crash_points.passed("recovery")
        recovered = recover(
            runtime.ledger,
            runtime.definitions,
            since_ns=self._since_ns,
            now_ns=runtime.clock.wall_ns(),
            withheld=runtime.withheld,
            on_progress=lambda: systemd.starting("recovering"),
        )
        crash_points.passed("recovered")
        adopt_suspensions(runtime, runtime.definitions, now_ns=self._since_ns)
        for due in recovered.due_occurrences:
            if due.previous:
                runtime.in_flight.add_retry(due)
        recorder = runtime.recorder
        for due in recovered.backlog:
            if not due.origin.is_of_past_fire_time:
                runtime.in_flight.add_waiting(due)
        recorder.undecided.add(due.id for due in recovered.backlog if not due.is_written)
        self._backlog.add(recovered.backlog)
        self._planner.start(runtime.definitions, recovered.decided_until, recovered.due_occurrences)
        runtime.cancel = self.cancel
        self._backlog.start()
        self._chains.start()
        self._chains.resume()
        self._background.start()
        self._inbox.start()
        self._clock_watch.start()
        self._notifier.start()
        self._beat.start()

    def reload(self, definitions: Definitions, runners: Runners) -> None:
        """
        Put new definitions into force between two batches. Claimed occurrences keep their own definitions.

        Args:
            runners: All that the definitions need.

        Raises:
            LedgerError: the ledger does not work; part of the new definitions may be in force.
        """
        ledger, now_ns = self.runtime.ledger, self.runtime.clock.wall_ns()
        upkeep.keep_config(ledger, definitions.version, definitions.text, now_ns=now_ns)

        def plan(decided_until: Mapping[str, int]) -> None:
            adopt_suspensions(self.runtime, definitions, now_ns=now_ns)
            instances.set_config_version(ledger, self.runtime.instance, version=definitions.version)
            self.runtime.executors.use_runners(definitions, runners)
            self.runtime.definitions = definitions
            ledger.watch, ledger.failure_limits = watch_of(definitions), definitions.failure_limits
            self._planner.replan(definitions, decided_until, now_ns=now_ns)

        self._high_water.adopt(definitions, before=self.runtime.definitions, now_ns=now_ns, plan=plan)
        self._background.publish_apps()

    def cancel(self, identity: OccurrenceId, reason: str) -> bool:
        """
        Cancel an occurrence that waits, is claimed, runs, or is between two attempts. Thread-safe.

        Args:
            identity: The occurrence.
            reason: For people; the occurrence ends as `cancelled` with it.

        Returns:
            Whether there is such an occurrence.
        """
        # In the order in which an occurrence passes them: backlog, planner, countdown.
        due = self._backlog.take_out(identity) or self._planner.take_out(identity)
        if due is not None:
            self.runtime.recorder.put(due.ends(Outcome.CANCELLED, reason))
            self.runtime.in_flight.end(identity)
            return True
        with self._lock:
            if any(countdown.cancel(identity, reason) for countdown in self._countdowns):
                return True
            is_on_its_way = self.runtime.in_flight.is_counted(identity)
            if is_on_its_way:
                self._cancels[identity] = reason
            return is_on_its_way

    def record_heartbeat(self) -> None:
        """
        Write a heartbeat, and what was learned of the costs of arming since the last one.

        Raises:
            LedgerError: the ledger does not work.
        """
        runtime = self.runtime
        self._high_water.record_heartbeat(runtime.clock.wall_ns())
        self._heartbeat_ns = runtime.clock.monotonic_ns()
        if (costs := self._planner.costs) != self._costs:
            instances.set_arming_costs(runtime.ledger, runtime.instance, costs=costs.as_text())
            self._costs = costs

    def find_problems(self) -> list[str]:
        """
        Return all problems, for `status`; note occurrences that have just missed their `finish_by`.

        Raises:
            LedgerError: the ledger does not work.
        """
        return [
            *([self.config_problem] if self.config_problem else []),
            *self.runtime.executors.problems(),
            *self._beat.problems,
            *self._deadline_watch.problems(),
            *log_output.problems(),
        ]

    def check_health(self) -> bool:
        """
        Replace executors that hang. Return whether batches start on time: the planner closes them, and the
        HTTP executor takes them. True if the service is stopping.
        """
        has_executor = self.runtime.executors.is_well()  # replaces executors, so it is called in any case
        return self._stopping or (has_executor and self.is_planning)

    def _is_well_and_ledger_works(self) -> bool:
        """Whether batches start on time, and the ledger takes the heartbeats."""
        now_ns, last_ns = self.runtime.clock.monotonic_ns(), self._heartbeat_ns
        return last_ns is not None and now_ns - last_ns < instances.STALE_NS and self.check_health()

    @property
    def is_planning(self) -> bool:
        """Whether the planner closes batches, or has been told to stop."""
        return self._stopping or self._planner.is_well()

    @property
    def is_idle(self) -> bool:
        """
        Whether all launched batches and their chains have ended, and the ledger has their outcomes. The look
        waits up to 0.1 s for the ledger.
        """
        with self._lock:
            if self._countdowns:
                return False
        return self.runtime.recorder.flush(0.1) and self._chains.is_idle

    @property
    def commits_soon(self) -> bool:
        """Whether a batch is about to be committed. Another write to the ledger now may delay its start."""
        now_ns = self.runtime.clock.wall_ns()
        with self._lock:
            return any(0 <= one.planned_at_ns - now_ns < _COMMITS_SOON_NS for one in self._countdowns)

    def status(self) -> str:
        """Return a line for people."""
        with self._lock:
            return (
                f"{len(self.runtime.definitions.jobs)} jobs, {self._running()} running, "
                f"{len(self._countdowns)} batches"
            )

    def stop(self, *, at_once: bool = False) -> bool:
        """
        Stop in order. No batch begins. Batches that are near their T or running may finish within the
        shutdown grace.

        Args:
            at_once: Whether nothing may finish, because another process runs jobs on the ledger now.

        Returns:
            False if an outcome is neither in the ledger nor in the journal.
        """
        self._stopping = True
        clock = self.runtime.clock
        grace_ns = 0 if at_once else self.runtime.definitions.daemon.shutdown_grace_ns
        until_ns, monotonic_until_ns = clock.wall_ns() + grace_ns, clock.monotonic_ns() + grace_ns
        self._chains.leave()
        self._background.leave()
        log.info(
            "stopping",
            running=self._running(),
            waits_up_to=f"{grace_ns / SECOND:g} s",
            hint="a second signal ends it at once",
        )
        self._inbox.stop(_JOIN_S)
        self._clock_watch.stop()
        self._beat.stop(0)
        self._backlog.stop(_JOIN_S)
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
        are_written = self.runtime.stop(0 if at_once else left_s(_LAST_WRITES_S))
        self._notifier.stop(_JOIN_S)
        return are_written

    def _running(self) -> int:
        """Return how many occurrences and background runs are running."""
        return len(self.runtime.in_flight) + self._background.running

    def launch(self, planned_at_ns: int, due_occurrences: Sequence[DueOccurrence]) -> None:
        """Begin the countdown of a closed batch; occurrences of suspended jobs end as skipped instead."""
        due_occurrences, suspended = split_suspended(due_occurrences, self.runtime.withheld.suspensions)
        for result in suspended:
            self.runtime.recorder.put(result)
            self.runtime.in_flight.end(result.id)
        if not due_occurrences:
            return
        countdown = Countdown(
            self.runtime,
            planned_at_ns=planned_at_ns,
            due_occurrences=due_occurrences,
            on_ended=self._end_countdown,
        )
        with self._lock:
            self._countdowns.add(countdown)
            for identity, reason in self._cancels.items():
                countdown.cancel(identity, reason)
        try:
            countdown.start()
        except RuntimeError:  # no thread can be started now
            with self._lock:
                self._countdowns.discard(countdown)
            raise

    def _put_back(self, due_occurrences: Sequence[DueOccurrence]) -> None:
        """Have occurrences wait again, for room or for their T."""
        self._backlog.hold(due for due in due_occurrences if due.waits_for_room)
        self._planner.add(due for due in due_occurrences if not due.waits_for_room)

    def _add_retries(self, due_occurrences: Sequence[DueOccurrence]) -> None:
        self._planner.add(due_occurrences)
        for due in due_occurrences:
            if reason := self._cancels.get(due.id):
                self.cancel(due.id, reason)

    def _end_occurrence(self, identity: OccurrenceId) -> None:
        with self._lock:
            self._cancels.pop(identity, None)
        self._backlog.end(identity)

    def _end_countdown(self, countdown: Countdown) -> None:
        with self._lock:
            self._countdowns.discard(countdown)
        for due in countdown.due_occurrences:
            self._backlog.end(due.id)
        if countdown.claim_and_arm_ns is not None:
            jobs = [due.job for due in countdown.due_occurrences]
            self._planner.learn(jobs, claim_and_arm_ns=countdown.claim_and_arm_ns)
