"""
The countdown of one batch, from its claim to its last outcome, on a thread of its own. This module has the
order of the phases (see ARCHITECTURE.md).
"""

import queue
import threading
from collections.abc import Callable, Collection, Sequence
from functools import partial

import structlog

from tminus import crash_points
from tminus.daemon.attempts.evaluation import TOO_LATE
from tminus.daemon.attempts.render import CannotRender, Renderer
from tminus.daemon.batches.admission import Admission
from tminus.daemon.batches.batch_dispatcher import BatchDispatcher
from tminus.daemon.batches.batch_results import BatchResults
from tminus.daemon.batches.prepare_phase import PreparePhase
from tminus.daemon.processes.commands import Event, OrderHandle, Unsendable
from tminus.daemon.processes.dispatch import Dispatch, Holder, Item, is_of_runner
from tminus.daemon.runtime import Runtime
from tminus.executors.protocol import Armed
from tminus.instants import MS, SECOND, rfc3339
from tminus.model.batch import BatchClaim, DueOccurrence
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import Outcome
from tminus.policies import overlap
from tminus.policies.lead import is_out_of_reach
from tminus.secrets.redaction import Redaction
from tminus.while_alive import while_alive

log = structlog.get_logger()

#: Time between two checks whether the process is to end.
_SLICE_NS = 100 * MS
#: This long after T the recorder may write again, though no response has come yet.
_OUT_NS = 200 * MS


class Countdown:
    """
    Runs the due occurrences of one T.

    Args:
        runtime: The runtime, which all countdowns of this process share.
        planned_at_ns: T, wall clock, nanoseconds since the Unix epoch.
        due_occurrences: Not empty.
        on_ended: Called once, on the countdown's thread, at its end.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        planned_at_ns: int,
        due_occurrences: Sequence[DueOccurrence],
        on_ended: Callable[["Countdown"], None],
    ) -> None:
        self.planned_at_ns = planned_at_ns
        self.jobs = len(due_occurrences)
        self.claim_and_arm_ns: int | None = None
        self._runtime = runtime
        self._clock = runtime.clock
        self._settings = runtime.definitions.daemon
        self._due_occurrences = due_occurrences
        self._on_ended = on_ended
        self._events: queue.SimpleQueue[tuple[Dispatch, OrderHandle, Event, int] | None] = queue.SimpleQueue()
        self._cancels: queue.SimpleQueue[tuple[OccurrenceId, str]] = queue.SimpleQueue()
        self._began_ns = 0
        self._leave = threading.Event()
        self._abandon = threading.Event()
        self._results = BatchResults(
            runtime,
            planned_at_ns=planned_at_ns,
            due_occurrences=due_occurrences,
            history=self._settings.history,
        )
        self._admission = Admission(
            runtime,
            self._results,
            planned_at_ns=planned_at_ns,
            due_occurrences=due_occurrences,
            stop=self._leave,
        )
        times = {"planned_at_ns": planned_at_ns, "last_start_ns": self._admission.last_start_ns}
        on_event = while_alive(self._queue_event)
        self._dispatcher = BatchDispatcher(
            runtime, self._results, due_occurrences=due_occurrences, **times, on_event=on_event
        )
        self._prepare_phase = PreparePhase(
            runtime,
            self._results,
            planned_at_ns=planned_at_ns,
            on_event=on_event,
            wake=while_alive(self._wake),
        )
        self._thread = threading.Thread(
            target=self._run, name=f"countdown {rfc3339(planned_at_ns)}", daemon=True
        )

    def __repr__(self) -> str:
        return (
            f"<Countdown {rfc3339(self.planned_at_ns)} [{len(self._outstanding)} of {self.jobs} outstanding]>"
        )

    def start(self) -> None:
        """Begin with the claim."""
        self._thread.start()

    def leave(self) -> None:
        """
        Withdraw the batch before the commit. The claim stays, and the next start decides. After the commit
        this has no effect.
        """
        self._leave.set()

    def cancel(self, identity: OccurrenceId, reason: str) -> bool:
        """
        Cancel an occurrence of the batch: before the commit it does not start, later its attempt is ended.
        Any thread may call this.

        Returns:
            Whether its attempt is not over.
        """
        if not self._results.has_open(identity):
            return False
        self._cancels.put((identity, reason))
        self._wake()
        return self._results.has_open(identity)

    def abandon(self) -> None:
        """
        Wait no longer for responses; an occurrence without one is `unknown`. Before the commit, do as
        `leave`.
        """
        self._leave.set()
        self._abandon.set()

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for its end, at most this long."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._began_ns = self._clock.monotonic_ns()
            claim = self._admission.claim()
            if claim is not None:
                self._render(claim)
                if self._outstanding and self._arm_until_commit(claim) and self._commit(claim):
                    self._drain(claim)
        except Exception as error:
            log.exception("countdown broke", planned_at=rfc3339(self.planned_at_ns))
            self._break_off(error)
        finally:
            try:
                self._runtime.gate.release(self)
                self._prepare_phase.withdraw()
                for dispatch in self._all_dispatches:
                    dispatch.end_if_apart(at_once=True)
                self._results.log_summary()
            finally:
                self._on_ended(self)

    def _break_off(self, error: Exception) -> None:
        """
        The last resort: give each occurrence of the batch an outcome, `unknown` only if it was released.
        """
        self._results.break_off_all("the countdown", error, released=self._dispatcher.released)
        for holder in self._holders:
            holder.withdraw()

    def _render(self, claim: BatchClaim) -> None:
        """Render the occurrences; a job that raises here fails, and the others go on."""
        renderer = self._runtime.renderer()
        for index, due in enumerate(due for due in self._due_occurrences if due.id in claim.claimed):
            with self._results.guard("rendering", due):
                self._render_one(renderer, index, due)
        self._drop_ended()

    def _render_one(self, renderer: Renderer, index: int, due: DueOccurrence) -> None:
        try:
            work, redaction = renderer.render(due, index), Redaction(renderer.secrets(due))
            item = Item(due, work, redaction)
            if not self._prepare_phase.takes(item):
                self._dispatcher.add(item)
        except CannotRender as error:
            self._results.not_sent(due, error.message)

    def _drop_ended(self) -> None:
        for holder in self._holders:
            holder.outstanding = {
                index: item for index, item in holder.outstanding.items() if self._results.is_open(item.due)
            }

    def _queue_event(self, dispatch: Dispatch, shard: OrderHandle, event: Event) -> None:
        self._events.put((dispatch, shard, event, self._clock.monotonic_ns()))

    def _wake(self) -> None:
        self._events.put(None)

    @property
    def due_occurrences(self) -> Sequence[DueOccurrence]:
        """All of the batch."""
        return self._due_occurrences

    @property
    def _all_dispatches(self) -> list[Dispatch]:
        return sorted([*self._dispatcher.dispatches, *self._prepare_phase.prepared], key=is_of_runner)

    @property
    def _holders(self) -> list[Holder]:
        return [*self._all_dispatches, self._prepare_phase]

    @property
    def _outstanding(self) -> list[DueOccurrence]:
        return [item.due for holder in self._holders for item in holder.outstanding.values()]

    def _arm_until_commit(self, claim: BatchClaim) -> bool:
        """
        Arm all dispatches, and arm them again if their executor dies; wait for the time of the commit. Return
        False if there is nothing to commit.

        If the wall clock is set back to long before T, the batch waits for its T again.
        """
        dispatcher = self._dispatcher
        dispatcher.plan_commit()
        self._prepare_phase.start(dispatcher.commit_at_ns)
        for dispatch in sorted(dispatcher.dispatches, key=is_of_runner):  # to encode Python jobs takes longer
            dispatcher.arm(dispatch)
        while not self._leave.is_set() and self._outstanding:
            now_ns = self._clock.wall_ns()
            if is_out_of_reach(self.planned_at_ns - now_ns):
                self._put_back(claim)
                return False
            self._arm_prepared()
            armed = [one for one in dispatcher.dispatches if one.is_armed and one.outstanding]
            # If the executor of a dispatch is not ready by then, that dispatch follows later. None waits for
            # the executor of another one.
            if (armed and now_ns >= dispatcher.commit_at_ns) or self._admission.is_too_late():
                crash_points.passed("armed")
                return True
            for dispatch in dispatcher.dispatches:
                if not dispatch.is_armed:
                    dispatch.replace_if_it_hangs()
            if received := self._next_event(dispatcher.commit_at_ns if armed else None):
                dispatch, event, _ = received
                with dispatcher.guard(dispatch, "arming"):
                    dispatcher.handle_before_commit(dispatch, event)
                if isinstance(event, Armed) and self._are_all_armed():
                    self.claim_and_arm_ns = dispatcher.armed_from_ns - self._began_ns + event.took_ns
        for holder in self._holders:
            holder.withdraw()
        return False

    def _are_all_armed(self) -> bool:
        return not self._prepare_phase.outstanding and all(
            dispatch.is_armed for dispatch in self._all_dispatches if dispatch.outstanding
        )

    def _arm_prepared(self) -> None:
        """
        Arm the requests that Python has prepared: all together if they are ready in time, otherwise without
        the slow ones.
        """
        self._prepare_phase.update()
        if self._events.empty() and (dispatch := self._prepare_phase.take()):
            self._dispatcher.dispatches.append(dispatch)
            self._dispatcher.arm(dispatch)
            # The planner learns from this, so that the lead of the next batch has time for its `prepare`.
            self.claim_and_arm_ns = self._dispatcher.armed_from_ns - self._began_ns

    def _commit(self, claim: BatchClaim) -> bool:
        """Decide which occurrences start, and commit them. Return False if none starts."""
        if self._admission.is_too_late():
            self._miss_all(TOO_LATE)
            return False
        self._note_cancels()
        decided, held_back = self._admission.decide(self._outstanding)
        may_start = self._admission.commit(claim, decided, held_back)
        if may_start is None:
            self._miss_all("its start could not be written to the ledger in time")
            return False
        self._runtime.gate.shut_around(self, self.planned_at_ns)
        self._drop_ended()
        held_back_ids = {one.due.id for one in held_back}
        for identity in self._withdraw_all_but(may_start) - held_back_ids:
            self._runtime.in_flight.end(identity)
        for dispatch in self._all_dispatches:
            if dispatch.is_armed:
                self._dispatcher.release(dispatch)
        crash_points.passed("permitted")
        self._results.withdrawn(decided)
        self._results.keep(may_start)
        if held_back:
            self._runtime.on_held_back([one.due for one in held_back])
        for waits in held_back:
            for other in waits.cancels:
                why = f"{overlap.REASON}{waits.due.id} starts instead (cancel_other)"
                self._runtime.cancel(other.id, why)
        return bool(self._outstanding)

    def _withdraw_all_but(self, may_start: Collection[OccurrenceId]) -> set[OccurrenceId]:
        """Take out what does not start; return these occurrences."""
        withdrawn: set[OccurrenceId] = set()
        for holder in self._holders:
            for index, item in list(holder.outstanding.items()):
                if item.due.id not in may_start:
                    withdrawn.add(holder.outstanding.pop(index).due.id)
        return withdrawn

    def _put_back(self, claim: BatchClaim) -> None:
        """Have all occurrences wait for their T again: none was released."""
        log.warning(
            "the wall clock was set back, a batch waits again",
            planned_at=rfc3339(self.planned_at_ns),
            occurrences=len(self._outstanding),
        )
        for holder in self._holders:
            holder.withdraw()
        self._admission.put_back(claim, self._outstanding)

    def _drain(self, claim: BatchClaim) -> None:
        """Handle the reports of the executors until all occurrences have an outcome."""
        while self._outstanding:
            if self._clock.wall_ns() > self.planned_at_ns + _OUT_NS:
                self._runtime.gate.release(self)
            if self._abandon.is_set():
                self._prepare_phase.abandon()
                self._dispatcher.abandon()
            self._end_cancelled()
            self._arm_prepared()
            self._dispatcher.check_deadlines()
            if received := self._next_event():
                crash_points.passed("released")
                dispatch, event, received_monotonic_ns = received
                with self._dispatcher.guard(dispatch, "draining"):
                    self._dispatcher.handle(
                        dispatch,
                        event,
                        received_monotonic_ns=received_monotonic_ns,
                        put_back=partial(self._admission.put_back, claim),
                    )
        self._end_cancelled()

    def _note_cancels(self) -> list[OccurrenceId]:
        """Note which occurrences are to be cancelled since the last call, with the reasons; return them."""
        noted: list[OccurrenceId] = []
        while not self._cancels.empty():
            identity, reason = self._cancels.get()
            self._results.cancelled[identity] = reason
            noted.append(identity)
        return noted

    def _end_cancelled(self) -> None:
        for identity in self._note_cancels():
            if not self._results.has_open(identity):  # its attempt has just ended; another one may follow
                self._runtime.cancel(identity, self._results.cancelled[identity])
            for holder in self._holders:
                for index, item in list(holder.outstanding.items()):
                    if item.due.id != identity:
                        continue
                    if isinstance(holder, Dispatch) and holder.is_released:
                        holder.cancel(index)
                    else:
                        del holder.outstanding[index]
                        reason = self._results.cancelled[identity]
                        self._results.not_committed([item.due.ends(Outcome.CANCELLED, reason)])

    def _miss_all(self, why: str) -> None:
        """End all as `missed`. If this process is to end, leave them to the next start instead."""
        self._prepare_phase.update()
        for holder in self._holders:
            holder.withdraw()
            if not self._leave.is_set():
                self._results.late(holder, why)

    def _next_event(self, until_ns: int | None = None) -> tuple[Dispatch, Event, int] | None:
        """
        Return the next event of an executor, and when it was received. Return None at `until_ns`, or after a
        while without an event.
        """
        untils = (until_ns, self._prepare_phase.take_at_ns)
        wait_ns = min([_SLICE_NS, *(until - self._clock.wall_ns() for until in untils if until is not None)])
        try:
            received = self._events.get(timeout=max(wait_ns, 0) / SECOND)
        except queue.Empty:
            return None
        if received is None:  # something is prepared, or to be cancelled
            return None
        dispatch, shard, event, received_monotonic_ns = received
        if not dispatch.is_current(shard):
            return None
        if isinstance(event, Unsendable):
            with self._dispatcher.guard(dispatch, "arming"):
                event = self._results.unsendable(dispatch, event.reasons)
        return dispatch, event, received_monotonic_ns
