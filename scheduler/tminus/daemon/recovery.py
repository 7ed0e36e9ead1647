"""Recovery: after a start, each occurrence that an earlier process has left open runs or gets its outcome."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from tminus.daemon.attempts import evaluation
from tminus.daemon.attempts.retries import retry_after_unknown
from tminus.daemon.batches.admission import DELETED, cancelled_by
from tminus.daemon.batches.overdue_occurrences import missed, skipped_if_withheld
from tminus.daemon.calls.call import CallResult
from tminus.daemon.calls.calls import KILLED
from tminus.daemon.runs.background_adapter import to_result
from tminus.daemon.runs.background_runs import MOST_CALLS, without_options
from tminus.daemon.runs.left_behind import due_by, unreadable
from tminus.daemon.schedule_recovery import RecoveryDecisions, active_schedules, decide_account
from tminus.errors import LedgerError, LedgerValueError
from tminus.ledger import background_queue, claims, history, outcomes, requests, schedules
from tminus.ledger.background_queue import QueuedRun
from tminus.ledger.engine import Ledger
from tminus.model.batch import DueOccurrence, OccurrenceResult, UnstartedResult
from tminus.model.definitions import Definitions, History
from tminus.model.job import HttpTarget
from tminus.model.occurrence import Attempt, Occurrence
from tminus.outcome import Origin, Outcome
from tminus.policies.catch_up import runs_back_ns
from tminus.policies.deadline import is_past
from tminus.policies.misfire import is_misfire
from tminus.policies.withheld import NOTHING, Withheld

log = structlog.get_logger()

#: Decisions per transaction.
_CHUNK = 500
_KILLED = "tminus was killed between the release and the answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """
    The result of a recovery: what is still to run.

    Attributes:
        due_occurrences: The occurrences that run, on time if T is still to come, otherwise late.
        backlog: Those that wait for room, some of which have no row yet.
        decided_until: For each scheduled job, the instant up to which all its fire times are decided.
    """

    due_occurrences: Sequence[DueOccurrence]
    backlog: Sequence[DueOccurrence] = ()
    decided_until: dict[str, int]


def recover(
    ledger: Ledger,
    definitions: Definitions,
    *,
    since_ns: int,
    now_ns: int,
    withheld: Withheld = NOTHING,
    on_progress: Callable[[], None] = lambda: None,
) -> Recovered:
    """
    Decide all occurrences that an earlier process has left open. Nothing else may run on this ledger
    meanwhile.

    It may be interrupted at any moment: the next start decides the rest, and no decision changes. A job or a
    row that raises here affects no other one.

    Args:
        ledger: Locked by this process.
        definitions: The definitions in force.
        since_ns: When this process started: the fire times of a new job count from then on.
        now_ns: Wall clock.
        withheld: What operators have paused and skipped.
        on_progress: Called between two transactions, as a sign of life.
    """
    requeued = _call_again(ledger, now_ns=now_ns)
    unfinished = history.unfinished(ledger, background=False, unreadable=unreadable)
    released = [row for row in unfinished if row.is_attempted]
    again = _end_released(ledger, definitions, released, now_ns=now_ns)
    decisions, left = RecoveryDecisions(list(again)), defaultdict[str, list[DueOccurrence]](list)
    for occurrence in unfinished:
        if not occurrence.is_attempted:
            with _guard(occurrence):
                due = due_by(definitions, occurrence, previous=_previous(ledger, occurrence))
                _decide_unreleased(occurrence, due, definitions, decisions, left, now_ns=now_ns)
    decided_until = schedules.replace_schedules(ledger, active_schedules(definitions), now_ns=since_ns)
    for account in schedules.accounts(ledger):  # of each schedule, also of one that has ended
        found = decide_account(account, left[account.job], definitions, now_ns=now_ns)
        decisions.due_occurrences.extend(found.due_occurrences)
        decisions.unstarted.extend(found.unstarted)
    claims.renew(
        ledger, [due.id for due in decisions.due_occurrences if due.is_written], version=definitions.version
    )
    decisions.unstarted[:] = [skipped_if_withheld(one, withheld) for one in decisions.unstarted]
    for start in range(0, len(decisions.unstarted), _CHUNK):
        _write(ledger, decisions.unstarted[start : start + _CHUNK], now_ns=now_ns)
        on_progress()
    _log_summary(len(released) - len(again), decisions)
    if requeued:
        log.warning("killed while they ran, called again", background_runs=requeued)
    return Recovered(
        due_occurrences=[due for due in decisions.due_occurrences if not due.waits_for_room],
        backlog=[due for due in decisions.due_occurrences if due.waits_for_room],
        decided_until={name: max(until_ns, now_ns) for name, until_ns in decided_until.items()},
    )


@contextmanager
def _guard(row: Occurrence | QueuedRun) -> Iterator[None]:
    """Run a step that handles one row: if it raises, the row stays as it is until the next start."""
    try:
        yield
    except Exception as error:
        if _is_of_ledger(error):
            raise
        identity = row.occurrence if isinstance(row, QueuedRun) else row.id
        log.exception("a row of the ledger is not valid", occurrence=str(identity))


def _previous(ledger: Ledger, occurrence: Occurrence) -> Attempt | None:
    """Return the last ended attempt of an occurrence; None if there is none."""
    return history.find_attempts(ledger, occurrence.id)[-1] if occurrence.attempts else None


def _decide_unreleased(
    occurrence: Occurrence,
    due: DueOccurrence | None,
    definitions: Definitions,
    decisions: RecoveryDecisions,
    left: defaultdict[str, list[DueOccurrence]],
    *,
    now_ns: int,
) -> None:
    """
    Decide an occurrence that is queued, claimed and not released, or between two attempts.

    Args:
        due: What is due for it; None if its job was deleted.
        left: Gets those of schedules that are overdue and not too late.
    """
    if due is None:
        decisions.unstarted.append(_cancelled(occurrence, DELETED))
    elif (result := cancelled_by(definitions, due)) is not None:
        decisions.unstarted.append(result)
    elif due.previous and not is_misfire(now_ns=now_ns, latest_start_ns=due.latest_start_ns):
        decisions.due_occurrences.append(due)
    elif due.previous:
        decisions.unstarted.append(missed(due))
    elif due.origin is not Origin.CATCH_UP and (due.room_at_ns is not None or due.planned_at_ns > now_ns):
        decisions.due_occurrences.append(due)
    elif _is_missed(due, now_ns=now_ns):
        decisions.unstarted.append(missed(due))
    elif due.origin.is_by_schedule:
        left[due.job.name].append(due)
    else:
        decisions.due_occurrences.append(due)


def _is_missed(due: DueOccurrence, *, now_ns: int) -> bool:
    """
    Return whether an occurrence is too late to run. A catch-up counts from the decision that it runs, so that
    a short stop does not end the catch-ups that wait.
    """
    back_ns = due.job.misfire_grace_ns
    if due.origin.is_by_schedule:
        back_ns = runs_back_ns(grace_ns=back_ns, window_ns=due.job.catch_up.window_ns)
    is_over = is_past(deadline_ns=due.not_after_ns, now_ns=now_ns)
    return is_over or is_misfire(now_ns=now_ns, latest_start_ns=due.release_at_ns + back_ns)


def _call_again(ledger: Ledger, *, now_ns: int) -> int:
    """
    Queue interrupted background runs again, unless they are cancelled or that was the last call; return how
    many.
    """
    interrupted, cancelled = background_queue.find_interrupted(ledger), requests.runs_to_cancel(ledger)
    again = [run for run in interrupted if run.attempt < MOST_CALLS and run.number not in cancelled]
    background_queue.requeue_interrupted(
        ledger, {run.number: evaluation.unknown_attempt(run.attempt, KILLED, now_ns=now_ns) for run in again}
    )
    for run in interrupted:
        if run not in again:
            with _guard(run):
                outcomes.record(
                    ledger, [_to_unknown(ledger, run, is_cancelled=run.number in cancelled, now_ns=now_ns)]
                )
    return len(again)


def _to_unknown(ledger: Ledger, run: QueuedRun, *, is_cancelled: bool, now_ns: int) -> OccurrenceResult:
    result, earlier = CallResult(owner=run.number, lost=KILLED), history.find_attempts(ledger, run.occurrence)
    try:
        return to_result(run, result, earlier, now_ns=now_ns, is_cancelled=is_cancelled, history=History())
    except Exception:  # its chain, or its options
        log.exception("a background run is not valid", occurrence=str(run.occurrence))
        return to_result(
            without_options(run), result, earlier, now_ns=now_ns, is_cancelled=is_cancelled, history=History()
        )


def _end_released(
    ledger: Ledger, definitions: Definitions, released: Sequence[Occurrence], *, now_ns: int
) -> list[DueOccurrence]:
    """
    End as `unknown` what was released and has no outcome, and begin its chains. Return the occurrences that
    are tried again, by their `on_unknown`.
    """
    again: list[DueOccurrence] = []
    functions: list[OccurrenceResult] = []
    for occurrence in released:
        with _guard(occurrence):
            due = due_by(definitions, occurrence, previous=_previous(ledger, occurrence))
            if due is None:
                continue
            ended = evaluation.lost(due, _KILLED, executor=None, now_ns=now_ns)
            if retry := retry_after_unknown(due, ended):
                outcomes.record_retries(ledger, [retry.record])
                again.append(retry.due)
            elif due.job.then or due.previous:
                outcomes.record(ledger, [ended])
            elif not isinstance(due.job.target, HttpTarget):
                functions.append(ended)
    if functions:
        outcomes.record(ledger, functions)
    # The rest are requests, or their job was deleted, or its step raised.
    outcomes.unknown_after_crash(
        ledger, now_ns=now_ns, reason=f"executor: {_KILLED}; whether the request arrived is not known"
    )
    return again


def _cancelled(occurrence: Occurrence, reason: str) -> UnstartedResult:
    return UnstartedResult(
        id=occurrence.id,
        planned_at_ns=occurrence.planned_at_ns,
        origin=occurrence.origin,
        config_version=occurrence.config_version,
        outcome=Outcome.CANCELLED,
        reason=reason,
    )


def _write(ledger: Ledger, decided: Sequence[UnstartedResult], *, now_ns: int) -> None:
    """Write decisions, in one transaction if the ledger takes all; leave out those that it does not take."""
    try:
        outcomes.record_unstarted(ledger, decided, now_ns=now_ns)
    except Exception as error:
        if _is_of_ledger(error):
            raise
        if len(decided) == 1:
            log.exception("what was decided cannot be written", occurrence=str(decided[0].id))
            return
        middle = len(decided) // 2
        for half in (decided[:middle], decided[middle:]):
            _write(ledger, half, now_ns=now_ns)


def _is_of_ledger(error: Exception) -> bool:
    """Whether the ledger does not work; otherwise the row that was handled is the cause."""
    return isinstance(error, LedgerError) and not isinstance(error, LedgerValueError)


def _log_summary(unknown: int, decisions: RecoveryDecisions) -> None:
    if unknown:
        log.warning("killed between release and answer, outcome unknown", occurrences=unknown)
    missed_count = sum(result.count for result in decisions.unstarted if result.outcome is Outcome.MISSED)
    if missed_count:
        log.warning("missed while tminus was not running", fire_times=missed_count)
    if decisions.due_occurrences or decisions.unstarted:
        log.info("recovered", runs=len(decisions.due_occurrences), ended=len(decisions.unstarted))
