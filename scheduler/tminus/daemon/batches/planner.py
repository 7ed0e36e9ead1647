"""
The planner: jobs that are due at the same T become one batch. It is closed one lead before T, or at once if
that is past. Each batch has its own lead.

The wake-ups say which jobs are due. The agenda has their fire times.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from tminus import crash_points
from tminus.clock import Clock
from tminus.daemon.attempts.undecided import Undecided
from tminus.daemon.batches.agenda import Agenda
from tminus.daemon.batches.wakeups import WakeUps
from tminus.daemon.service_thread import ServiceThread
from tminus.instants import SECOND, rfc3339
from tminus.model.batch import DueOccurrence, UnstartedResult
from tminus.model.definitions import Definitions
from tminus.model.job import Job
from tminus.model.occurrence import OccurrenceId
from tminus.policies.lead import LONGEST_NS, ArmingCosts, Lead

log = structlog.get_logger()

#: The longest wait between two looks at the clock: a step of the clock is noticed within this time.
_LOOK_S = 0.25
#: Pause after a batch that could not begin.
_AGAIN_S = 0.05
#: A pass of the wake-ups holds back a batch for at most this long after its first addition to it.
_PASS_NS = 2 * SECOND
#: The planner hangs if it has not looked at the clock for this long.
_HANGS_NS = 5 * SECOND


class Planner:
    """
    The thread that closes batches. Thread-safe.

    Args:
        launch: Takes a closed batch: its T and its due occurrences.
        on_unstarted: Takes occurrences that end without a start.
        on_backlog: Takes overdue occurrences that wait for room.
        undecided: Has each due occurrence until its row is durable.
        costs: What is known of the costs of arming.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        launch: Callable[[int, Sequence[DueOccurrence]], None],
        on_unstarted: Callable[[UnstartedResult], None],
        on_backlog: Callable[[Sequence[DueOccurrence]], None] = lambda _: None,
        undecided: Undecided,
        costs: ArmingCosts | None = None,
    ) -> None:
        self._clock = clock
        self._lead = Lead(costs=costs or ArmingCosts())
        self._launch = launch
        self._on_unstarted = on_unstarted
        self._on_backlog = on_backlog
        self._undecided = undecided
        self._changed = threading.Condition()
        self._agenda: Agenda | None = None
        #: Each T to which the present pass has added something, and since when, monotonic clock.
        self._touched: dict[int, int] = {}
        self._wake_ups: WakeUps | None = None
        self._last_look_ns = clock.monotonic_ns()
        self._is_launching = False
        self._closer = ServiceThread("planner", self._close_batches, pause_s=_AGAIN_S)

    def start(
        self,
        definitions: Definitions,
        decided_until: Mapping[str, int],
        due_occurrences: Iterable[DueOccurrence] = (),
    ) -> None:
        """
        Start planning.

        Args:
            definitions: The definitions in force.
            decided_until: For each scheduled job, the fire time up to which all are decided.
            due_occurrences: Due occurrences that an earlier process has left.
        """
        self._agenda = Agenda(
            definitions, decided_until, undecided=self._undecided, due_occurrences=due_occurrences
        )
        self._plan(self._agenda)
        self._closer.start()

    def replan(self, definitions: Definitions, decided_until: Mapping[str, int], *, now_ns: int) -> None:
        """
        Take new definitions between two batches. Closed batches keep their own definitions.

        Args:
            definitions: The new definitions.
            decided_until: As for `start`. If a job keeps its schedule, the planner uses its own value
                instead.
            now_ns: When the schedules that no job keeps ended.
        """
        agenda = self._current_agenda
        if self._wake_ups is not None:
            self._wake_ups.end()
        with self._changed:
            decided = agenda.replan(definitions, decided_until, now_ns=now_ns)
        self._hand_on(agenda, decided)
        self._plan(agenda)

    def add(self, due_occurrences: Iterable[DueOccurrence]) -> None:
        """Add occurrences that wait for their T."""
        with self._changed:
            for due in due_occurrences:
                self._current_agenda.add(due)
            self._changed.notify_all()

    def take_out(self, identity: OccurrenceId) -> DueOccurrence | None:
        """Take out an occurrence that waits for its T; return it, or None if it does not wait here."""
        with self._changed:
            for waiting in self._current_agenda.waiting.values():
                for due in [one for one in waiting if one.id == identity]:
                    waiting.remove(due)
                    return due
        return None

    def learn(self, jobs: Sequence[Job], *, claim_and_arm_ns: int) -> None:
        """Learn the lead from what claiming and arming a batch of these jobs took."""
        with self._changed:
            self._lead.learn(jobs=len(jobs), forks=_forks(jobs), claim_and_arm_ns=claim_and_arm_ns)

    @property
    def costs(self) -> ArmingCosts:
        """What is known of the costs of arming."""
        with self._changed:
            return self._lead.costs

    def lead_ns(self, jobs: Sequence[Job]) -> int:
        """Return the lead for a batch of these jobs."""
        with self._changed:
            return self._lead.for_batch(len(jobs), _forks(jobs))

    def wake(self) -> None:
        """Check again what is due, because the wall clock was set."""
        if self._wake_ups is not None:
            self._wake_ups.wake()

    def is_well(self) -> bool:
        """Whether this planner collects fire times and closes batches."""
        alive = self._closer.is_alive and self._clock.monotonic_ns() - self._last_look_ns < _HANGS_NS
        return alive and self._wake_ups is not None and self._wake_ups.is_well()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for its T, and no batch is being launched."""
        with self._changed:
            return not self._current_agenda.waiting and not self._is_launching

    def decided_until_ns(self) -> int | None:
        """
        Return the high-water mark: each fire time up to here has a durable row. None if that is not known.
        """
        now_ns = self._clock.wall_ns()
        # In this order, because a fire time that is collected meanwhile enters the undecided before it leaves
        # the wake-ups.
        first_ns = self._wake_ups.first_ns if self._wake_ups is not None else None
        if first_ns is None:
            return None
        undecided_ns = self._undecided.first()
        with self._changed:
            collected_ns = self._current_agenda.collected_until_ns()
        others = [collected_ns, None if undecided_ns is None else undecided_ns - 1]
        return min([now_ns, first_ns - 1, *(at for at in others if at is not None)])

    def stop(self) -> None:
        """Close no further batch. Occurrences that are only collected are left to the next start."""
        with self._changed:
            self._closer.stopping.set()
            self._changed.notify_all()
        self._closer.stop()
        if self._wake_ups is not None:
            self._wake_ups.end()

    def _collect(self, name: str, until_ns: int) -> None:
        """Collect the fire times of a job. Called on the thread of the wake-ups."""
        agenda, now_ns = self._current_agenda, self._clock.wall_ns()
        with self._changed:
            decided = agenda.collect(name, until_ns=max(until_ns, now_ns + LONGEST_NS), now_ns=now_ns)
            monotonic_ns = self._clock.monotonic_ns()
            while agenda.touched:
                self._touched.setdefault(agenda.touched.pop(), monotonic_ns)
        crash_points.passed("collect")
        self._hand_on(agenda, decided)

    def _hand_on(self, agenda: Agenda, decided: Iterable[UnstartedResult]) -> None:
        """Pass on the occurrences that end without a start, and those that wait for room."""
        for result in decided:
            self._on_unstarted(result)
        with self._changed:
            backlog, agenda.backlog = agenda.backlog, []
        if backlog:
            self._on_backlog(backlog)

    def _end_pass(self) -> None:
        """Allow batches to be closed again: everything that is due now has been collected."""
        with self._changed:
            self._touched.clear()
            self._changed.notify_all()

    @property
    def _current_agenda(self) -> Agenda:
        if self._agenda is None:
            raise RuntimeError("the planner has not started")
        return self._agenda

    def _plan(self, agenda: Agenda) -> None:
        definitions = agenda.definitions
        self._lead.fixed_ns = definitions.daemon.lead_ns
        self._wake_ups = WakeUps(
            {name: definitions.jobs[name].schedule for name in agenda.collected},
            collected=agenda.collected.__getitem__,
            due=self._collect,
            pass_is_over=self._end_pass,
        )
        self._wake_ups.start()

    def _close_batches(self) -> None:
        while True:
            with self._changed:
                due = {at_ns: self._current_agenda.take(at_ns) for at_ns in self._find_due()}
                self._is_launching = bool(due)
                if not due:
                    if self._closer.stopping.is_set():
                        return
                    self._last_look_ns = self._clock.monotonic_ns()
                    self._changed.wait(self._until_next_s())
            for planned_at_ns, due_occurrences in sorted(due.items()):
                if due_occurrences:
                    self._launch_or_wait(planned_at_ns, due_occurrences)

    def _launch_or_wait(self, planned_at_ns: int, due_occurrences: Sequence[DueOccurrence]) -> None:
        """
        Launch a batch. If that fails, for example for lack of a thread, put it back: it is tried again after
        the others.
        """
        try:
            self._launch(planned_at_ns, due_occurrences)
        except Exception:
            log.exception("a batch cannot begin, trying again", planned_at=rfc3339(planned_at_ns))
            self.add(due_occurrences)
            self._closer.stopping.wait(_AGAIN_S)

    def _find_due(self) -> list[int]:
        if self._closer.stopping.is_set():
            return []
        now_ns, monotonic_ns = self._clock.wall_ns(), self._clock.monotonic_ns()
        return [
            at
            for at, due_occurrences in self._current_agenda.waiting.items()
            if at - self._lead_of(due_occurrences) <= now_ns and not self._held_back_ns(at, monotonic_ns)
        ]

    def _held_back_ns(self, at_ns: int, monotonic_ns: int) -> int:
        """Return how long the present pass may still hold back a batch."""
        if at_ns not in self._touched:
            return 0
        return max(self._touched[at_ns] + _PASS_NS - monotonic_ns, 0)

    def _lead_of(self, due_occurrences: Sequence[DueOccurrence]) -> int:
        return self._lead.for_batch(len(due_occurrences), _forks(due.job for due in due_occurrences))

    def _until_next_s(self) -> float:
        now_ns, monotonic_ns = self._clock.wall_ns(), self._clock.monotonic_ns()
        waits = (
            max(at - self._lead_of(due_occurrences) - now_ns, self._held_back_ns(at, monotonic_ns))
            for at, due_occurrences in self._current_agenda.waiting.items()
        )
        return min(max(min(waits, default=SECOND) / SECOND, 0.001), _LOOK_S)


def _forks(jobs: Iterable[Job]) -> int:
    """Return how many of these jobs get a process of their own."""
    return sum(job.is_forked for job in jobs)
