"""A request that goes through `prepare`: to a call for the runner, and back to a request, checked like a rendered one."""

import json
from urllib.parse import urlsplit

import msgspec

from scheduler.daemon import header_lines
from scheduler.daemon.redaction import Redaction
from scheduler.daemon.render import CannotRender
from scheduler.daemon.request_urls import url_of
from scheduler.executors.http.wire import Request
from scheduler.executors.python.base64_text import decoded
from scheduler.executors.python.wire import Finished, RequestContext, Work, plain
from scheduler.jobsfile.faults import Fault, Wrong
from scheduler.jobsfile.http_syntax import HEADER_NAME, HEADER_VALUE, WITHOUT_BODY
from scheduler.model.batch import Due
from scheduler.outcome import Cause

#: Limits in bytes: for the body of a request, and for what comes back as JSON.
_MOST_BODY, _MOST = 4 << 20, 6 << 20


def call_of(ref: str, due: Due, request: Request, *, now_ns: int, keep_output: int) -> Work:
    """
    Return the call of `prepare` with this request, in a request context like it.

    Raises:
        CannotRender: its body is too long.
    """
    if len(request.body or b"") > _MOST_BODY:
        raise CannotRender(f"prepare {ref} gets no body of more than {_MOST_BODY >> 20} MiB")
    headers = header_lines.parsed(request.headers)
    parts = urlsplit(request.url)
    path = "/" + parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")
    said = {"method": request.method, "url": request.url, "headers": headers, "body": request.body}
    return Work(
        index=request.index,
        job=due.job.name,
        occurrence=str(due.id),
        ref=ref,
        given=json.dumps({"request": said}, default=plain),
        request=RequestContext(method=request.method, path=path, headers=headers, body=request.body or b""),
        latest_ns=request.latest_ns,
        total_ns=max(request.latest_ns - now_ns, 0),
        max_body=_MOST,
        keep_body=_MOST,
        keep_output=keep_output,
    )


def changed(ref: str, request: Request, given_back: bytes, redaction: Redaction) -> Request:
    """
    Return the request as `prepare` has changed it.

    Raises:
        CannotRender: it may not be sent.
    """
    text = given_back.decode()
    made = json.loads(text)["request"]
    try:
        return msgspec.structs.replace(
            request, url=url_of(made["url"], {}), headers=_lines(made["headers"]), body=_body(request.method, made["body"])
        )
    except Wrong as error:
        # An error may quote the text, which must not be shown if a secret is in it.
        words = str(error) if redaction.text(text) == text else "there is a secret in it, so no more is said"
        raise CannotRender(f"prepare {ref} made what may not be sent: {words}", hint=error.faults[0].hint) from None
    except ValueError:  # halves of characters, a host that is no name
        raise CannotRender(f"prepare {ref} made what may not be sent") from None


def why(ref: str, finished: Finished) -> str:
    """Return why nothing came back, for people."""
    if finished.cause == Cause.TOO_LARGE:
        return f"prepare {ref} made a request that is longer than {_MOST >> 20} MiB on its way back"
    return f"prepare {ref} raised {finished.detail}" if finished.traceback else f"prepare: {finished.detail}"


def _lines(headers: list[tuple[str, str]]) -> list[str]:
    lines = header_lines.of([(HEADER_NAME.parse(name), HEADER_VALUE.parse(value)) for name, value in headers])
    "".join(lines).encode()
    return lines


def _body(method: str, body: str | None) -> bytes | None:
    if not body and method in WITHOUT_BODY:
        return None
    if method in WITHOUT_BODY:
        raise Wrong(Fault(words=f"method {method} has no body", hint="write method: POST"))
    return None if body is None else decoded(body)
