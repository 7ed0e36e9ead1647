"""The judge: what an executor reports of an attempt, against what the job expects."""

from scheduler.daemon.redaction import Redaction
from scheduler.executors.http.wire import Finished
from scheduler.model.batch import Due, Ended
from scheduler.model.definitions import History, KeepBody
from scheduler.model.job import Job
from scheduler.model.occurrence import Attempt
from scheduler.outcome import Cause, Outcome


def judge(due: Due, finished: Finished, *, executor: str, history: History, redaction: Redaction) -> Ended:
    """How an occurrence ended, with its one attempt; what is kept of the answer holds none of the secrets that went out."""
    outcome, reason = _verdict(due.job, finished)
    reason = redaction.text(reason) if reason else None
    keeps = history.body is KeepBody.ALWAYS or (history.body is KeepBody.ON_FAILURE and outcome is not Outcome.SUCCEEDED)
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
    )
    attempts = () if finished.late else (attempt,)
    return Ended(
        id=due.id, outcome=outcome, reason=reason, finished_at_ns=finished.finished_ns, executor=executor, attempts=attempts
    )


def not_rendered(due: Due, message: str, *, now_ns: int) -> Ended:
    """An occurrence whose definition could not be made into a request."""
    return Ended(id=due.id, outcome=Outcome.FAILED, reason=f"{Cause.DEFINITION}, not sent: {message}", finished_at_ns=now_ns)


def lost(due: Due, why: str, *, executor: str, now_ns: int) -> Ended:
    """An occurrence that was let go, and whose executor can no longer say what became of it."""
    reason = f"{Cause.EXECUTOR}: {why}; whether the request arrived is not known"
    return Ended(id=due.id, outcome=Outcome.UNKNOWN, reason=reason, finished_at_ns=now_ns, executor=executor)


def _verdict(job: Job, finished: Finished) -> tuple[Outcome, str | None]:
    if finished.late:
        return Outcome.MISSED, "let go later than its misfire_grace_time"
    if finished.cause is not None:
        outcome = Outcome.TIMED_OUT if finished.cause == Cause.TIMEOUT else Outcome.FAILED
        sent = "" if finished.started_ns else ", not sent"
        return (Outcome.UNKNOWN if finished.unknown else outcome), f"{finished.cause}{sent}: {finished.detail}"
    if any(finished.status in expected for expected in job.expect_status):
        return Outcome.SUCCEEDED, None
    expected = ", ".join(str(expected) for expected in job.expect_status)
    reason = f"{Cause.STATUS}: {finished.status} instead of {expected}"
    if 300 <= finished.status < 400 and not job.target.follow:
        reason += "; redirects are not followed (http.redirects.follow)"
    return Outcome.FAILED, reason
