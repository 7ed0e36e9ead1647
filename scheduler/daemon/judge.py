"""The judge: what an executor reports of an attempt, against what the job expects."""

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
    How an occurrence ended, with its one attempt; what is kept of the answer holds none of the secrets that went out.

    Args:
        printed: By its `prepare`.
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
    """An occurrence whose definition could not be made into something to do, or whose application does not work."""
    reason = f"{cause}, not sent: {message}"
    failure = Failure(outcome=Outcome.FAILED, kind=cause, message=message)
    return Ended(id=due.id, outcome=Outcome.FAILED, reason=reason, finished_at_ns=now_ns, chain=due.chain(failure))


def lost(due: Due, why: str, *, executor: str | None, now_ns: int, started_ns: int = 0) -> Ended:
    """
    An occurrence that was let go, and whose executor can no longer say what became of it.

    Args:
        started_ns: When it started, wall clock; 0 where that is not known.
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
    An attempt as it is kept: without the secrets that went out.

    Args:
        keep_body: Bytes of the answer.
        printed: By the `prepare` of an HTTP request.
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
    """One of which nobody can say how far it came, nor, where `started_ns` is 0, whether it started."""
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
    """How what did not come to its end has ended, by its cause."""
    return Outcome.TIMED_OUT if cause == Cause.TIMEOUT else Outcome.FAILED


def _verdict(job: Job, finished: Finished) -> tuple[Outcome, str, str]:
    """The outcome, the cause in a word, and a sentence on it; both empty where all is well."""
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
    """What flows into the chain. It is stored until that ends, so it holds none of the secrets that went out either."""
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
    """By the charset that the answer names; RFC 9110, section 8.3.2. By UTF-8 if it names none that decodes any bytes."""
    message = Message()
    message["Content-Type"] = next((line[13:] for line in headers if line.lower().startswith("content-type:")), "")
    try:
        return _in_pieces(body, message.get_content_charset("utf-8"))
    except (LookupError, ValueError):  # `idna`, `undefined` and `punycode` raise whatever `errors` says
        return _in_pieces(body, "utf-8")


def _in_pieces(body: bytes, charset: str) -> str:
    """Decode it; what is no text takes long, and other threads want the GIL meanwhile."""
    "".encode(charset)  # which raises if it is another codec of Python's, such as `zlib_codec`
    pieces = (body[at : at + _PIECE] for at in range(0, len(body), _PIECE))
    return "".join(codecs.iterdecode(pieces, charset, errors="replace"))
