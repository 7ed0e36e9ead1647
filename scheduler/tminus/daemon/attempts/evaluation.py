"""Evaluation: the report of an attempt is compared with what the job expects."""

import codecs
from collections.abc import Sequence
from dataclasses import replace
from email.message import Message

from tminus.daemon.attempts.request_record import record_of
from tminus.executors.http.wire import Request
from tminus.executors.protocol import AttemptResult
from tminus.executors.python.wire import Work
from tminus.model.batch import DueOccurrence, OccurrenceResult
from tminus.model.chain import MOST_BYTES, Failure, ReturnValue, TargetResponse, Value, short_enough, too_long
from tminus.model.definitions import History, KeepBody
from tminus.model.job import CallTarget, HttpTarget, Job
from tminus.model.occurrence import Attempt
from tminus.model.phases import Phases
from tminus.outcome import Cause, Outcome, Phase
from tminus.secrets.redaction import Redaction, mask_cookies

_PIECE = 64 << 10
TOO_LATE = "released later than its misfire_grace_time"
_PAST_NOT_AFTER = "released later than its not_after"


def evaluate_attempt(
    due: DueOccurrence,
    finished: AttemptResult,
    *,
    executor: str,
    history: History,
    redaction: Redaction,
    work: Request | Work | None = None,
    printed: bytes = b"",
    cancelled: str = "cancelled",
) -> OccurrenceResult:
    """
    Return the result of an occurrence, with this attempt. The stored response contains no sent secret.

    Args:
        work: What its executor got.
        printed: The output and log of its `prepare`.
        cancelled: The reason if it was cancelled.
    """
    if finished.late and not finished.cancelled:
        late = due.ends(Outcome.MISSED, why_too_late(due))
        return OccurrenceResult(
            id=due.id,
            outcome=late.outcome,
            reason=late.reason,
            finished_at_ns=finished.finished_ns,
            executor=executor,
            chain=late.chain,
        )
    if finished.cancelled:
        outcome, kind, detail = Outcome.CANCELLED, Outcome.CANCELLED.value, cancelled
    else:
        outcome, kind, detail = _compare(due.job, finished)
    detail = redaction.text(detail)
    reason = detail or None
    if kind and not finished.cancelled:
        reason = f"{kind}{'' if finished.started_ns else ', not sent'}: {detail}"
    is_wanted = outcome is not Outcome.SUCCEEDED or isinstance(due.job.target, CallTarget)
    keeps = history.body is KeepBody.ALWAYS or (history.body is KeepBody.ON_FAILURE and is_wanted)
    kept = history.max_body if keeps else 0
    attempt = attempt_of(
        due.attempt, finished, outcome, reason, redaction=redaction, keep_body=kept, printed=printed
    )
    start = Phase.SENT if isinstance(due.job.target, HttpTarget) else Phase.ENTERED
    attempt = replace(attempt, phases=phases_of(finished, start, since_ns=due.release_at_ns))
    if work and (finished.started_ns or finished.unknown):
        attempt = replace(attempt, request=record_of(work, redaction, keep_body=kept))
    return OccurrenceResult(
        id=due.id,
        outcome=outcome,
        reason=reason,
        finished_at_ns=finished.finished_ns,
        executor=executor,
        attempts=() if finished.cancelled and not finished.started_ns else (attempt,),
        chain=due.chain(_chain_value(due.job, finished, redaction, outcome, kind, detail))
        if due.job.then
        else None,
    )


def why_too_late(due: DueOccurrence) -> str:
    """Return why an occurrence is `missed`, if it would start after its latest start."""
    return _PAST_NOT_AFTER if due.latest_start_ns == due.not_after_ns else TOO_LATE


def not_sent(
    due: DueOccurrence, message: str, *, now_ns: int, cause: Cause = Cause.DEFINITION
) -> OccurrenceResult:
    """Return the outcome of an occurrence that could not be rendered, or whose application does not work."""
    reason = f"{cause}, not sent: {message}"
    failure = Failure(outcome=Outcome.FAILED, kind=cause, message=message)
    return OccurrenceResult(
        id=due.id, outcome=Outcome.FAILED, reason=reason, finished_at_ns=now_ns, chain=due.chain(failure)
    )


def lost(
    due: DueOccurrence, reason_text: str, *, executor: str | None, now_ns: int, started_ns: int = 0
) -> OccurrenceResult:
    """
    Return the outcome of an occurrence that was released and whose result is unknown.

    Args:
        started_ns: When it started, wall clock; 0 if that is unknown.
    """
    unknown_part = (
        "whether the request arrived" if isinstance(due.job.target, HttpTarget) else "how far it came"
    )
    message = f"{reason_text}; {unknown_part} is not known"
    reason = f"{Cause.EXECUTOR}: {message}"
    attempt = unknown_attempt(due.attempt, reason, now_ns=now_ns, started_ns=started_ns, armed=True)
    return OccurrenceResult(
        id=due.id,
        outcome=Outcome.UNKNOWN,
        reason=reason,
        finished_at_ns=now_ns,
        executor=executor,
        attempts=(attempt,) if started_ns else (),
        chain=due.chain(Failure(outcome=Outcome.UNKNOWN, kind=Cause.EXECUTOR, message=message)),
    )


def attempt_of(
    number: int,
    finished: AttemptResult,
    outcome: Outcome,
    reason: str | None,
    *,
    redaction: Redaction,
    keep_body: int,
    printed: bytes = b"",
) -> Attempt:
    """
    Return an attempt as it is stored: without the secrets that were sent.

    Args:
        keep_body: How many bytes of the response are stored.
        printed: The output and log of the `prepare` of an HTTP request.
    """
    return Attempt(
        attempt=number,
        started_at_ns=finished.started_ns or None,
        finished_at_ns=finished.finished_ns,
        duration_ns=finished.duration_ns,
        armed=finished.armed,
        outcome=outcome,
        reason=reason,
        http_status=finished.status or None,
        headers=tuple(redaction.text(mask_cookies(line)) for line in finished.headers),
        body=redaction.beginning(finished.body, keep=keep_body, size=finished.body_size),
        body_size=finished.body_size,
        output=redaction.output(printed or finished.output),
    )


def phases_of(finished: AttemptResult, start: Phase, *, since_ns: int) -> Phases:
    """
    Return the phases of an attempt.

    Args:
        start: The phase whose end is the start of the attempt.
        since_ns: The instant from which they count, wall clock.
    """
    # A function may end long before its result is reported.
    done_ns = finished.started_ns + finished.duration_ns if finished.started_ns else finished.finished_ns
    instants_ns = {**finished.phases, start: finished.started_ns, Phase.DONE: done_ns}
    return Phases.since(since_ns, {phase: at_ns for phase, at_ns in instants_ns.items() if at_ns})


def unknown_attempt(
    number: int, reason: str, *, now_ns: int, started_ns: int = 0, armed: bool = False
) -> Attempt:
    """Return an attempt with an unknown result. If `started_ns` is 0, the start is unknown, too."""
    return Attempt(
        attempt=number,
        started_at_ns=started_ns or None,
        finished_at_ns=now_ns,
        duration_ns=now_ns - (started_ns or now_ns),
        armed=armed,
        outcome=Outcome.UNKNOWN,
        reason=reason,
    )


def outcome_of(cause: str | None) -> Outcome:
    """Return the outcome of an attempt that was not completed, by its cause."""
    return Outcome.TIMED_OUT if cause == Cause.TIMEOUT else Outcome.FAILED


def _compare(job: Job, finished: AttemptResult) -> tuple[Outcome, str, str]:
    """Return the outcome, its cause, and a sentence on it; cause and sentence are empty after a success."""
    if finished.cause is not None:
        return (
            (Outcome.UNKNOWN if finished.unknown else outcome_of(finished.cause)),
            finished.cause,
            finished.detail,
        )
    if isinstance(job.target, CallTarget) or any(
        finished.status in expected for expected in job.expect_status
    ):
        return Outcome.SUCCEEDED, "", ""
    expected = ", ".join(str(expected) for expected in job.expect_status)
    detail = f"{finished.status} instead of {expected}"
    if 300 <= finished.status < 400 and isinstance(job.target, HttpTarget) and not job.target.follow:
        detail += "; redirects are not followed (http.redirects.follow)"
    return Outcome.FAILED, Cause.STATUS, detail


def _chain_value(
    job: Job, finished: AttemptResult, redaction: Redaction, outcome: Outcome, kind: str, detail: str
) -> Value:
    """
    Return the value that flows into the chain. It is stored until the chain ends, so it contains no secret
    that was sent.
    """
    if outcome is not Outcome.SUCCEEDED:
        frames = redaction.text(finished.traceback) or None
        return Failure(outcome=outcome, kind=kind, message=detail, traceback=frames)
    subject = "its result" if isinstance(job.target, CallTarget) else "the response"
    if finished.body_size > MOST_BYTES:
        return too_long(subject)
    if isinstance(job.target, CallTarget):
        try:
            return short_enough(ReturnValue(text=redaction.json_text(finished.body.decode())), subject)
        except ValueError as error:
            return Failure(
                outcome=Outcome.FAILED, kind=Cause.RESULT, message=f"{subject} cannot be handed on: {error}"
            )
    headers = [mask_cookies(line) for line in finished.headers if not line.startswith("HTTP/")]
    text = redaction.text(_decoded(finished.body, headers))
    return short_enough(
        TargetResponse(status=finished.status, headers=tuple(map(redaction.text, headers)), text=text),
        subject,
    )


def _decoded(body: bytes, headers: Sequence[str]) -> str:
    """
    Decode a response by the charset that it names (RFC 9110, section 8.3.2), or by UTF-8 if it names none
    that works.
    """
    message = Message()
    message["Content-Type"] = next(
        (line[13:] for line in headers if line.lower().startswith("content-type:")), ""
    )
    try:
        return _in_pieces(body, message.get_content_charset("utf-8"))
    except (LookupError, ValueError):  # `idna`, `undefined` and `punycode` raise whatever `errors` says
        return _in_pieces(body, "utf-8")


def _in_pieces(body: bytes, charset: str) -> str:
    """Decode in pieces: bytes that are not text take long, and other threads need the GIL meanwhile."""
    "".encode(charset)  # raises for a codec of Python's that is not for text, such as `zlib_codec`
    pieces = (body[at : at + _PIECE] for at in range(0, len(body), _PIECE))
    return "".join(codecs.iterdecode(pieces, charset, errors="replace"))
