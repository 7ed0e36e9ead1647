"""Evaluation: the report of an attempt is compared with what the job expects."""

import codecs
from collections.abc import Sequence
from email.message import Message

from scheduler.daemon import header_lines
from scheduler.daemon.redaction import Redaction
from scheduler.executors.http import wire as http_wire
from scheduler.executors.python import wire as python_wire
from scheduler.model.batch import Due, Ended
from scheduler.model.chain import MOST_BYTES, Answer, Failure, Result, Value, short_enough, too_long
from scheduler.model.definitions import History, KeepBody
from scheduler.model.job import CallTarget, HttpTarget, Job
from scheduler.model.occurrence import Attempt
from scheduler.outcome import Cause, Outcome

_PIECE = 64 << 10
#: What executors of every kind report of an attempt.
Finished = http_wire.Finished | python_wire.Finished


def judge(due: Due, finished: Finished, *, executor: str, history: History, redaction: Redaction, printed: bytes = b"") -> Ended:
    """
    Return how an occurrence ended, with its one attempt. What is kept of the response contains no secret that was sent.

    Args:
        printed: What its `prepare` printed.
    """
    outcome, kind, detail = _verdict(due.job, finished)
    detail = redaction.text(detail)
    not_sent = "" if finished.started_ns or finished.late else ", not sent"
    reason = detail if finished.late else f"{kind}{not_sent}: {detail}" if kind else None
    is_wanted = outcome is not Outcome.SUCCEEDED or isinstance(due.job.target, CallTarget)
    keeps = history.body is KeepBody.ALWAYS or (history.body is KeepBody.ON_FAILURE and is_wanted)
    kept = history.max_body if keeps else 0
    attempt = attempt_of(1, finished, outcome, reason, redaction=redaction, keep_body=kept, printed=printed)
    return Ended(
        id=due.id,
        outcome=outcome,
        reason=reason,
        finished_at_ns=finished.finished_ns,
        executor=executor,
        attempts=() if finished.late else (attempt,),
        chain=due.chain(_flowing(due.job, finished, redaction, outcome, kind, detail)) if due.job.then else None,
    )


def not_sent(due: Due, message: str, *, now_ns: int, cause: Cause = Cause.DEFINITION) -> Ended:
    """Return the outcome of an occurrence that could not be rendered, or whose application does not work."""
    reason = f"{cause}, not sent: {message}"
    failure = Failure(outcome=Outcome.FAILED, kind=cause, message=message)
    return Ended(id=due.id, outcome=Outcome.FAILED, reason=reason, finished_at_ns=now_ns, chain=due.chain(failure))


def lost(due: Due, why: str, *, executor: str | None, now_ns: int, started_ns: int = 0) -> Ended:
    """
    Return the outcome of an occurrence that was released and whose result is unknown.

    Args:
        started_ns: When it started, wall clock; 0 if that is unknown.
    """
    open_ = "whether the request arrived" if isinstance(due.job.target, HttpTarget) else "how far it came"
    message = f"{why}; {open_} is not known"
    reason = f"{Cause.EXECUTOR}: {message}"
    attempt = unknown_attempt(1, reason, now_ns=now_ns, started_ns=started_ns, armed=True)
    return Ended(
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
    finished: Finished,
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
        printed: What the `prepare` of an HTTP request printed.
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
        headers=tuple(redaction.text(header_lines.masked(line)) for line in finished.headers),
        body=redaction.beginning(finished.body, keep=keep_body, size=finished.body_size),
        body_size=finished.body_size,
        output=redaction.output(finished.output if isinstance(finished, python_wire.Finished) else printed),
    )


def unknown_attempt(number: int, reason: str, *, now_ns: int, started_ns: int = 0, armed: bool = False) -> Attempt:
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


def _verdict(job: Job, finished: Finished) -> tuple[Outcome, str, str]:
    """Return the outcome, its cause, and a sentence on it; cause and sentence are empty after a success."""
    if finished.late:
        return Outcome.MISSED, Outcome.MISSED, "let go later than its misfire_grace_time"
    if finished.cause is not None:
        return (Outcome.UNKNOWN if finished.unknown else outcome_of(finished.cause)), finished.cause, finished.detail
    if isinstance(job.target, CallTarget) or any(finished.status in expected for expected in job.expect_status):
        return Outcome.SUCCEEDED, "", ""
    expected = ", ".join(str(expected) for expected in job.expect_status)
    detail = f"{finished.status} instead of {expected}"
    if 300 <= finished.status < 400 and isinstance(job.target, HttpTarget) and not job.target.follow:
        detail += "; redirects are not followed (http.redirects.follow)"
    return Outcome.FAILED, Cause.STATUS, detail


def _flowing(job: Job, finished: Finished, redaction: Redaction, outcome: Outcome, kind: str, detail: str) -> Value:
    """Return what flows into the chain. It is stored until the chain ends, so it contains no secret that was sent."""
    if outcome is not Outcome.SUCCEEDED:
        frames = finished.traceback if isinstance(finished, python_wire.Finished) else ""
        return Failure(outcome=outcome, kind=kind, message=detail, traceback=redaction.text(frames) or None)
    what = "what it returned" if isinstance(job.target, CallTarget) else "the answer"
    if finished.body_size > MOST_BYTES:
        return too_long(what)
    if isinstance(job.target, CallTarget):
        try:
            return short_enough(Result(text=redaction.json_text(finished.body.decode())), what)
        except ValueError as error:
            return Failure(outcome=Outcome.FAILED, kind=Cause.RESULT, message=f"{what} cannot be handed on: {error}")
    headers = [header_lines.masked(line) for line in finished.headers if not line.startswith("HTTP/")]
    text = redaction.text(_decoded(finished.body, headers))
    return short_enough(Answer(status=finished.status, headers=tuple(map(redaction.text, headers)), text=text), what)


def _decoded(body: bytes, headers: Sequence[str]) -> str:
    """Decode a response by the charset that it names (RFC 9110, section 8.3.2), or by UTF-8 if it names none that works."""
    message = Message()
    message["Content-Type"] = next((line[13:] for line in headers if line.lower().startswith("content-type:")), "")
    try:
        return _in_pieces(body, message.get_content_charset("utf-8"))
    except (LookupError, ValueError):  # `idna`, `undefined` and `punycode` raise whatever `errors` says
        return _in_pieces(body, "utf-8")


def _in_pieces(body: bytes, charset: str) -> str:
    """Decode in pieces: what is no text takes long, and other threads need the GIL meanwhile."""
    "".encode(charset)  # which raises if it is another codec of Python's, such as `zlib_codec`
    pieces = (body[at : at + _PIECE] for at in range(0, len(body), _PIECE))
    return "".join(codecs.iterdecode(pieces, charset, errors="replace"))
