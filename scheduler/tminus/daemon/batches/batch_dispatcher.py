"""The dispatcher of a batch: each part goes to one executor, and is armed, released and ended by itself."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from tminus.daemon.attempts.evaluation import TOO_LATE
from tminus.daemon.attempts.render import CannotRender
from tminus.daemon.batches.batch_results import BatchResults
from tminus.daemon.processes.channels import ShardPlan
from tminus.daemon.processes.commands import Event, ExecutorDied, ExecutorUnavailable, OrderHandle
from tminus.daemon.processes.dispatch import HANGS_NS, Dispatch, Item, dispatch_for
from tminus.daemon.runtime import Runtime
from tminus.executors.protocol import Armed, AttemptResults, ShardEnded
from tminus.instants import MS, SECOND
from tminus.model.batch import DueOccurrence
from tminus.model.job import HttpTarget, runner_of
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import Cause
from tminus.policies.lead import LONGEST_NS, commit_before
from tminus.policies.misfire import is_misfire

#: Time that a lane needs between the end of arming and the barrier.
_ARM_MARGIN_NS = 50 * MS
#: Python jobs that were being armed when their runner died have this long to be armed again, even after T.
#: They start together.
_APART_NS = 10 * SECOND


class BatchDispatcher:
    """
    The dispatches of one batch. Belongs to the thread of its countdown.

    Args:
        planned_at_ns: T, wall clock.
        due_occurrences: All of the batch.
        last_start_ns: The end of the longest misfire grace time, wall clock.
        on_event: Called on other threads with what happens to the shards.
    """

    def __init__(
        self,
        runtime: Runtime,
        results: BatchResults,
        *,
        planned_at_ns: int,
        due_occurrences: Sequence[DueOccurrence],
        last_start_ns: int,
        on_event: Callable[[Dispatch, OrderHandle, Event], None],
    ) -> None:
        self.dispatches: list[Dispatch] = []
        self.armed_from_ns = 0
        self.commit_at_ns = 0
        self._runtime = runtime
        self._clock = runtime.clock
        self._settings = runtime.definitions.daemon
        self._results = results
        self._planned_at_ns = planned_at_ns
        self._last_start_ns = last_start_ns
        self._longest_ns = max(due.job.timeouts.total_ns for due in due_occurrences)
        self._has_requests = any(isinstance(due.job.target, HttpTarget) for due in due_occurrences)
        self._on_event = on_event
        self._t_monotonic_ns = 0

    @property
    def released(self) -> set[OccurrenceId]:
        """The occurrences that may have started and that no executor has reported."""
        return {
            item.due.id
            for dispatch in self.dispatches
            if dispatch.is_released
            for item in dispatch.outstanding.values()
        }

    def add(self, item: Item) -> None:
        """
        Add an occurrence to the part of its executor.

        Raises:
            CannotRender: the application of its executor is no longer in the jobs file.
        """
        executor = partial(self._runtime.executors.executor_for, item.due.job.target)
        dispatch_for(self.dispatches, executor, clock=self._clock, on_event=self._on_event).add(item)

    def plan_commit(self) -> None:
        """Set the time of the commit, by the time that is left until T."""
        self.commit_at_ns = self._commit_by(self._clock.wall_ns())

    def arm(self, dispatch: Dispatch) -> None:
        """Send a part to its executor."""
        if not dispatch.outstanding:
            return
        now_ns = self._clock.wall_ns()
        left_ns = self._planned_at_ns - now_ns
        commit_at_ns = self.commit_at_ns if now_ns < self.commit_at_ns else self._commit_by(now_ns)
        self.armed_from_ns = self._clock.monotonic_ns()
        deadline_ns = commit_at_ns - min(_ARM_MARGIN_NS, max(left_ns, 0) // 20)
        if dispatch.is_apart:
            deadline_ns = max(deadline_ns, min(now_ns + _APART_NS, self._last_start_ns))
        plan = ShardPlan(
            planned_at_ns=self._planned_at_ns,
            deadline_ns=deadline_ns,
            give_up_ns=max(self._last_start_ns, now_ns) + HANGS_NS,
            settings=self._settings,
            batch_has_requests=self._has_requests,
        )
        with self.guard(dispatch, "arming"):
            try:
                dispatch.arm(plan)
            except CannotRender as error:  # a reload has taken its application away
                self._results.broken(dispatch, error.message)

    def release(self, dispatch: Dispatch) -> None:
        """Release a part at T: the commit is durable."""
        wall_ns, monotonic_ns = self._clock.wall_ns(), self._clock.monotonic_ns()
        self._t_monotonic_ns = monotonic_ns + max(self._planned_at_ns - wall_ns, 0)
        with self.guard(dispatch, "releasing"):
            # The longest lead, because a wall clock that is set back prolongs the hold.
            ends_in_ns = max(self._last_start_ns - wall_ns, 0) + LONGEST_NS + self._longest_ns
            dispatch.release(ends_in_ns=ends_in_ns)

    def handle_before_commit(self, dispatch: Dispatch, event: Event) -> None:
        """Handle an event of a part before the commit."""
        match event:
            case Armed():
                dispatch.is_armed = True
            case ExecutorDied():
                self.plan_commit()
                self._set_apart(dispatch, event)
                self.arm(dispatch)
            case ExecutorUnavailable(reason=reason):
                self._results.broken(dispatch, reason)
            case AttemptResults():
                self._results.finished(dispatch, event.finished)
            case ShardEnded() if self._is_too_late():
                self._results.late(dispatch, TOO_LATE)
            case ShardEnded():
                self._results.broken(
                    dispatch, "its executor ended this part of the batch before T", cause=Cause.EXECUTOR
                )

    def handle(
        self,
        dispatch: Dispatch,
        event: Event,
        *,
        received_monotonic_ns: int,
        put_back: Callable[[Sequence[DueOccurrence]], object],
    ) -> None:
        """
        Handle an event of a part after the commit.

        Args:
            received_monotonic_ns: When the event came, monotonic clock.
            put_back: Called with occurrences that an executor has not started, because the wall clock was set
                back to long before T.
        """
        match event:
            case AttemptResults():
                dispatch.has_begun = dispatch.has_begun or any(one.started_ns for one in event.finished)
                self._results.finished(dispatch, event.finished)
            case ExecutorDied():
                self._go_on_after(dispatch, event, received_monotonic_ns)
            case ExecutorUnavailable(reason=reason):
                self._results.broken(dispatch, reason)
            case Armed() if not dispatch.is_released:
                self.release(dispatch)
            case ShardEnded(released=False) if self._is_before_t():
                put_back([item.due for item in dispatch.outstanding.values()])
                dispatch.outstanding = {}
            case ShardEnded(released=False):
                self._results.late(dispatch, TOO_LATE)
            case ShardEnded():
                self._results.lost(dispatch, "the executor has not reported a result")

    def check_deadlines(self) -> None:
        """
        End the occurrences that are too late in parts that are not released, and replace executors that hang.
        """
        for dispatch in self.dispatches:
            with self.guard(dispatch, "draining"):
                if not dispatch.is_released:  # its executor is not ready yet
                    self._results.too_late(dispatch, TOO_LATE)
                if dispatch.outstanding:
                    dispatch.replace_if_it_hangs()
                elif not dispatch.is_released:
                    dispatch.withdraw()
                dispatch.end_if_apart()

    def abandon(self) -> None:
        """Wait no longer: occurrences that may have started are `unknown`, the others are `missed`."""
        for dispatch in self.dispatches:
            if dispatch.is_released:
                self._results.lost(dispatch, "tminus was stopped before an answer came (shutdown_grace)")
            else:
                self._results.late(
                    dispatch, "tminus was stopped before its executor was ready (shutdown_grace)"
                )

    @contextmanager
    def guard(self, dispatch: Dispatch, step: str) -> Iterator[None]:
        """
        Run a step that handles one part of the batch: an unforeseen exception ends the jobs of this part
        alone.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001  the guard's whole purpose; it is logged with its traceback
            self._break_off(dispatch, step, error)

    def _break_off(self, dispatch: Dispatch, step: str, error: Exception) -> None:
        may_be_sent, name = dispatch.is_released, dispatch.supervisor.name
        items, dispatch.outstanding = list(dispatch.outstanding.values()), {}
        for item in items:
            self._results.break_off(step, item.due, error, may_be_sent=may_be_sent, executor=name)
        if not may_be_sent:
            dispatch.withdraw()

    def _go_on_after(self, dispatch: Dispatch, died: ExecutorDied, received_monotonic_ns: int) -> None:
        """
        Go on after the death of an executor: occurrences that it may have started are `unknown`, the others
        go to the next executor.
        """
        # Nothing starts before T. If the wall clock was set back, the monotonic clock still shows that T has
        # passed.
        is_past_t = (
            died.at_ns >= self._planned_at_ns
            or received_monotonic_ns >= self._t_monotonic_ns
            or dispatch.has_begun
        )
        if dispatch.is_released and (is_past_t or died.entered_ns):
            why = f"the executor process died after the release ({died.reason})"
            self._results.lost(dispatch, why, died.entered_ns)
        if dispatch.outstanding and self._is_too_late():
            self._results.late(dispatch, TOO_LATE)
        elif dispatch.outstanding:
            self._set_apart(dispatch, died)
            self.arm(dispatch)

    def _is_before_t(self) -> bool:
        return self._clock.wall_ns() < self._planned_at_ns

    def _is_too_late(self) -> bool:
        """Whether no occurrence of the batch may start any more."""
        return is_misfire(now_ns=self._clock.wall_ns(), latest_start_ns=self._last_start_ns)

    def _set_apart(self, dispatch: Dispatch, died: ExecutorDied) -> None:
        """
        Give a runner of their own to the jobs that were being armed when a runner died, so that the others
        are on time.

        If that runner dies, too, while it arms a job, this job has ended both.
        """
        doubted = [index for index in died.loading if index in dispatch.outstanding]
        if not doubted:
            return
        why = f"the executor process died while it was arming the job ({died.reason})"
        target = dispatch.outstanding[doubted[0]].due.job.target
        if dispatch.is_apart or isinstance(target, HttpTarget):
            self._refuse(dispatch, doubted, why)
            return
        try:
            runner = self._runtime.executors.start_extra(runner_of(target))
        except (CannotRender, OSError) as error:
            self._refuse(dispatch, doubted, f"{why}, and there is no other one: {error}")
            return
        self.dispatches.append(
            apart := Dispatch(lambda: runner, clock=self._clock, on_event=self._on_event, is_apart=True)
        )
        dispatch.move(doubted, apart)
        self.arm(apart)

    def _refuse(self, dispatch: Dispatch, indices: Sequence[int], why: str) -> None:
        for index in indices:
            due = dispatch.outstanding.pop(index).due
            self._results.not_sent(due, why, cause=Cause.EXECUTOR)

    def _commit_by(self, now_ns: int) -> int:
        return self._planned_at_ns - commit_before(self._planned_at_ns - now_ns)
