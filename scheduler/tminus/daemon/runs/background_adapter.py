"""Conversions of a background run: to the run that a chain follows, to its runner's work, to its result."""

import json
from collections.abc import Sequence
from dataclasses import replace

from tminus.daemon.attempts import evaluation
from tminus.daemon.calls.call import CallResult
from tminus.executors.python import wire
from tminus.executors.python.wire import Work
from tminus.instants import LATEST_NS
from tminus.jobsfile.jobs.chains import submitted_links
from tminus.jobsfile.jobs.retries import submitted_retry
from tminus.ledger.background_queue import QueuedRun
from tminus.model import payload
from tminus.model.background import LONGEST_RUN_NS, BackgroundRun
from tminus.model.batch import ChainStart, OccurrenceResult
from tminus.model.chain import Failure, ReturnValue, Value, short_enough
from tminus.model.definitions import History, KeepBody
from tminus.model.job import MAX_BODY
from tminus.model.occurrence import Attempt
from tminus.outcome import Cause, Outcome, Phase
from tminus.policies.retry import NO_RETRY


def to_run(run: QueuedRun) -> BackgroundRun:
    """
    Return the run as a chain follows it.

    Raises:
        Exception: its options are not valid.
    """
    work = run.work
    total_ns = work.options.get("timeout_ns", LONGEST_RUN_NS)
    if type(total_ns) is not int or not 0 < total_ns <= LONGEST_RUN_NS:
        raise ValueError(f"a timeout of {total_ns!r} ns")
    links = work.options.get("then", [])
    if not isinstance(links, list):
        raise ValueError("a chain that is no list")
    then = submitted_links(links, work.app)
    retry = submitted_retry(work.options["retry"]) if "retry" in work.options else NO_RETRY
    return BackgroundRun(
        id=run.occurrence, ref=work.ref, app=work.app, total_ns=total_ns, retry=retry, then=then
    )


def to_work(run: QueuedRun, *, total_ns: int, keep_output: int) -> Work:
    """
    Return the work of the run's runner. It contains no templates, because the code of an application has
    submitted it.

    Raises:
        Exception: the submission is not valid. The run fails, because newer code could not read it either.
    """
    given = run.work.given
    args, kwargs = given.get("args", []), given.get("kwargs", {})
    if not (isinstance(args, list) and isinstance(kwargs, dict)):
        raise TypeError("args is not a list, or kwargs is not a mapping")
    work = Work(
        index=0,
        job=run.occurrence.job,
        occurrence=str(run.occurrence),
        run_id=run.run_id,
        ref=run.work.ref,
        declared_by=run.work.ref,
        arguments=payload.dumps([args, kwargs]),
        request=wire.context_of_copy(given.get("request")),
        latest_ns=LATEST_NS,
        total_ns=total_ns,
        max_body=MAX_BODY,
        keep_body=MAX_BODY,
        keep_output=keep_output,
    )
    json.dumps(wire.plain(work), default=wire.plain)  # a trial: what cannot be sent fails this run alone
    return work


def to_result(
    run: QueuedRun,
    result: CallResult,
    earlier: Sequence[Attempt],
    *,
    now_ns: int,
    is_cancelled: bool,
    history: History,
) -> OccurrenceResult:
    """
    Return the result of a run, with all its attempts.

    Args:
        earlier: The attempts before this one: each failed, timed out or has an unknown result.
        is_cancelled: Whether the run was cancelled. Then it is not called again, whatever its result.
    """
    followed = to_run(run)
    outcome, kind, detail = _verdict(result, is_cancelled=is_cancelled)
    reason = f"{kind}{', not sent' if result.failed else ''}: {detail}" if kind else None
    returned = result.finished.body.decode() if result.finished and outcome is Outcome.SUCCEEDED else None
    value: Value = Failure(outcome=outcome, kind=kind, message=detail)
    if returned is not None:
        value = short_enough(ReturnValue(text=returned), "its result")
    attempts = earlier
    if result.was_called:
        attempts = (*earlier, _attempt(run, result, outcome, reason, now_ns=now_ns, history=history))
    return OccurrenceResult(
        id=run.occurrence,
        outcome=outcome,
        reason=reason,
        finished_at_ns=now_ns,
        executor=result.executor,
        attempts=attempts,
        chain=ChainStart.after(followed, value),
        is_background=True,
        result=returned,
    )


def _verdict(result: CallResult, *, is_cancelled: bool) -> tuple[Outcome, str, str]:
    if is_cancelled:
        if result.lost:
            how = f"; {result.lost}"
        else:
            how = " while it ran" if result.was_called else " before it began"
        return Outcome.CANCELLED, Outcome.CANCELLED, f"it was asked to stop{how}"
    if result.lost:
        return Outcome.UNKNOWN, Cause.EXECUTOR, result.lost
    if result.failed:
        return Outcome.FAILED, Cause.DEFINITION, result.failed
    if result.finished is None or result.finished.cause is None:
        return Outcome.SUCCEEDED, "", ""
    return evaluation.outcome_of(result.finished.cause), result.finished.cause, result.finished.detail


def _attempt(
    run: QueuedRun, result: CallResult, outcome: Outcome, reason: str | None, *, now_ns: int, history: History
) -> Attempt:
    if result.finished is None:
        return evaluation.unknown_attempt(
            run.attempt, reason or "", now_ns=now_ns, started_ns=result.started_ns
        )
    kept = 0 if history.body is KeepBody.NEVER else history.max_body
    attempt = evaluation.attempt_of(
        run.attempt, result.finished, outcome, reason, redaction=result.redaction, keep_body=kept
    )
    since_ns = result.finished.started_ns or result.finished.finished_ns
    return replace(attempt, phases=evaluation.phases_of(result.finished, Phase.ENTERED, since_ns=since_ns))
