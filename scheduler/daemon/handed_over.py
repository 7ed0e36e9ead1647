"""A background run in the daemon's other terms: a due occurrence, the work of its runner, its outcome."""

import json
from collections.abc import Sequence

from scheduler.daemon import judge
from scheduler.daemon.call import Came
from scheduler.daemon.render import Renderer
from scheduler.executors.python import wire
from scheduler.executors.python.wire import RequestContext, Work
from scheduler.instants import LATEST_NS, SECOND
from scheduler.jobsfile.chains import links_said
from scheduler.ledger.background import Run
from scheduler.model import payload
from scheduler.model.batch import Due, Ended
from scheduler.model.chain import Failure, Result, Value, short_enough
from scheduler.model.definitions import History, KeepBody
from scheduler.model.job import CallTarget, Job, Place
from scheduler.model.occurrence import Attempt
from scheduler.outcome import Cause, Origin, Outcome
from scheduler.policies.coalesce import Coalesce
from scheduler.policies.overlap import Overlap
from scheduler.policies.timeouts import Timeouts

_NEVER_NS = LATEST_NS // 4


def due_of(run: Run) -> Due:
    """Convert a background run to a due occurrence."""
    return Due(
        id=run.occurrence,
        job=_job_of(run),
        planned_at_ns=run.planned_at_ns,
        origin=Origin.BACKGROUND,
        config_version="",
        is_written=True,
    )


def _job_of(run: Run) -> Job:
    """Return the job of a run, which no file defines: its function, and the built-in policies of background runs."""
    total_ns = run.work.options.get("timeout_ns", _NEVER_NS)
    if type(total_ns) is not int or not 0 < total_ns <= _NEVER_NS:
        raise ValueError(f"a timeout of {total_ns!r} ns")
    return Job(
        name=run.occurrence.job,
        target=CallTarget(ref=run.work.ref, app=run.work.app),
        schedule=(),
        schedule_text="by submit",
        zone="UTC",
        timeouts=Timeouts(connect_ns=0, first_byte_ns=0, total_ns=total_ns, kill_after_ns=10 * SECOND),
        misfire_grace_ns=_NEVER_NS,
        coalesce=Coalesce.LATEST,
        max_instances=1,
        overlap=Overlap.ALLOW_ALL,
        expect_status=(),
        then=links_said(run.work.options.get("then", []), run.work.app),
        params={},
        tags=(),
        description=None,
        suspended=False,
        place=Place("", 0),
    )


def work_of(run: Run, due: Due, renderer: Renderer, index: int) -> Work:
    """Return the work of its runner. Nothing in it is a template, because an application's code has submitted it."""
    given, copy = run.work.given, run.work.given.get("request")
    request = RequestContext(**copy | {"body": copy["body"].encode()}) if copy else RequestContext()
    arguments = payload.dumps([given.get("args", []), given.get("kwargs", {})])
    ref = run.work.ref
    work = renderer.handed_over(due, index, ref=ref, declared_by=ref, arguments=arguments, request=request)
    json.dumps(wire.plain(work), default=wire.plain)  # raises here, and not while the others are sent
    return work


def ended(run: Run, came: Came, earlier: Sequence[Attempt], *, now_ns: int, is_cancelled: bool, history: History) -> Ended:
    """
    Return how a run ended, with all its attempts.

    Args:
        earlier: Earlier attempts, with unknown results.
        is_cancelled: Whether it was told to stop. Then it is not called again, whatever happened.
    """
    due = due_of(run)
    outcome, kind, detail = _verdict(came, is_cancelled=is_cancelled)
    reason = f"{kind}{', not sent' if came.failed else ''}: {detail}" if kind else None
    result = came.finished.body.decode() if came.finished and outcome is Outcome.SUCCEEDED else None
    value: Value = Failure(outcome=outcome, kind=kind, message=detail)
    if result is not None:
        value = short_enough(Result(text=result), "what it returned")
    return Ended(
        id=run.occurrence,
        outcome=outcome,
        reason=reason,
        finished_at_ns=now_ns,
        executor=came.executor,
        attempts=(*earlier, _attempt(run, came, outcome, reason, now_ns=now_ns, history=history)) if came.was_called else earlier,
        chain=due.chain(value) if due.job.then else None,
        is_background=True,
        result=result,
    )


def _verdict(came: Came, *, is_cancelled: bool) -> tuple[Outcome, str, str]:
    if is_cancelled:
        how = f"; {came.lost}" if came.lost else " while it ran" if came.was_called else " before it began"
        return Outcome.CANCELLED, Outcome.CANCELLED, f"it was told to stop{how}"
    if came.lost:
        return Outcome.UNKNOWN, Cause.EXECUTOR, came.lost
    if came.failed:
        return Outcome.FAILED, Cause.DEFINITION, came.failed
    if came.finished is None or came.finished.cause is None:
        return Outcome.SUCCEEDED, "", ""
    return judge.outcome_of(came.finished.cause), came.finished.cause, came.finished.detail


def _attempt(run: Run, came: Came, outcome: Outcome, reason: str | None, *, now_ns: int, history: History) -> Attempt:
    if came.finished is None:
        return judge.unknown_attempt(run.attempt, reason or "", now_ns=now_ns, started_ns=came.started_ns)
    kept = 0 if history.body is KeepBody.NEVER else history.max_body
    return judge.attempt_of(run.attempt, came.finished, outcome, reason, redaction=came.redaction, keep_body=kept)
