"""The judge: what an executor reports of an attempt, against what the job expects."""

from scheduler.daemon.redaction import Redaction
from scheduler.executors.http import wire as http_wire
from scheduler.executors.python import wire as python_wire
from scheduler.model.batch import Due, Ended
from scheduler.model.definitions import History, KeepBody
from scheduler.model.job import CallTarget, HttpTarget, Job
from scheduler.model.occurrence import Attempt
from scheduler.outcome import Cause, Outcome

#: What executors of every kind report of an attempt.
Finished = http_wire.Finished | python_wire.Finished


def judge(due: Due, finished: Finished, *, executor: str, history: History, redaction: Redaction) -> Ended:
    """How an occurrence ended, with its one attempt; what is kept of the answer holds none of the secrets that went out."""
    outcome, reason = _verdict(due.job, finished)
    reason = redaction.text(reason) if reason else None
    is_wanted = outcome is not Outcome.SUCCEEDED or isinstance(due.job.target, CallTarget)
    keeps = history.body is KeepBody.ALWAYS or (history.body is KeepBody.ON_FAILURE and is_wanted)
    attempt = Attempt(
        attempt=1,
        started_at_ns=finished.started_ns or None,
        finished_at_ns=finished.finished_ns,
        duration_ns=finished.duration_ns,
        armed=finished.armed,
        outcome=outcome,
        reason=reason,
        http_status=finished.status or None,
        headers=tuple(map(redaction.text, finished.headers)),
        body=redaction.data(finished.body[: history.max_body]) if keeps else b"",
        body_size=finished.body_size,
        output=redaction.data(finished.output) if isinstance(finished, python_wire.Finished) else b"",
    )
    attempts = () if finished.late else (attempt,)
    return Ended(
        id=due.id, outcome=outcome, reason=reason, finished_at_ns=finished.finished_ns, executor=executor, attempts=attempts
    )


def not_sent(due: Due, message: str, *, now_ns: int) -> Ended:
    """An occurrence whose definition could not be made into something to do, or whose application does not work."""
    return Ended(id=due.id, outcome=Outcome.FAILED, reason=f"{Cause.DEFINITION}, not sent: {message}", finished_at_ns=now_ns)


def lost(due: Due, why: str, *, executor: str, now_ns: int, started_ns: int = 0) -> Ended:
    """
    An occurrence that was let go, and whose executor can no longer say what became of it.

    Args:
        started_ns: When it started, wall clock; 0 where that is not known.
    """
    open_ = "whether the request arrived" if isinstance(due.job.target, HttpTarget) else "how far it came"
    reason = f"{Cause.EXECUTOR}: {why}; {open_} is not known"
    attempt = Attempt(
        attempt=1,
        started_at_ns=started_ns,
        finished_at_ns=now_ns,
        duration_ns=now_ns - (started_ns or now_ns),
        armed=True,
        outcome=Outcome.UNKNOWN,
        reason=reason,
    )
    return Ended(
        id=due.id,
        outcome=Outcome.UNKNOWN,
        reason=reason,
        finished_at_ns=now_ns,
        executor=executor,
        attempts=(attempt,) if started_ns else (),
    )


def _verdict(job: Job, finished: Finished) -> tuple[Outcome, str | None]:
    if finished.late:
        return Outcome.MISSED, "let go later than its misfire_grace_time"
    if finished.cause is not None:
        outcome = Outcome.TIMED_OUT if finished.cause == Cause.TIMEOUT else Outcome.FAILED
        sent = "" if finished.started_ns else ", not sent"
        return (Outcome.UNKNOWN if finished.unknown else outcome), f"{finished.cause}{sent}: {finished.detail}"
    if isinstance(job.target, CallTarget) or any(finished.status in expected for expected in job.expect_status):
        return Outcome.SUCCEEDED, None
    expected = ", ".join(str(expected) for expected in job.expect_status)
    reason = f"{Cause.STATUS}: {finished.status} instead of {expected}"
    if 300 <= finished.status < 400 and isinstance(job.target, HttpTarget) and not job.target.follow:
        reason += "; redirects are not followed (http.redirects.follow)"
    return Outcome.FAILED, reason
