"""
The planner: what is due at the same T becomes one batch, which is closed its own lead before T, or at once if that is past.

The wake-ups say when to look; the agenda says which fire times there are.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from scheduler.clock import Clock
from scheduler.daemon.agenda import Agenda
from scheduler.daemon.undecided import Undecided
from scheduler.daemon.wakeups import WakeUps
from scheduler.instants import SECOND, rfc3339
from scheduler.model.batch import Decided, Due
from scheduler.model.definitions import Definitions
from scheduler.policies.lead import LONGEST_NS, Lead

log = structlog.get_logger()

#: Between two looks at the clock; a step of it is noticed within this.
_LOOK_S = 0.25
#: After a batch that could not begin.
_AGAIN_S = 0.05
#: A pass of the wake-ups that takes longer than this no longer holds back its batches.
_PASS_NS = 2 * SECOND


class Planner:
    """
    Thread-safe.

    Args:
        launch: Takes a closed batch: its T and its due occurrences.
        decided: Takes occurrences that end unstarted.
        undecided: Holds what is due until its row is durable.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        launch: Callable[[int, Sequence[Due]], None],
        decided: Callable[[Decided], None],
        undecided: Undecided,
    ) -> None:
        self._clock = clock
        self._lead = Lead()
        self._launch = launch
        self._decided = decided
        self._undecided = undecided
        self._changed = threading.Condition()
        self._agenda: Agenda | None = None
        self._touched: dict[int, int] = {}
        self._wake_ups: WakeUps | None = None
        self._stopping = False
        self._looked_at_ns = clock.monotonic_ns()
        self._closer = threading.Thread(target=self._close_batches, name="planner", daemon=True)

    def start(self, definitions: Definitions, after: Mapping[str, int], dues: Iterable[Due] = ()) -> None:
        """
        Begin.

        Args:
            definitions: The definitions in force.
            after: For each scheduled job, the fire time up to which all are decided.
            dues: Due occurrences that an earlier process has left.
        """
        self._agenda = Agenda(definitions, after, undecided=self._undecided, dues=dues)
        self._plan(self._agenda)
        self._closer.start()

    def replan(self, definitions: Definitions, after: Mapping[str, int], *, now_ns: int) -> None:
        """
        Take other definitions between two batches: what is closed keeps its own.

        Args:
            definitions: The new definitions.
            after: As for `start`. For a schedule that stays, the planner knows better.
            now_ns: When the schedules that are not among them ended.
        """
        agenda = self._started
        if self._wake_ups is not None:
            self._wake_ups.end()
        with self._changed:
            decided = agenda.replan(definitions, after, now_ns=now_ns)
        for one in decided:
            self._decided(one)
        self._plan(agenda)

    def add(self, dues: Iterable[Due]) -> None:
        """Take in occurrences that wait for their T."""
        with self._changed:
            for due in dues:
                self._started.add(due)
            self._changed.notify_all()

    def learn(self, *, jobs: int, claim_and_arm_ns: int) -> None:
        """Learn the lead from what claiming and arming a batch took."""
        with self._changed:
            self._lead.learn(jobs=jobs, claim_and_arm_ns=claim_and_arm_ns)

    def lead_ns(self, jobs: int) -> int:
        """Return the lead for this many jobs."""
        with self._changed:
            return self._lead.for_batch(jobs)

    def wake(self) -> None:
        """Look again what is due: the wall clock was set."""
        if self._wake_ups is not None:
            self._wake_ups.wake()

    def is_well(self) -> bool:
        """Whether fire times are collected and batches are closed."""
        alive = self._closer.is_alive() and self._clock.monotonic_ns() - self._looked_at_ns < 5 * SECOND
        return alive and self._wake_ups is not None and self._wake_ups.is_well()

    def decided_until_ns(self) -> int | None:
        """Return the high-water mark: each fire time up to here has a durable row. None if that is not known."""
        now_ns = self._clock.wall_ns()
        # In this order: what is collected meanwhile leaves the wake-ups only when it is among the undecided.
        first_ns = self._wake_ups.first_ns if self._wake_ups is not None else None
        if first_ns is None:
            return None
        undecided_ns = self._undecided.first()
        with self._changed:
            behind_ns = self._started.behind_ns()
        others = [behind_ns, None if undecided_ns is None else undecided_ns - 1]
        return min([now_ns, first_ns - 1, *(at for at in others if at is not None)])

    def stop(self) -> None:
        """Close no further batch; what is only collected is left for the next start."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._closer.join()
        if self._wake_ups is not None:
            self._wake_ups.end()

    def _collect(self, name: str, until_ns: int) -> None:
        """Collect the fire times of a job; on the thread of the wake-ups."""
        agenda, now_ns = self._started, self._clock.wall_ns()
        with self._changed:
            decided = agenda.collect(name, until_ns=max(until_ns, now_ns + LONGEST_NS), now_ns=now_ns)
            monotonic_ns = self._clock.monotonic_ns()
            while agenda.touched:
                self._touched.setdefault(agenda.touched.pop(), monotonic_ns)
        for one in decided:
            self._decided(one)

    def _end_pass(self) -> None:
        """Allow batches to be closed again: everything that is due now has been collected."""
        with self._changed:
            self._touched.clear()
            self._changed.notify_all()

    @property
    def _started(self) -> Agenda:
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
                ripe = {at: self._started.take(at) for at in self._ripe()}
                if not ripe:
                    if self._stopping:
                        return
                    self._looked_at_ns = self._clock.monotonic_ns()
                    self._changed.wait(self._until_next_s())
            for planned_at_ns, dues in sorted(ripe.items()):
                if dues:
                    self._insist_on_launch(planned_at_ns, dues)

    def _insist_on_launch(self, planned_at_ns: int, dues: Sequence[Due]) -> None:
        """Launch a batch. If there is no thread for it now, the others are launched first, and then this one again."""
        try:
            self._launch(planned_at_ns, dues)
        except Exception:
            log.exception("a batch cannot begin, trying again", planned_at=rfc3339(planned_at_ns))
            self.add(dues)
            threading.Event().wait(_AGAIN_S)

    def _ripe(self) -> list[int]:
        if self._stopping:
            return []
        now_ns, monotonic_ns = self._clock.wall_ns(), self._clock.monotonic_ns()
        return [
            at
            for at, dues in self._started.waiting.items()
            if at - self._lead.for_batch(len(dues)) <= now_ns
            if monotonic_ns - self._touched.get(at, -_PASS_NS) >= _PASS_NS
        ]

    def _until_next_s(self) -> float:
        now_ns = self._clock.wall_ns()
        waits = (at - self._lead.for_batch(len(dues)) - now_ns for at, dues in self._started.waiting.items())
        return min(max(min(waits, default=SECOND) / SECOND, 0.001), _LOOK_S)
