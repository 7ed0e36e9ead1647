"""The outcomes of one batch: each goes to the recorder once, and a log line sums up the batch."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import structlog

from tminus.daemon.attempts import evaluation
from tminus.daemon.attempts.retries import retry_after_report, retry_after_unknown
from tminus.daemon.processes.commands import ExecutorDied
from tminus.daemon.processes.dispatch import Dispatch, Holder, Item
from tminus.daemon.runtime import Runtime
from tminus.executors.protocol import AttemptResult
from tminus.instants import rfc3339
from tminus.model.batch import DueOccurrence, OccurrenceResult, ScheduledRetry, UnstartedResult
from tminus.model.chain import Failure
from tminus.model.definitions import History
from tminus.model.occurrence import OccurrenceId, milliseconds
from tminus.outcome import Cause, Outcome
from tminus.policies.misfire import is_misfire

log = structlog.get_logger()

#: At most this many failures of one batch are logged by name.
_MOST_WARNINGS = 20


class BatchResults:
    """
    The outcomes of one batch. Belongs to the thread of its countdown.

    Args:
        planned_at_ns: T, wall clock.
        due_occurrences: The due occurrences of the batch. Each gets exactly one outcome here, unless another
            process owns it.
        history: The limits for stored responses.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        planned_at_ns: int,
        due_occurrences: Sequence[DueOccurrence],
        history: History,
    ) -> None:
        self._runtime = runtime
        self._planned_at_ns = planned_at_ns
        self._history = history
        self.cancelled: dict[OccurrenceId, str] = {}  #: the reasons of those that were cancelled
        self._open = {due.id: due for due in due_occurrences}
        self._outcomes: Counter[str] = Counter()
        self._offsets: list[int] = []
        self._warnings_left = _MOST_WARNINGS

    def is_open(self, due: DueOccurrence) -> bool:
        """Whether this process owns an occurrence and it has no outcome yet."""
        return due.id in self._open

    def has_open(self, identity: OccurrenceId) -> bool:
        """Whether an occurrence of the batch has no outcome yet. Any thread may call this."""
        return identity in self._open

    def keep(self, ours: Collection[OccurrenceId]) -> None:
        """Keep these occurrences, and forget the others, which belong to other processes."""
        for identity in self._open.keys() - set(ours):
            del self._open[identity]

    @contextmanager
    def guard(
        self, step: str, due: DueOccurrence, *, may_be_sent: bool = False, executor: str | None = None
    ) -> Iterator[None]:
        """
        Run a step that handles one job: an unforeseen exception ends this job alone.

        Args:
            step: For people, such as `rendering`.
            due: The job's occurrence.
            may_be_sent: Whether its request may have been sent, or its function may have been entered.
            executor: The name of its executor.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001  the guard's whole purpose; it is logged with its traceback
            self.break_off(step, due, error, may_be_sent=may_be_sent, executor=executor)

    def break_off(
        self,
        step: str,
        due: DueOccurrence,
        error: Exception,
        *,
        may_be_sent: bool = False,
        executor: str | None = None,
    ) -> None:
        """Give an occurrence its outcome after an unforeseen exception. Arguments as for `guard`."""
        outcome = Outcome.UNKNOWN if may_be_sent else Outcome.FAILED
        message = f"{step} broke ({type(error).__name__})"
        if may_be_sent:
            message += "; how far it came is not known"
        reason = f"{Cause.OTHER}: {message}" if may_be_sent else f"{Cause.OTHER}, not sent: {message}"
        chain = due.chain(Failure(outcome=outcome, kind=Cause.OTHER, message=message))
        now_ns = self._runtime.clock.wall_ns()
        if may_be_sent:
            self._put(
                OccurrenceResult(
                    id=due.id,
                    outcome=outcome,
                    reason=reason,
                    finished_at_ns=now_ns,
                    executor=executor,
                    chain=chain,
                )
            )
        else:  # unlike an `OccurrenceResult`, this needs no row in the ledger: it may be the claim that broke
            self._put(replace(due.ends(outcome, reason), chain=chain))
        log.error("a job broke, the others go on", occurrence=str(due.id), step=step, exc_info=error)

    def break_off_all(self, step: str, error: Exception, *, released: Collection[OccurrenceId]) -> None:
        """
        Give an outcome to each occurrence that has none. Only the released ones may have been sent.
        """
        for identity, due in list(self._open.items()):
            self.break_off(step, due, error, may_be_sent=identity in released)

    def withdrawn(self, decided: Iterable[UnstartedResult]) -> None:
        """Count these occurrences as ended, because the commit has stored their outcomes."""
        for result in decided:
            if self._open.pop(result.id, None):
                self._outcomes[result.outcome] += 1

    def put_back(self, due_occurrences: Iterable[DueOccurrence]) -> None:
        """Count these occurrences as ended here, because they wait for their T again."""
        for due in due_occurrences:
            if not due.previous:  # between two attempts it stays in flight
                self._runtime.in_flight.end(due.id)
                if due.waits_for_room and not due.origin.is_of_past_fire_time:
                    self._runtime.in_flight.add_waiting(due)
            self._close(due.id, "put_back")

    def not_committed(self, decided: Iterable[UnstartedResult]) -> None:
        """Record these decisions, because the commit has not stored them."""
        for result in decided:
            self._put(result)

    def finished(self, dispatch: Dispatch, reports: Iterable[AttemptResult]) -> None:
        """Evaluate the reports of an executor."""
        for report in reports:
            if item := dispatch.outstanding.pop(report.index, None):
                due, name = item.due, dispatch.supervisor.name
                was_sent = bool(report.started_ns) or report.unknown
                with self.guard("evaluation", due, may_be_sent=was_sent, executor=name):
                    ended = self._evaluate(item, report, name)
                    retry = retry_after_report(due, ended, report)
                    if not report.still_runs:
                        self._put(retry or ended)
                    elif retry:
                        dispatch.when_left(report.index, partial(self._runtime.recorder.put, retry))
                        self._close(due.id, "retried")
                    else:
                        self._put(ended, counts_on=True)
                        dispatch.when_left(report.index, partial(self._runtime.in_flight.end, due.id))

    def not_prepared(self, item: Item, report: AttemptResult, executor: str | None) -> None:
        """Evaluate the report on a `prepare` that has failed. Its request is not sent."""
        with self.guard("evaluation", item.due, executor=executor):
            self._put(self._evaluate(item, report, executor or "", is_prepared=False))

    def _evaluate(
        self, item: Item, report: AttemptResult, executor: str, *, is_prepared: bool = True
    ) -> OccurrenceResult:
        if report.started_ns:
            self._offsets.append(report.started_ns - self._planned_at_ns)
        return evaluation.evaluate_attempt(
            item.due,
            report,
            executor=executor,
            history=self._history,
            redaction=item.redaction,
            work=item.work if is_prepared else None,
            printed=item.printed,
            cancelled=self.cancelled.get(item.due.id, "cancelled"),
        )

    def not_sent(self, due: DueOccurrence, reason: str, *, cause: Cause = Cause.DEFINITION) -> None:
        """End an occurrence as `failed`, because it cannot be sent."""
        with self.guard("evaluation", due):
            self._put(evaluation.not_sent(due, reason, now_ns=self._runtime.clock.wall_ns(), cause=cause))

    def unsendable(self, dispatch: Dispatch, reasons: Mapping[int, str]) -> ExecutorDied:
        """
        End the works that cannot be encoded, each for its reason. The others were not sent either. Return an
        event for them, as if their executor had died.
        """
        for index, reason in reasons.items():
            if item := dispatch.outstanding.pop(index, None):
                self.not_sent(item.due, reason)
        return ExecutorDied(0, "it was not sent", {})

    def broken(self, dispatch: Dispatch, reason: str, *, cause: Cause = Cause.DEFINITION) -> None:
        """End every occurrence of a dispatch as `failed`, because its executor does not work."""
        for due in _taken(dispatch):
            self.not_sent(due, reason, cause=cause)

    def too_late(self, holder: Holder, reason: str) -> None:
        """End as `missed` the occurrences whose misfire grace time is over."""
        now_ns = self._runtime.clock.wall_ns()
        late = [
            index
            for index, item in holder.outstanding.items()
            if is_misfire(now_ns=now_ns, latest_start_ns=item.due.latest_start_ns)
        ]
        self.missed([holder.outstanding.pop(index).due for index in late], reason)

    def late(self, holder: Holder, reason: str) -> None:
        """End all occurrences of a holder as `missed`: none has started."""
        self.missed(_taken(holder), reason)

    def missed(self, due_occurrences: Sequence[DueOccurrence], reason: str) -> None:
        """End these occurrences as `missed`: they have not started."""
        for due in due_occurrences:
            with self.guard("evaluation", due):
                why = evaluation.why_too_late(due) if reason == evaluation.TOO_LATE else reason
                self._put(due.ends(Outcome.MISSED, why))

    def lost(self, dispatch: Dispatch, reason: str, entered_ns: Mapping[int, int] | None = None) -> None:
        """
        End as `unknown` the occurrences of a dispatch that had begun.

        Args:
            dispatch: The dispatch whose executor died.
            reason: The reason, for people.
            entered_ns: When they had begun, by their index, wall clock. If it is None, that is unknown, and
                all may have begun.
        """
        now_ns = self._runtime.clock.wall_ns()
        begun = dict.fromkeys(dispatch.outstanding, 0) if entered_ns is None else entered_ns
        for index, started_ns in begun.items():
            if item := dispatch.outstanding.pop(index, None):
                due, name = item.due, dispatch.supervisor.name
                with self.guard("evaluation", due, may_be_sent=True, executor=name):
                    ended = evaluation.lost(due, reason, executor=name, now_ns=now_ns, started_ns=started_ns)
                    self._put(retry_after_unknown(due, ended) or ended)

    def log_summary(self) -> None:
        """Log the start offsets and the number of each outcome."""
        if self._outcomes:
            offsets = sorted(self._offsets)
            log.info(
                "batch",
                planned_at=rfc3339(self._planned_at_ns),
                started=len(offsets),
                first_ms=milliseconds(offsets[0]) if offsets else None,
                last_ms=milliseconds(offsets[-1]) if offsets else None,
                **dict(sorted(self._outcomes.items())),
            )

    def _put(
        self, item: OccurrenceResult | UnstartedResult | ScheduledRetry, *, counts_on: bool = False
    ) -> None:
        """
        Pass an outcome, or that another attempt follows, to the recorder. A second one for the same
        occurrence changes nothing.

        Args:
            counts_on: Whether its thread still runs, so that it still counts for `overlap`.
        """
        if item.id not in self._open:
            return
        if not (counts_on or isinstance(item, ScheduledRetry)):
            self._runtime.in_flight.end(item.id)
        self._runtime.recorder.put(item)
        self._close(item.id, "retried" if isinstance(item, ScheduledRetry) else item.outcome)
        if not isinstance(item, ScheduledRetry):
            self._warn(str(item.id), item.outcome, item.reason)

    def _close(self, identity: OccurrenceId, how: str) -> None:
        """Count an occurrence as ended here: with its outcome, or `retried`."""
        del self._open[identity]
        self._outcomes[how] += 1

    def _warn(self, occurrence: str, outcome: Outcome, reason: str | None) -> None:
        """Log a failure by name, up to a limit; the ledger has all of them."""
        if outcome is not Outcome.SUCCEEDED and self._warnings_left:
            self._warnings_left -= 1
            log.warning(outcome.value, occurrence=occurrence, reason=reason)
            if not self._warnings_left:
                log.warning("more failures in this batch, see the ledger", see="tminus history")


def _taken(holder: Holder) -> list[DueOccurrence]:
    items, holder.outstanding = list(holder.outstanding.values()), {}
    return [item.due for item in items]
