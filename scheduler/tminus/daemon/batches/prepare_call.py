"""
Conversions of a request that `prepare` may change: to a call for the runner, and back to a request. The
result is checked like a rendered request.
"""

import json
from urllib.parse import urlsplit

import msgspec

from tminus.daemon.attempts.http_message import build_url, format_headers, parse_headers
from tminus.daemon.attempts.render import CannotRender
from tminus.executors.http.wire import Request
from tminus.executors.protocol import AttemptResult
from tminus.executors.python.base64_text import decoded
from tminus.executors.python.wire import RequestContext, Work, plain
from tminus.http_rules.syntax import (
    WITHOUT_BODY,
    InvalidSyntax,
    check_body,
    check_header_name,
    check_header_value,
)
from tminus.model.batch import DueOccurrence
from tminus.outcome import Cause
from tminus.secrets.redaction import Redaction

#: Limits in bytes: for the body of a request, and for what comes back as JSON.
_MOST_BODY, _MOST = 4 << 20, 6 << 20


def prepare_work(ref: str, due: DueOccurrence, request: Request, *, now_ns: int, keep_output: int) -> Work:
    """
    Return the call of `prepare` with this request, in a request context that is like the request.

    Raises:
        CannotRender: its body is too long.
    """
    if len(request.body or b"") > _MOST_BODY:
        raise CannotRender(f"prepare {ref} gets no body of more than {_MOST_BODY >> 20} MiB")
    headers = parse_headers(request.headers)
    parts = urlsplit(request.url)
    path = "/" + parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")
    fields = {"method": request.method, "url": request.url, "headers": headers, "body": request.body}
    return Work(
        index=request.index,
        job=due.job.name,
        occurrence=str(due.id),
        ref=ref,
        given=json.dumps({"request": fields}, default=plain),
        request=RequestContext(method=request.method, path=path, headers=headers, body=request.body or b""),
        latest_ns=request.latest_ns,
        total_ns=max(request.latest_ns - now_ns, 0),
        max_body=_MOST,
        keep_body=_MOST,
        keep_output=keep_output,
    )


def apply_changes(ref: str, request: Request, return_payload: bytes, redaction: Redaction) -> Request:
    """
    Return the request as `prepare` has changed it.

    Raises:
        CannotRender: it may not be sent.
    """
    text = return_payload.decode()
    changed = json.loads(text)["request"]
    try:
        return msgspec.structs.replace(
            request,
            url=build_url(changed["url"], {}),
            headers=_lines(changed["headers"]),
            body=_body(request.method, changed["body"]),
        )
    except InvalidSyntax as error:
        # An error may quote the text, which must not be shown if a secret is in it.
        words = str(error) if redaction.text(text) == text else "there is a secret in it, so no more is said"
        raise CannotRender(f"prepare {ref} made what may not be sent: {words}", hint=error.hint) from None
    except ValueError:  # halves of characters, a host that is no name
        raise CannotRender(f"prepare {ref} made what may not be sent") from None


def failure_message(ref: str, finished: AttemptResult) -> str:
    """Return why there is no request, for people."""
    if finished.cause == Cause.TOO_LARGE:
        return f"prepare {ref} made a request that is longer than {_MOST >> 20} MiB on its way back"
    return f"prepare {ref} raised {finished.detail}" if finished.traceback else f"prepare: {finished.detail}"


def _lines(headers: list[tuple[str, str]]) -> list[str]:
    for name, value in headers:
        check_header_name(name)
        check_header_value(value)
    lines = format_headers(headers)
    "".join(lines).encode()  # raises if there is half of a character
    return lines


def _body(method: str, body: str | None) -> bytes | None:
    check_body(method, has_body=bool(body))
    return None if body is None or method in WITHOUT_BODY else decoded(body)
