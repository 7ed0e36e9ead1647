"""The record of a request that was sent: without secrets, and of a bounded size."""

import re

from tminus.daemon.attempts.http_message import parse_headers
from tminus.errors import shorten
from tminus.executors.http.wire import Request
from tminus.executors.python.wire import Work
from tminus.jobsfile.text.masking import is_secret_key, mask_url
from tminus.model.sent_request import SentRequest
from tminus.secrets.redaction import Redaction

#: What is stored at most: characters of a URL, characters of a header, and headers.
_LONGEST_URL = 2_000
_LONGEST_HEADER = 1_000
_MOST_HEADERS = 50
_QUERY_VALUE = re.compile(r"(?<=[?&])([^=&#]+)=([^&#]*)")


def record_of(work: Request | Work, redaction: Redaction, *, keep_body: int) -> SentRequest | None:
    """
    Return what is stored of a request; None for a function, which gets none.

    Values of `${…}` are masked, and also what most likely is a secret in plain text: headers and query values
    with such a name, and the credentials of a URL.

    Args:
        work: The work as its executor got it.
        redaction: Removes the secrets of the job.
        keep_body: How many bytes of the body are stored.
    """
    if isinstance(work, Request):
        method, url, body = work.method, work.url, work.body or b""
        headers = parse_headers(work.headers)
    elif work.ref is None:
        request = work.request
        method, url, body = request.method, request.path or request.endpoint or "", request.body
        headers = [(name, value) for name, value in request.headers]
    else:
        return None
    # One search for all headers: each search takes all forms of all secrets.
    lines = redaction.text("\n".join(_header(*header) for header in headers[:_MOST_HEADERS])).split("\n")
    return SentRequest(
        method=method,
        url=shorten(mask_url(_QUERY_VALUE.sub(_without_secret, redaction.text(url))), _LONGEST_URL),
        headers=tuple(shorten(line, _LONGEST_HEADER) for line in lines if line),
        body=redaction.beginning(body, keep=keep_body, size=len(body)).decode(errors="replace"),
        body_size=len(body),
    )


def _header(name: str, value: str) -> str:
    return f"{name}: {'***' if value and is_secret_key(name) else value}"


def _without_secret(found: re.Match[str]) -> str:
    return f"{found[1]}=***" if is_secret_key(found[1]) else found[0]
