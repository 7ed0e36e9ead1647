"""The parts of an HTTP message after rendering: its URL, headers and body, as libcurl takes them."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import idna

from tminus import __version__
from tminus.http_rules.syntax import check_header_value
from tminus.http_rules.urls import check_url
from tminus.model.batch import AnyRun, DueOccurrence
from tminus.model.job import Message
from tminus.templates import as_text

#: Returns a value with `{{ … }}` and `${…}` replaced.
Substitute = Callable[[Any], Any]

#: A line without a value. It removes libcurl's own header, which would declare any body a form.
_NO_TYPE = "Content-Type:"


def build_url(rendered: Any, query: Mapping[str, Any]) -> str:
    """
    Return a URL as libcurl takes it, checked as strictly as a URL without templates when the file is read.

    Raises:
        ValueError: it is not a URL. The error is an InvalidSyntax if its message is for people.
    """
    text = as_text(rendered)
    check_url(text)
    parts = urlsplit(text)
    host = parts.netloc
    if not host.isascii():
        name, colon, port = host.partition(":")
        host = idna.encode(name, uts46=True).decode() + colon + port
    joined = "&".join(part for part in (parts.query, encode_query(query)) if part)
    return urlunsplit((parts.scheme.lower(), host, parts.path or "/", joined, ""))


def encode_query(query: Mapping[str, Any]) -> str:
    """Return the names and values of a query, or of a form, as they are sent."""
    return urlencode({name: as_text(value) for name, value in query.items()})


def build_body(message: Message, fill: Substitute) -> tuple[bytes | None, str]:
    """Return the body and its content type; None and an empty text if there is no body."""
    if message.has_json:
        text = json.dumps(fill(message.json), ensure_ascii=False, separators=(",", ":"))
        return text.encode(), "application/json"
    if message.form is not None:
        return encode_query(fill(message.form)).encode(), "application/x-www-form-urlencoded"
    if message.body is not None:
        return as_text(fill(message.body)).encode(), "text/plain; charset=utf-8"
    return None, ""


def build_headers(
    run: AnyRun, message: Message, fill: Substitute, content_type: str
) -> list[tuple[str, str]]:
    """Return all headers. Those of the job override those of tminus."""
    headers = {
        "User-Agent": f"tminus/{__version__}",
        "X-Tminus-Job": run.id.job,
        "X-Tminus-Occurrence": str(run.id),
        "X-Tminus-Attempt": str(run.attempt if isinstance(run, DueOccurrence) else 1),
    }
    if isinstance(run, DueOccurrence) and run.cause:
        headers["X-Tminus-Cause"] = str(run.cause.id)
    if not message.is_safe:
        headers["Idempotency-Key"] = str(run.id)
    if content_type:
        headers["Content-Type"] = content_type
    given = {name: as_text(value) for name, value in fill(message.headers).items()}
    for value in given.values():
        check_header_value(value)
    taken = {name.lower() for name in given}
    all_headers = [
        *((name, value) for name, value in headers.items() if name.lower() not in taken),
        *given.items(),
    ]
    # Raises for a lone surrogate. Otherwise the pipe could not encode it, and the whole batch would fail.
    "".join(value for _, value in all_headers).encode()
    return all_headers


def format_headers(headers: Sequence[tuple[str, str]]) -> list[str]:
    """Return the headers as lines for libcurl."""
    # `Name;` is a header without a value.
    lines = [f"{name}: {value}" if value else f"{name};" for name, value in headers]
    if all(name.lower() != "content-type" for name, _ in headers):
        lines.append(_NO_TYPE)
    return lines


def parse_headers(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Return the headers in lines that `format_headers` has made."""
    parts = (line.partition(": ") for line in lines if line != _NO_TYPE)
    return [(name, value) if colon else (name.removesuffix(";"), "") for name, colon, value in parts]
